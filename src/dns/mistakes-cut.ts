/** Parts of the value that are missing, doubled or in the wrong order. */
import {type Problem, problem} from '../domain/result.ts';
import {recordTags} from './compare.ts';
import {excerpt} from './evidence.ts';
import {recordForms} from './forms.ts';
import {PROVIDERS, recogniseProvider} from './provider.ts';
import {type Published, type Rule, replaceIt} from './repair.ts';

const cutAtSemicolon: Rule = (found, published) =>
  /^v\s*=\s*DKIM1(?:\s*;)?$/.test(found.trim())
    ? problem(
        'dns.cut-at-semicolon',
        `Only ${excerpt(found)} arrived: everything from the first semicolon (octet 3b) on is missing.`,
        replaceIt(
          published,
          'In a zone file the value must be in quotation marks, or the rest is a comment.',
        ),
      )
    : undefined;

/** Lengths at which strings of the forms end: those of 255 octets, and the short ones of the wrapped form. */
function boundaries({name, expected}: Published): {
  readonly long: readonly string[];
  readonly short: readonly string[];
} {
  const forms = recordForms({apex: name, name, value: expected});
  const short = [...forms.zoneFileWrapped.matchAll(/^ {4}"(.*)"$/gm)].map(match => match[1] ?? '');
  return {long: forms.strings, short};
}

const valueTwice: Rule = (found, published) => {
  const rest = found.trim().slice(published.expected.length);
  if (!found.trim().startsWith(published.expected) || rest.trim().replace(/^;\s*/, '') !== published.expected)
    return undefined;
  return problem(
    'dns.value-twice',
    `The value is there twice in one record, ${Buffer.byteLength(found)} octets instead of ${Buffer.byteLength(published.expected)}.`,
    replaceIt(published),
  );
};

const outOfOrder: Rule = (found, published) => {
  const {long, short} = boundaries(published);
  for (const strings of [long, short]) {
    if (strings.length < 2 || found.length !== published.expected.length) continue;
    // The first string says where the others were put: somewhere behind one of them.
    const first = strings[0] ?? '';
    if (found.startsWith(first) || !strings.every(string => found.includes(string))) continue;
    return problem(
      'dns.strings-out-of-order',
      `The strings of the record are in the wrong order: it begins with ${excerpt(found, 24)}, not with ${excerpt(first, 24)}.`,
      replaceIt(
        published,
        'They must be in one record: the order of several records is nobody\u2019s to say.',
      ),
    );
  }
  return undefined;
};

const firstMissing: Rule = (found, published) => {
  const {expected} = published;
  if (found.length < 16 || found.length >= expected.length || !expected.endsWith(found)) return undefined;
  const tags = recordTags(found);
  // Only tags before the key may be missing: that is told by the tags.
  if (tags?.has('p') === true) return undefined;
  return problem(
    'dns.first-string-missing',
    `Only the end of the value is there: the first ${expected.length - found.length} of ${expected.length} octets are missing.`,
    replaceIt(published, 'All strings belong into the same record.'),
  );
};

const firstStringOnly: Rule = (found, published) => {
  const {expected} = published;
  if (found.length === 0 || !expected.startsWith(found)) return undefined;
  const {short} = boundaries(published);
  let end = 0;
  const ends = short.slice(0, -1).map(string => {
    end += string.length;
    return end;
  });
  if (!ends.includes(found.length) || found.length >= 250) return undefined;
  return problem(
    'dns.first-string-only',
    `Only the first ${found.length} of ${expected.length} octets are there, where a string of the zone file form ends: ${excerpt(found.slice(-24))}`,
    replaceIt(
      published,
      'The parentheses and all lines between them belong to the record; or use the form on one line.',
    ),
  );
};

const truncatedKey: Rule = (found, published) => {
  const {expected} = published;
  const tags = recordTags(found);
  const wanted = recordTags(expected)?.get('p') ?? '';
  const key = tags?.get('p');
  if (key === undefined || key === '' || key === wanted || !wanted.startsWith(key)) return undefined;
  const octets = Buffer.byteLength(found);
  const whole = Buffer.byteLength(expected);
  if (octets >= 254 && octets <= 256) {
    return problem(
      'dns.cut-at-255',
      `Only the first ${octets} of ${whole} octets are there: the first string of the record. It ends with ${excerpt(found.slice(-12))}.`,
      replaceIt(
        published,
        'Where the panel takes no more in one piece, enter several strings of at most 255 octets in one record: "..." "..."',
      ),
    );
  }
  return limited(octets, published) ?? cutKey(key, wanted, published);
};

/** A limit of the provider at hand, or one that is known of some panel. */
function limited(octets: number, published: Published): Problem | undefined {
  const own = recogniseProvider(published.serverNames ?? []);
  const limits = own === undefined ? PROVIDERS.flatMap(({maxOctets}) => maxOctets ?? []) : [own.maxOctets];
  if (octets < 300 || ![...limits, 512, 1023, 1024, 2048].includes(octets)) return undefined;
  return problem(
    'dns.cut-by-limit',
    `The value is cut at ${octets} octets, which is the limit of a panel; ${Buffer.byteLength(published.expected)} are needed.`,
    `Use a smaller key, or delegate ${published.name} by CNAME or NS to a provider without that limit.`,
  );
}

const cutKey = (key: string, wanted: string, published: Published): Problem =>
  problem(
    'dns.cut-key',
    `The key is cut off: ${key.length} of ${wanted.length} characters of p= are there, the last ones ${excerpt(key.slice(-12))}.`,
    replaceIt(
      published,
      'Where the panel limits the length, use a smaller key or delegate the name by CNAME.',
    ),
  );

export const CUT_RULES: readonly Rule[] = [
  cutAtSemicolon,
  valueTwice,
  outOfOrder,
  firstMissing,
  firstStringOnly,
  truncatedKey,
];
