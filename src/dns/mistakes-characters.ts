/** Characters that no key record has: what panels, word processors and zone files put into the value. */
import {problem} from '../domain/result.ts';
import {around, excerpt, octetsOf} from './evidence.ts';
import {type Rule, replaceIt} from './repair.ts';

/** Web forms and HTML pages: `&quot;`, `&#43;`. */
const htmlEntities: Rule = (found, published) => {
  const entity = /&(?:#\d+|#x[0-9a-f]+|quot|amp|nbsp|lt|gt);/i.exec(found);
  if (entity === null) return undefined;
  return problem(
    'dns.html-entities',
    `The data has "${entity[0]}" in it, as HTML writes a character: ${around(found, entity.index)}`,
    replaceIt(published, 'Copy it as it is shown on a page, not from the source of one.'),
  );
};

const percentEncoded: Rule = (found, published) => {
  const code = /%(?:2B|2F|3D|3B|20|22)/i.exec(found);
  if (code === null) return undefined;
  return problem(
    'dns.percent-encoded',
    `The data has "${code[0]}" in it, as URLs write a character: ${around(found, code.index)}`,
    replaceIt(published, 'Whatever sent it to the provider encoded it once too often.'),
  );
};

/** The whole line of a zone file, pasted into the value field of a panel. */
const zoneLine: Rule = (found, published) => {
  if (!/\bTXT\s+(?:\(\s*)?"|\b_domainkey\S*\s+(?:\d+\s+)?(?:IN|TXT)\b/i.test(found)) return undefined;
  return problem(
    'dns.zone-line-in-value',
    `A whole line of a zone file is in the value: ${excerpt(found)}`,
    replaceIt(published, 'Only what begins with v=DKIM1 is the value; the name has a field of its own.'),
  );
};

const pemArmour: Rule = (found, published) => {
  const armour = /-----\s*(?:BEGIN|END)|BEGIN PUBLIC/.exec(found);
  if (armour === null) return undefined;
  return problem(
    'dns.pem-armour',
    `The lines "-----BEGIN ..." of a PEM file are in the record: ${around(found, armour.index)}`,
    replaceIt(published, 'Only the Base64 of the key belongs after p=.'),
  );
};

const KINDS: readonly (readonly [id: string, characters: RegExp, what: string])[] = [
  ['dns.typographic-quotes', /[\u00ab\u00bb\u2018-\u201f\u2039\u203a]/u, 'a typographic quotation mark'],
  ['dns.zero-width', /[\p{Cf}\p{Default_Ignorable_Code_Point}]/u, 'an invisible character'],
  [
    'dns.odd-blank',
    /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000]/u,
    'a blank that is none for programs',
  ],
  ['dns.odd-characters', /[^\x20-\x7e\t\r\n]/u, 'a character that does not belong there'],
];

const oddCharacters: Rule = (found, published) => {
  for (const [id, characters, what] of KINDS) {
    const match = characters.exec(found);
    if (match === null) continue;
    const code = (match[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    const octets = octetsOf(match[0], published.octets?.[0]);
    return problem(
      id,
      `The record has ${what}: U+${code} (octets ${octets}) in ${around(found, match.index)}`,
      replaceIt(
        published,
        'Copy it as plain text: mail programs and word processors change quotes and blanks.',
      ),
    );
  }
  return undefined;
};

const literalNewline: Rule = (found, published) => {
  const at = found.search(/\\[nr]/);
  if (at < 0) return undefined;
  return problem(
    'dns.literal-newline',
    `The data has "${found.slice(at, at + 2)}" in it, two characters that stand for a line break: ${around(found, at)}`,
    replaceIt(published, 'The value is one line.'),
  );
};

const escapedQuotes: Rule = (found, published) => {
  const at = found.indexOf('\\"');
  if (at < 0) return undefined;
  return problem(
    'dns.escaped-quotes',
    `The data itself has \\" in it (octets 5c 22): ${around(found, at)}`,
    replaceIt(published, 'The quotes were escaped once too often; enter it without quotation marks.'),
  );
};

const literalBackslash: Rule = (found, published) => {
  const at = found.indexOf('\\');
  if (at < 0) return undefined;
  return problem(
    'dns.literal-backslash',
    `The data itself has a backslash in it (octet 5c): ${around(found, at)}`,
    replaceIt(published, 'Semicolons need no backslash there.'),
  );
};

const literalQuotes: Rule = (found, published) => {
  const at = found.search(/["'`]/);
  if (at < 0) return undefined;
  return problem(
    'dns.literal-quotes',
    `The data itself has quotation marks in it (octet ${octetsOf(found[at] ?? '', undefined)}): ${excerpt(found)}`,
    replaceIt(published, 'The panel adds the quotes by itself: enter it without them, in one piece.'),
  );
};

const lineBreaks: Rule = (found, published) => {
  const at = found.search(/[\r\n]/);
  if (at < 0) return undefined;
  return problem(
    'dns.line-breaks',
    `The data has a line break in it (octet ${octetsOf(found[at] ?? '', undefined)}): ${around(found, at)}`,
    replaceIt(published, 'The value is one line.'),
  );
};

export const CHARACTER_RULES: readonly Rule[] = [
  pemArmour,
  zoneLine,
  htmlEntities,
  percentEncoded,
  oddCharacters,
  literalNewline,
  escapedQuotes,
  literalBackslash,
  literalQuotes,
  lineBreaks,
];
