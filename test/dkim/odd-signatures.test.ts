import {constants, createHash, privateEncrypt, sign} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import {verifyMessage} from '../../src/dkim/index.ts';
import {NOW, octets, recordOf, rsa} from './support.ts';

// Odd fields and records that are signed for real: edited after signing, each would fail for the signature alone, and
// a verifier that is too strict or too lenient would go unnoticed. The signer is the text of RFC 6376 §3.4 and §3.7,
// line by line, and shares nothing with the engine.

const {privateKey, publicKey} = rsa(1024);
const record = recordOf(publicKey);
const key = record.slice(record.indexOf('p=') + 2);

const HEADER = ['From: ann@example.org', 'To: bob@dest.example', 'Subject:  two  blanks\t\r\n and a fold'];
const BODY = 'Hello  Bob \r\n\r\n\tIndented\t \r\nlast\r\n\r\n';

type Form = 'simple' | 'relaxed';

const canonicalBody = (body: string, form: Form): string => {
  const lines = body.split('\r\n');
  const kept = form === 'simple' ? lines : lines.map(line => line.replace(/[ \t]+/g, ' ').replace(/ $/, ''));
  const text = kept.join('\r\n').replace(/(?:\r\n)*$/, '');
  return text === '' && form === 'relaxed' ? '' : `${text}\r\n`;
};

const canonicalField = (field: string, form: Form): string => {
  if (form === 'simple') return field;
  const colon = field.indexOf(':');
  const plain = (text: string): string =>
    text
      .replace(/\r\n/g, '')
      .replace(/[ \t]+/g, ' ')
      .trim();
  return `${plain(field.slice(0, colon)).toLowerCase()}:${plain(field.slice(colon + 1))}`;
};

interface Odd {
  /** The field; `{bh}` and `{b}` stand for the hash and the signature. */
  readonly field?: string;
  /** Tags put in front of h=. */
  readonly tags?: string;
  /** h= as it is signed, where it is not the usual one. */
  readonly names?: readonly string[];
  readonly forms?: readonly [Form, Form];
  readonly length?: number;
  readonly header?: readonly string[];
  readonly signer?: (input: Buffer) => Buffer;
  readonly record?: string;
}

const usual = (tags = ''): string =>
  `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=s1; ${tags}h=from:to:subject;\r\n bh={bh};\r\n b={b}`;

function oddMessage(odd: Odd): Buffer {
  const [headerForm, bodyForm] = odd.forms ?? ['relaxed', 'relaxed'];
  const body = octets(canonicalBody(BODY, bodyForm)).subarray(0, odd.length);
  const bodyHash = createHash('sha256').update(body).digest('base64');
  const field = (odd.field ?? usual(odd.tags)).replace('{bh}', bodyHash);
  const header = odd.header ?? HEADER;
  const left = [...header];
  const selected = (odd.names ?? ['from', 'to', 'subject']).flatMap(name => {
    const at = left.findLastIndex(one => one.toLowerCase().startsWith(`${name}:`));
    return at < 0 ? [] : left.splice(at, 1);
  });
  const own = field.replace(/[ \t\r\n]*\{b\}[ \t\r\n]*/, '');
  const input = [...selected, own].map(one => canonicalField(one, headerForm)).join('\r\n');
  const signature = (odd.signer ?? (octet => sign('sha256', octet, privateKey)))(octets(input));
  return octets(
    `${[field.replace('{b}', signature.toString('base64')), ...header].join('\r\n')}\r\n\r\n${BODY}`,
  );
}

/** The verdict on a message, which has to be the same whole, octet by octet and in pieces. */
async function verdictOf(odd: Odd): Promise<string> {
  const message = oddMessage(odd);
  const options = {
    now: NOW,
    lookup: () => Promise.resolve({status: 'found' as const, records: [odd.record ?? record]}),
  };
  const words = await Promise.all(
    [message.length, 1, 7].map(async size => {
      const pieces = Array.from({length: Math.ceil(message.length / size)}, (_none, at) =>
        message.subarray(at * size, (at + 1) * size),
      );
      const [verdict] = await verifyMessage(pieces, options);
      return verdict === undefined ? 'none' : `${verdict.result} ${verdict.reason.id}`;
    }),
  );
  expect(new Set(words).size).toBe(1);
  return words[0] ?? '';
}

const GOOD = 'pass signature.good';
const SYNTAX = 'permerror signature.syntax';

describe('fields that are odd and right', () => {
  it.each<[string, Odd]>([
    ['the usual one', {}],
    [
      'b= first and v= last',
      {
        field:
          'DKIM-Signature: b={b}; bh={bh}; h=from; s=s1; d=example.org; a=rsa-sha256; c=relaxed/relaxed; v=1',
        names: ['from'],
      },
    ],
    [
      'folds around all, simple',
      {
        field:
          'DKIM-Signature:\r\n\tv\r\n = \r\n 1\r\n ;\t a = rsa-sha256 ; d = example.org\r\n\t; s\t=\ts1 ; h = from : to\r\n : subject ; bh = {bh} ; b =\r\n  {b} \r\n ;\r\n ',
        forms: ['simple', 'simple'],
      },
    ],
    ['WSP before the "=" of b=', {field: usual().replace('b={b}', 'b \t= {b} ; n=x')}],
    ['a b= inside of other values', {tags: 'z=From:b=3Dx; xb=b=1; '}],
    ['tags in capitals, which are others', {tags: 'D=other.example; B=AAAA; V=2; L=x; '}],
    ['unknown and empty tags', {tags: 'foo=; x_1=a "b" (c); constructor=y; '}],
    [
      'names and literals in capitals',
      {
        field: usual()
          .replace('rsa-sha256', 'RSA-SHA256')
          .replace('relaxed/relaxed', 'RELAXED/Relaxed')
          .replace('d=example', 'd=EXAMPLE')
          .replace('from:to', 'From:TO'),
      },
    ],
    [
      'c= of the header alone',
      {field: usual().replace('relaxed/relaxed', 'relaxed'), forms: ['relaxed', 'simple']},
    ],
    ['no c=', {field: usual().replace('c=relaxed/relaxed; ', ''), forms: ['simple', 'simple']}],
    ['no octet of the body', {tags: 'l=0; ', length: 0}],
    ['l= with zeros in front', {tags: `l=${'5'.padStart(76, '0')}; `, length: 5}],
    ['a time to come, an end that is now', {tags: `t=${NOW - 1}; x=${NOW}; `}],
    ['i= below d=, encoded', {tags: 'i==61nn@Sub.EXAMPLE.org; '}],
    ['i= with a quoted local part', {tags: 'i="a@b"@example.org; '}],
    ['a query of several', {tags: 'q=foo/bar : DNS/txt; '}],
    [
      'more names than fields',
      {
        field: usual().replace('h=from:to:subject', 'h=from:from:x-none:From'),
        names: ['from', 'from', 'x-none', 'from'],
      },
    ],
    [
      'its own name in h=',
      {field: usual().replace('h=from:to:subject', 'h=dkim-signature:from'), names: ['from']},
    ],
    [
      'the lower two of three',
      {
        field: usual().replace('from:to:subject', 'from:x-a:x-a'),
        names: ['from', 'x-a', 'x-a'],
        header: ['X-A: 1', 'x-a: 2', ...HEADER, 'X-A: 3'],
      },
    ],
  ])('%s', async (_what, odd) => {
    expect(await verdictOf(odd)).toBe(GOOD);
  });
});

describe('fields that are signed and wrong', () => {
  it.each<[string, Odd, string]>([
    ['an empty tag', {tags: '; '}, SYNTAX],
    ['two semicolons at the end', {field: `${usual()};;`}, SYNTAX],
    ['a tag without "="', {tags: 'foo; '}, SYNTAX],
    ['a name with a hyphen', {tags: 'x-y=1; '}, SYNTAX],
    ['a doubled unknown tag', {tags: 'n=a; n=b; '}, 'permerror signature.tag-twice'],
    ['v=01', {field: usual().replace('v=1', 'v=01')}, 'permerror signature.version'],
    ['V= instead of v=', {field: usual().replace('v=1', 'V=1')}, 'permerror signature.tag-missing'],
    [
      'an empty c=',
      {field: usual().replace('c=relaxed/relaxed', 'c='), forms: ['simple', 'simple']},
      'permerror signature.canonicalization',
    ],
    [
      'half a c=',
      {field: usual().replace('c=relaxed/relaxed', 'c=relaxed/'), forms: ['relaxed', 'simple']},
      'permerror signature.canonicalization',
    ],
    [
      'three forms in c=',
      {field: usual().replace('c=relaxed', 'c=relaxed/relaxed')},
      'permerror signature.canonicalization',
    ],
    ['a d= of one label', {field: usual().replace('example.org', 'example')}, SYNTAX],
    ['a dot after d=', {field: usual().replace('example.org', 'example.org.')}, SYNTAX],
    ['an empty name in h=', {field: usual().replace('from:to:', 'from::to:')}, SYNTAX],
    [
      'fromm in h=',
      {field: usual().replace('from:', 'fromm:'), names: ['to', 'subject']},
      'permerror signature.from-unsigned',
    ],
    [
      'd= in the local part of i=',
      {tags: 'i=x.example.org@other.example; '},
      'permerror signature.identity-domain',
    ],
    ['i= above d=', {tags: 'i=@org.example; '}, 'permerror signature.identity-domain'],
    ['d= as the end of another name', {tags: 'i=@anexample.org; '}, 'permerror signature.identity-domain'],
    ['no "@" in i=', {tags: 'i=example.org; '}, SYNTAX],
    ['a negative l=', {tags: 'l=-1; '}, SYNTAX],
    ['77 digits in l=', {tags: `l=${'5'.padStart(77, '0')}; `, length: 5}, SYNTAX],
    ['l= beyond 64 bits', {tags: 'l=18446744073709551621; ', length: 5}, 'permerror body.shorter'],
    ['13 digits in t=', {tags: 't=0000000000001; '}, SYNTAX],
    ['an empty x=', {tags: 'x=; '}, SYNTAX],
    ['x= at t=', {tags: `t=${NOW}; x=${NOW}; `}, SYNTAX],
    ['an x= that was', {tags: `x=${NOW - 1}; `}, 'permerror signature.expired'],
    ['an empty q=', {tags: 'q=; '}, 'permerror signature.query'],
    ['base64 with something else in it', {field: usual().replace('{b}', '{b} !')}, SYNTAX],
  ])('%s', async (_what, odd, verdict) => {
    expect(await verdictOf(odd)).toBe(verdict);
  });
});

describe('key records that are odd', () => {
  it.each<[string, string, string]>([
    ['the key alone', `p=${key}`, GOOD],
    ['blanks around all', ` v = DKIM1 ;\tk = RSA ; p = ${key.replace(/.{20}/g, '$& ')} ; `, GOOD],
    ['unknown words in lists', `v=DKIM1; h=sha1 : SHA256:foo; s=foo:*; t=:x::y; p=${key}`, GOOD],
    ['unknown tags', `v=DKIM1; g=other; P=AAAA; x_1=; p=${key}`, GOOD],
    ['v= not first', `k=rsa; v=DKIM1; p=${key}`, 'permerror key.version'],
    ['v= in small letters', `v=dkim1; p=${key}`, 'permerror key.version'],
    ['a doubled unknown tag', `v=DKIM1; n=a; n=b; p=${key}`, 'permerror key.tag-twice'],
    ['an empty k=', `v=DKIM1; k=; p=${key}`, 'permerror key.type'],
    ['an empty h=', `v=DKIM1; h=; p=${key}`, 'permerror key.hash'],
    ['an empty s=', `v=DKIM1; s=; p=${key}`, 'permerror key.service'],
    ['quotes around it', `"v=DKIM1; p=${key}"`, 'permerror key.syntax'],
    ['p= in quotes', `v=DKIM1; p="${key}"`, 'permerror key.base64'],
    ['no key in p=', `v=DKIM1; p=${key.slice(0, 40)}`, 'permerror key.not-a-key'],
  ])('%s', async (_what, text, verdict) => {
    expect(await verdictOf({record: text})).toBe(verdict);
  });

  it('t=s refuses a subdomain in i=, but not d= itself in capitals', async () => {
    const strict = `v=DKIM1; t=y:s; p=${key}`;
    expect(await verdictOf({record: strict, tags: 'i=@EXAMPLE.org; '})).toBe(GOOD);
    expect(await verdictOf({record: strict, tags: 'i=@a.example.org; '})).toBe('permerror key.subdomain');
  });
});

describe('signatures that only resemble one (RFC 8017 §8.2.2)', () => {
  const MISFIT = 'fail signature.mismatch';
  const size = 128;
  const hashOf = (input: Buffer): Buffer => createHash('sha256').update(input).digest();
  const digestInfo = Buffer.from('3031300d060960864801650304020105000420', 'hex');
  const open = (block: Buffer): Buffer =>
    privateEncrypt({key: privateKey, padding: constants.RSA_NO_PADDING}, block);
  const padded = (text: Buffer, behind = 0): Buffer =>
    Buffer.concat([
      Buffer.from([0, 1]),
      Buffer.alloc(size - 3 - text.length - behind, 0xff),
      Buffer.from([0]),
      text,
      Buffer.alloc(behind),
    ]);
  const good = (input: Buffer): Buffer => sign('sha256', input, privateKey);

  it.each<[string, (input: Buffer) => Buffer, string]>([
    ['made by hand', input => open(padded(Buffer.concat([digestInfo, hashOf(input)]))), GOOD],
    ['the hash without its name', input => open(padded(hashOf(input))), MISFIT],
    ['octets behind the hash', input => open(padded(Buffer.concat([digestInfo, hashOf(input)]), 20)), MISFIT],
    ['SHA-1 under the name of SHA-256', input => sign('sha1', input, privateKey), MISFIT],
    ['SHA-512 under the name of SHA-256', input => sign('sha512', input, privateKey), MISFIT],
    [
      'PSS',
      input => sign('sha256', input, {key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING}),
      MISFIT,
    ],
    ['an octet less', input => good(input).subarray(0, -1), MISFIT],
    ['a zero octet in front', input => Buffer.concat([Buffer.alloc(1), good(input)]), MISFIT],
    ['zeros', () => Buffer.alloc(size), MISFIT],
    ['much too long', () => Buffer.alloc(5000, 7), MISFIT],
    ['nothing', () => Buffer.alloc(0), SYNTAX],
  ])('%s', async (_what, signer, verdict) => {
    expect(await verdictOf({signer})).toBe(verdict);
  });
});
