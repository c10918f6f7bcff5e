import {latin1, lower} from './octets.ts';

/**
 * What the value of a field may have been before a relay, a gateway or a list rewrote it in one of the ways that they
 * have. Values are canonical: in relaxed form, or as they stand.
 *
 * @param value code units 0..255
 * @param name of the field, lower case
 */
export function* rewritings(value: string, name: string, how: 'simple' | 'relaxed'): Generator<string> {
  const lead = how === 'simple' ? (/^[ \t]*/.exec(value)?.[0] ?? '') : '';
  const text = value.slice(lead.length);
  if (how === 'simple') yield* foldings(value);
  yield* (KNOWN[name] ?? []).map(known => lead + known);
  for (const [pattern, replacement] of REPLACEMENTS) yield lead + text.replace(pattern, replacement);
  yield `${lead}<${text}>`;
  yield `${lead}Re: ${text}`;
  yield `${value} (UTC)`;
  yield `${value} (GMT)`;
  yield `${value};`;
  yield lead + lower(text);
  yield lead + text.replace(/@[^>,\s]{1,255}/g, lower);
  // Octets from 0x80 on as another charset has them.
  if (/[\x80-\xff]/.test(text)) {
    yield lead + latin1(Buffer.from(text, 'utf8'));
    yield lead +
      Buffer.from(text, 'latin1')
        .toString('utf8')
        .replace(/[^\0-\xff]/g, '?');
  }
}

/** One blank more or less: a fold within a word leaves one there, unfolding may take one away. */
export function* otherBlanks(value: string): Generator<string> {
  for (const {index} of value.matchAll(/[ \t]/g)) yield value.slice(0, index) + value.slice(index + 1);
  for (let at = 1; at < value.length; at++) yield `${value.slice(0, at)} ${value.slice(at)}`;
}

const TRANSFER_ENCODINGS = ['7bit', '8bit', 'quoted-printable', 'base64', 'binary', '7BIT', '8BIT', 'BASE64'];
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  'content-transfer-encoding': TRANSFER_ENCODINGS,
  'content-type': ['text/plain', 'text/plain; charset=utf-8', 'text/plain; charset=us-ascii'],
  'mime-version': ['1.0'],
};

const REPLACEMENTS: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/"/g, ''],
  [/=([^\s;"=]+)/g, '="$1"'],
  [/(^|, ?)([^"<>,@]+) </g, '$1"$2" <'],
  [/, ?/g, ','],
  [/, ?/g, ', '],
  [/; ?/g, ';'],
  [/; ?/g, '; '],
  [/: ?/g, ':'],
  [/[<>]/g, ''],
  [/ \+0000/, ' GMT'],
  [/ GMT$/, ' +0000'],
  [/\b0(\d) /, '$1 '],
  [/(^|, )(\d) /, '$10$2 '],
  [/[ \t\r\n]+/g, ''],
  [/;$/, ''],
];

/** How a field may have been folded: in the simple form that counts. */
function* foldings(value: string): Generator<string> {
  for (const fold of ['', ' ', '\t', '\r\n ', '\r\n\t']) {
    yield value.replace(/\r\n[ \t]+/g, fold);
    yield value.replace(/\r\n(?=[ \t])/g, fold);
  }
  yield ` ${value.trimStart()}`;
  yield value.trimStart();
  yield value.trimEnd();
  yield value.replace(/(?<=[^ \t\r\n][ \t])[ \t]+/g, '');
  for (const {index} of value.matchAll(/[ \t](?=[^ \t\r\n])/g)) {
    yield `${value.slice(0, index)}\r\n${value.slice(index)}`;
    yield `${value.slice(0, index)}\r\n\t${value.slice(index + 1)}`;
  }
}

/** Most words that are taken out of the middle of a value. */
const RUN = 12;
/** Most words of a value that are looked at. */
const WORDS = 400;

/** The value without some words that stand together: a tag in the subject, a parameter, an address, a comment. */
export function* withoutWords(value: string, name: string, how: 'simple' | 'relaxed'): Generator<string> {
  const kept = value.trimEnd();
  const words = kept === '' ? [] : kept.split(/(?<=[^ \t\r\n])(?=[ \t\r\n])/);
  if (words.length > WORDS) return;
  for (let length = 1; length <= words.length; length++) {
    for (let from = 0; from + length <= words.length; from++) {
      // Beyond a few words only what stands at one of the ends.
      if (length > RUN && from > 0 && from + length < words.length) continue;
      const rest = words.slice(0, from).join('') + words.slice(from + length).join('');
      const was = how === 'relaxed' ? rest.replace(/^ /, '') : rest;
      yield was;
      if (/[,;]$/.test(was)) yield was.slice(0, -1);
    }
  }
  // A tag that is not set off by a blank.
  if (name !== 'subject') return;
  for (let at = 1; at < Math.min(value.length, 100); at++) yield value.slice(at);
}
