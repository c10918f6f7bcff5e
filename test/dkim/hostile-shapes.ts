/** Texts made to keep a parser busy. `text` gives one of about so many octets. */
export type Shape = readonly [name: string, text: (octets: number) => string];

/** That of an empty body, so that the header is hashed as well. */
const BH = 'bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';

/** A good signature, so that all of the header is looked at, in front of each hostile header. */
const PREFIX = `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.b; s=c; h=from:dkim-signature; ${BH}; b=aaaa\r\n`;

/** What comes after the first signature of a message. */
const MESSAGES: readonly Shape[] = [
  [
    'many names in h=',
    octets =>
      `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.b; s=c; ${BH}; b=aaaa; h=${Array.from({length: octets / 8}, (_, index) => `a${index}:`).join('')}from\r\nFrom: a\r\n${'b: c\r\n'.repeat(60)}`,
  ],
  [
    'many fields and many names',
    octets =>
      `${Array.from({length: octets / 20}, (_, index) => `a${index}:\r\n`).join('')}DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.b; s=c; ${BH}; b=aaaa; h=${Array.from({length: octets / 20}, (_, index) => `a${index}:`).join('')}from`,
  ],
  ['one tag without end', octets => `DKIM-Signature: ${'a'.repeat(octets)}`],
  ['white space', octets => `DKIM-Signature: v=1;${' '.repeat(octets)}x`],
  ['white space before a colon', octets => `DKIM-Signature${' '.repeat(octets)}x: v=1`],
  ['folds before a colon', octets => `From${'\r\n '.repeat(octets / 3)}: a\r\nDKIM-Signature\r\n : v=1`],
  ['semicolons', octets => `DKIM-Signature: ${';'.repeat(octets)}`],
  ['equals signs', octets => `DKIM-Signature: v${'='.repeat(octets)}`],
  [
    'many tags',
    octets => `DKIM-Signature: ${Array.from({length: octets / 10}, (_, index) => `t${index}=x;`).join('')}`,
  ],
  ['folds', octets => `DKIM-Signature: v=1;${'\r\n '.repeat(octets / 3)}x`],
  ['fields without value', octets => 'a:\r\n'.repeat(octets / 4)],
  ['lines without a colon', octets => 'a\r\n'.repeat(octets / 3)],
  [
    'one field name',
    octets =>
      `${'From: a\r\n'.repeat(octets / 9)}DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.b; s=c; ${BH}; b=aaaa; h=${'from:'.repeat(1000)}from`,
  ],
  [
    'a long h=',
    octets =>
      `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.b; s=c; ${BH}; b=aaaa; h=${'from:'.repeat(octets / 5)}from\r\nFrom: a`,
  ],
  [
    'a long i=',
    octets =>
      `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.b; s=c; ${BH}; b=aaaa; h=from; i=${'a.'.repeat(octets / 2)}@a.b`,
  ],
  [
    'a quoted i=',
    octets =>
      `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.b; s=c; ${BH}; b=aaaa; h=from; i="${'=5C=22'.repeat(octets / 6)}@a.b`,
  ],
  [
    'a domain of dots',
    octets => `DKIM-Signature: v=1; a=rsa-sha256; s=c; ${BH}; b=aaaa; h=from; d=${'a.'.repeat(octets / 2)}b`,
  ],
  [
    'a long b=',
    octets =>
      `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.b; s=c; h=from; ${BH}; b=${'ab cd\r\n '.repeat(octets / 8)}`,
  ],
  [
    'a long number',
    octets =>
      `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.b; s=c; h=from; ${BH}; b=aaaa; l=${'9'.repeat(octets)}`,
  ],
  [
    'a long z=',
    octets =>
      `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.b; s=c; h=from; ${BH}; b=aaaa; z=${'from:=41|'.repeat(octets / 9)}\r\nFrom: a`,
  ],
  ['bare CR', octets => `From: ${'\r'.repeat(octets)}`],
  ['a body of CRLF', octets => `From: a\r\n\r\n${'\r\n'.repeat(octets / 2)}x`],
  ['a body of blanks', octets => `From: a\r\n\r\n${' '.repeat(octets)}`],
  ['a body of CR', octets => `From: a\r\n\r\n${'\r'.repeat(octets)}`],
  ['no end of header', octets => 'From: a\r\n '.repeat(octets / 10)],
];

/** Messages to verify. */
export const HOSTILE_MESSAGES: readonly Shape[] = MESSAGES.map(([name, text]) => [
  name,
  octets => PREFIX + text(octets),
]);

/** Key records and what somebody might paste for one, to lint. */
export const HOSTILE_RECORDS: readonly Shape[] = [
  ['a key of blanks', octets => `p=${' '.repeat(octets)}`],
  ['a key of base64', octets => `p=${'AAAA '.repeat(octets / 5)}`],
  ['a list of words', octets => `h=${'a:'.repeat(octets / 2)};p=`],
  ['a zone line', octets => `${'a'.repeat(octets)} IN TXT`],
  ['blanks before a type', octets => `a${' '.repeat(octets)}`],
  ['brackets', octets => `${'( '.repeat(octets / 2)}x`],
  ['equals and blanks', octets => `p${' ='.repeat(octets / 2)}`],
  ['many p', octets => 'p='.repeat(octets / 2)],
  ['many p with blanks', octets => 'p= a'.repeat(octets / 4)],
];
