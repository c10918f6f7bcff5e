import {parseSelector, type Selector} from '../domain/names.ts';

/**
 * `YYYYMM` of `now` (UTC), then with a letter: `202611`, `202611a` … `202611z`, `202611aa` …; the first that is not taken.
 * The month tells a reader how old a key is; a selector that was ever used is taken for good.
 */
export function proposeSelector(now: Date, isTaken: (selector: Selector) => boolean): Selector {
  const month = now.toISOString().slice(0, 7).replace('-', '');
  for (let count = 0; ; count += 1) {
    const parsed = parseSelector(month + letters(count));
    if (!parsed.ok) throw new TypeError(parsed.problem.message);
    if (!isTaken(parsed.value)) return parsed.value;
  }
}

/** '', a … z, aa … az, ba …: numbers in the alphabet. */
function letters(count: number): string {
  let text = '';
  for (let rest = count; rest > 0; rest = Math.floor((rest - 1) / 26)) {
    text = String.fromCharCode(0x61 + ((rest - 1) % 26)) + text;
  }
  return text;
}
