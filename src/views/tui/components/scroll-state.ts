/** Which part of a long text is seen, as data. */
import type {Key} from '../input/keys.ts';

/**
 * The first row seen after a key.
 * @param first row seen before it
 * @param total rows of the text
 * @param height rows of the window
 */
export function scrolled(first: number, key: Key, total: number, height: number): number {
  const page = Math.max(1, height - 1);
  const steps: Readonly<Partial<Record<Key['name'], number>>> = {
    ...{up: -1, down: 1, 'page-up': -page, 'page-down': page, home: -total, end: total},
    text: key.name === 'text' && key.text === ' ' ? page : 0,
  };
  return inRange(first + (steps[key.name] ?? 0), total, height);
}

export const inRange = (first: number, total: number, height: number): number =>
  Math.max(0, Math.min(first, total - height));
