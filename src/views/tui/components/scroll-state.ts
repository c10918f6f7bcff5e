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
  const wanted = ((): number => {
    switch (key.name) {
      case 'up':
        return first - 1;
      case 'down':
        return first + 1;
      case 'page-up':
        return first - page;
      case 'page-down':
        return first + page;
      case 'home':
        return 0;
      case 'end':
        return total;
      case 'text':
        return key.text === ' ' ? first + page : first;
      default:
        return first;
    }
  })();
  return inRange(wanted, total, height);
}

export const inRange = (first: number, total: number, height: number): number =>
  Math.max(0, Math.min(first, total - height));
