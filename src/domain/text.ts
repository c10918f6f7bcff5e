/**
 * Makes text from DNS, mail, files or daemons harmless for a terminal or a log, and shows what a person would not see:
 * whatever {@link UNSEEN} names becomes an escape (`\x1b`, `\u{202e}`). Line feeds stay where `lines` is true.
 */
export function visible(text: string, options: {readonly lines?: boolean} = {}): string {
  // Nearly all text is plain ASCII, and the records of ten thousand domains are long.
  if (!SUSPECT.test(text)) return text;
  return text.replace(UNSEEN, character =>
    character === '\n' && options.lines === true ? character : escapeOf(character.codePointAt(0) ?? 0),
  );
}

const escapeOf = (code: number): string =>
  code < 0xa0 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;

/**
 * By property of Unicode, as the runtime knows it: control (Cc), format (Cf: bidirectional controls, zero-width characters,
 * tags) and private characters, lone surrogates, what is not assigned (nobody can say how it looks, and it may become
 * any of these), line and paragraph separators, all that is ignored by default (variation selectors, fillers), every
 * blank but U+0020, and the letters and signs that are drawn as a blank (Braille blank, Khitan filler, null notehead).
 * Letters of any script, their marks, and emoji stay; the parts that only shape an emoji are shown.
 */
const UNSEEN =
  /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800\u{16fe4}\u{1d159}]|(?! )\p{Zs}/gu;
const SUSPECT = /[^\x20-\x7e]/;

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

/** The text without the password of a data set, which messages of a signer repeat: `dsn:pgsql://user:***@host/…`. */
export const withoutPassword = (text: string): string =>
  text.replaceAll(/(\bdsn:[a-z]+:\/\/[^:@\s]*:)\S*@/gi, '$1***@');

/** `1 check`, `1,024 checks`. */
export const counted = (number: number, one: string, many = `${one}s`): string =>
  `${number.toLocaleString('en-US')} ${number === 1 ? one : many}`;

/** Names in a sentence: all of a few, the first ones of many and how many more there are. */
export const listed = (names: readonly string[], most = 10): string =>
  names.length <= most + 1
    ? names.join(', ')
    : `${names.slice(0, most).join(', ')} and ${names.length - most} more`;
