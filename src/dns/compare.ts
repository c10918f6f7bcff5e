/** Whether a published text is the key record that should be there. */
import {trimOf} from '../domain/scan.ts';

const FWS = /[ \t\r\n]+/g;

/** Tags of a record in their order (RFC 6376 §3.2), blanks around names and values removed; undefined where it is no tag list. */
export function recordTags(text: string): ReadonlyMap<string, string> | undefined {
  const tags = writtenTags(text);
  const key = tags?.get('p');
  return tags === undefined || key === undefined ? tags : new Map(tags).set('p', key.replace(FWS, ''));
}

/** As {@link recordTags}, with the blanks that stand within `p=`. */
export function writtenTags(text: string): ReadonlyMap<string, string> | undefined {
  const tags = new Map<string, string>();
  const parts = text.split(';');
  if (parts.at(-1)?.trim() === '') parts.pop();
  for (const part of parts) {
    const at = part.indexOf('=');
    const name = trimmed(part.slice(0, Math.max(at, 0)));
    // A tag that comes twice makes the list invalid (§3.2).
    if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(name) || tags.has(name)) return undefined;
    const value = trimmed(part.slice(at + 1));
    tags.set(name, value);
  }
  return tags.size === 0 ? undefined : tags;
}

/** Only the blanks of the grammar: a no-break space is not one of them, and is a mistake. */
const trimmed = (text: string): string => trimOf(text, ' \t\r\n');

/**
 * True where both are the same octets, or the same tags with the same values; blanks around tags and within `p=` do not
 * count (RFC 6376 §3.6.1), the order does not but for `v=`, which must be first.
 */
export function sameKeyRecord(found: string, expected: string): boolean {
  if (found === expected) return true;
  if (hasBareBreak(found)) return false;
  const left = recordTags(found);
  const right = recordTags(expected);
  if (left === undefined || right === undefined || left.size !== right.size) return false;
  if (left.has('v') && [...left.keys()][0] !== 'v') return false;
  return [...left].every(([name, value]) => right.get(name) === value);
}

/** A line break that folds nothing: the grammar has CRLF before a blank only, and verifiers refuse the rest. */
const hasBareBreak = (text: string): boolean => /[\r\n]/.test(text.replace(/\r\n(?=[ \t])/g, ''));
