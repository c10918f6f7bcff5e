import type {Random} from '../system/ports.ts';

/**
 * At most `limit` of `items`, in their order: all, or the first, the last and others by chance. Signing is decided row
 * by row in the same way, so that a sample tells about all; the edges of a table are where edits go wrong.
 */
export function sampleOf<T>(items: readonly T[], limit: number, random: Random): readonly T[] {
  if (items.length <= limit) return items;
  const chosen = new Set([0, items.length - 1]);
  while (chosen.size < limit) {
    const octets = Buffer.from(random.bytes(4));
    // A port that returns the same octets for ever must not hang us: walk on to the next free place.
    let place = octets.readUInt32BE(0) % items.length;
    while (chosen.has(place)) place = (place + 1) % items.length;
    chosen.add(place);
  }
  return items.filter((_, index) => chosen.has(index));
}
