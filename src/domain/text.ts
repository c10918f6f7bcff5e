/**
 * Makes text from DNS, mail, files or daemons harmless for a terminal or a log: control characters (C0, DEL, C1),
 * bidirectional overrides and lone surrogates are shown as escapes. Line feeds stay where `lines` is true.
 */
export function visible(text: string, options: {readonly lines?: boolean} = {}): string {
  // Nearly all text is harmless already, and the records of ten thousand domains are long.
  if (!SUSPECT.test(text)) return text;
  if (options.lines === true && text.includes('\n') && !SUSPECT_IN_LINES.test(text)) return text;
  let out = '';
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code === 0x0a && options.lines === true) out += character;
    else if (code < 0x20 || code === 0x7f) out += `\\x${code.toString(16).padStart(2, '0')}`;
    else if (code >= 0x80 && code < 0xa0) out += `\\x${code.toString(16)}`;
    else if (isInvisible(code)) out += `\\u{${code.toString(16)}}`;
    else out += character;
  }
  return out;
}

/** Breaks a sentence at blanks into lines of at most `width` characters; a longer word stays whole. */
export function folded(sentence: string, width = 79): string {
  let used = 0;
  return sentence
    .split(' ')
    .map((word, index) => {
      const breaks = index > 0 && used + 1 + word.length > width;
      used = index === 0 || breaks ? word.length : used + 1 + word.length;
      return `${index === 0 ? '' : breaks ? '\n' : ' '}${word}`;
    })
    .join('');
}

/** The text without the password of a data set of OpenDKIM, which its messages repeat: `dsn:pgsql://user:***@host/…`. */
export const withoutPassword = (text: string): string =>
  text.replaceAll(/(\bdsn:[a-z]+:\/\/[^:@\s]*:)\S*@/gi, '$1***@');

/** Names in a sentence: all of a few, the first ones of many and how many more there are. */
export const listed = (names: readonly string[], most = 10): string =>
  names.length <= most + 1
    ? names.join(', ')
    : `${names.slice(0, most).join(', ')} and ${names.length - most} more`;

// Zero-width characters, bidirectional controls, line and paragraph separators, the byte order mark, lone surrogates:
// each can hide or reorder what a root user believes to read.
const isInvisible = (code: number): boolean =>
  (code >= 0x200b && code <= 0x200f) ||
  (code >= 0x2028 && code <= 0x202e) ||
  (code >= 0x2060 && code <= 0x2069) ||
  code === 0xad ||
  code === 0x61c ||
  code === 0xfeff ||
  (code >= 0xd800 && code <= 0xdfff);

// Whatever the loop might touch; plain ASCII and ordinary letters of any script are not in it.
const ODD = '\\x7f-\\x9f\\u00ad\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff\\ud800-\\udfff';
const SUSPECT = new RegExp(`[\\x00-\\x1f${ODD}]`);
const SUSPECT_IN_LINES = new RegExp(`[\\x00-\\x09\\x0b-\\x1f${ODD}]`);
