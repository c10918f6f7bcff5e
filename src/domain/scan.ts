/** Searches in text from outside whose time grows with the text and no faster, where a regular expression would go back and forth. */

/** `text` without the characters of `set` at its end. */
export function trimEndOf(text: string, set: string): string {
  let end = text.length;
  while (end > 0 && set.includes(text[end - 1] ?? '')) end -= 1;
  return text.slice(0, end);
}

/** `text` without the characters of `set` at its beginning and end. */
export function trimOf(text: string, set: string): string {
  const ended = trimEndOf(text, set);
  let start = 0;
  while (start < ended.length && set.includes(ended[start] ?? '')) start += 1;
  return ended.slice(start);
}

/** Lines with their ends: joined they are the text again. None for an empty text. */
export const linesWithEnds = (text: string): string[] => (text === '' ? [] : text.split(/(?<=\n)/));

/**
 * Whether `text` is covered by a pattern in which each `*` stands for any number of characters. Remembers only the last `*`: at most `pattern.length * text.length` steps.
 */
export function matchesWildcard(pattern: string, text: string): boolean {
  let at = 0;
  let from = 0;
  let star = -1;
  let resume = 0;
  while (from < text.length) {
    if (pattern[at] === '*') {
      star = at;
      resume = from;
      at += 1;
    } else if (at < pattern.length && pattern[at] === text[from]) {
      at += 1;
      from += 1;
    } else if (star >= 0) {
      at = star + 1;
      resume += 1;
      from = resume;
    } else return false;
  }
  while (pattern[at] === '*') at += 1;
  return at === pattern.length;
}
