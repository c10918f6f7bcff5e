/**
 * Makes text from DNS, mail, files or daemons harmless for a terminal or a log: control characters (C0, DEL, C1),
 * bidirectional overrides and lone surrogates are shown as escapes. Line feeds stay where `lines` is true.
 */
export function visible(text: string, options: {readonly lines?: boolean} = {}): string {
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
