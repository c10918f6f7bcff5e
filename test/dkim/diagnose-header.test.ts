import {sign as cryptoSign, type KeyObject} from 'node:crypto';
import process from 'node:process';
import {describe, expect, it} from 'vitest';
import {type SignOptions, signMessageSync, verifyMessage} from '../../src/dkim/index.ts';
import {fc} from '../support/fast-check.ts';
import {against, domain, ed25519, octets, recordOf, rsa, selector, withField} from './support.ts';

const RSA = rsa();
const ED25519 = ed25519();
const base = {domain: domain('example.org'), selector: selector('s1')};
const SIMPLE = {header: 'simple', body: 'simple'} as const;
const BODY = '\r\nHello\r\n';
const HEADER = [
  'From: "Ann Author" <ann@example.org>',
  'To: bob@dest.example, carol@dest.example',
  'Subject: minutes of the meeting',
  'Date: Sun, 15 Jun 2025 15:06:40 +0000',
  'Message-ID: <1@example.org>',
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: 8bit',
  'References: <a@example.org>',
  ' <b@example.org>',
  'Resent-To: one@dest.example',
  'Resent-To: two@dest.example',
  '',
].join('\r\n');

interface Case {
  readonly key?: {readonly privateKey: KeyObject; readonly publicKey: KeyObject};
  readonly options?: Partial<SignOptions>;
  readonly change: (message: string) => string;
}

/** What is said of a message that was changed after it was signed. */
async function told({key = RSA, options = {}, change}: Case, diagnose = true) {
  const signed = withField(
    signMessageSync(octets(HEADER + BODY), {...base, key: key.privateKey, ...options}),
    octets(HEADER + BODY),
  );
  const came = octets(change(signed.toString('latin1')));
  const [verdict] = await verifyMessage(came, {...against(recordOf(key.publicKey)), diagnose});
  expect(verdict?.result).toBe('fail');
  return verdict?.reason;
}

const replacing =
  (from: string, to: string) =>
  (message: string): string => {
    expect(message).toContain(from);
    return message.replace(from, to);
  };

const CHANGES = [
  ['a tag of a list', 'Subject: ', 'Subject: [list] ', 'subject', '"minutes of the meeting"'],
  ['a tag without a blank', 'Subject: ', 'Subject: [list]', 'subject', '"minutes of the meeting"'],
  ['a warning', 'Subject: ', 'Subject: ***SPAM*** [EXTERNAL] ', 'subject', '"minutes of the meeting"'],
  ['a note behind', 'meeting', 'meeting (was: nothing)', 'subject', '"minutes of the meeting"'],
  ['Re: taken away', 'Subject: minutes', 'Subject: Re: minutes', 'subject', '"minutes of the meeting"'],
  ['an address more', 'carol@', 'dave@dest.example, carol@', 'to', 'carol'],
  ['quotes lost', '"Ann Author"', 'Ann Author', 'from', 'Ann Author'],
  ['blanks after commas lost', 'example, carol', 'example,carol', 'to', 'example, carol'],
  [
    'a parameter more',
    'charset=utf-8',
    'charset=utf-8; format=flowed',
    'content-type',
    '"text/plain; charset=utf-8"',
  ],
  ['a parameter quoted', '=utf-8', '="utf-8"', 'content-type', '"text/plain; charset=utf-8"'],
  ['another encoding', ': 8bit', ': quoted-printable', 'content-transfer-encoding', '"8bit"'],
  ['a comment', '+0000', '+0000 (UTC)', 'date', '+0000"'],
  ['brackets lost', '<1@example.org>', '1@example.org', 'message-id', '"<1@example.org>"'],
  ['a fold in a word', 'minutes', 'minu\r\n tes', 'subject', '"minutes of the meeting"'],
  ['two words joined', 'of the', 'ofthe', 'subject', '"minutes of the meeting"'],
] as const;

describe('what changed the header', () => {
  it.each(CHANGES)('tells %s (RSA)', async (_what, from, to, header, signed) => {
    const why = await told({change: replacing(from, to)});
    expect(why).toMatchObject({id: 'signature.mismatch', tag: 'b', change: 'field-text', header});
    expect(why?.message.replaceAll('\\"', '')).toContain(
      `The signature does not fit: the field ${header} was signed as `,
    );
    expect(why?.message).toContain(signed.replaceAll('"', ''));
  });

  it.each(CHANGES)('tells %s (Ed25519)', async (_what, from, to, header) => {
    expect(await told({key: ED25519, change: replacing(from, to)})).toMatchObject({
      change: 'field-text',
      header,
    });
  });

  it.each([
    ['a tag of a list', 'Subject: ', 'Subject: [list] ', 'subject'],
    ['a blank after the colon lost', 'Subject: ', 'Subject:', 'subject'],
    ['a doubled blank', 'of the', 'of  the', 'subject'],
    ['a field unfolded', '\r\n <b@', ' <b@', 'references'],
    ['a field folded with HTAB', '\r\n <b@', '\r\n\t<b@', 'references'],
    ['a field folded where it was not', ', carol', ',\r\n carol', 'to'],
  ] as const)('tells %s in the simple form', async (_what, from, to, header) => {
    const why = await told({options: {canonicalization: SIMPLE}, change: replacing(from, to)});
    expect(why).toMatchObject({change: 'field-text', header});
  });

  it('tells the first octet of the canonical field that is not as signed', async () => {
    const why = await told({change: replacing('of the meeting', 'of [list] the meeting')});
    expect(why?.offset).toBe('subject:minutes of '.length);
    expect(why?.message).toBe(
      'The signature does not fit: the field subject was signed as "minutes of the meeting" and is now "minutes of [list] the meeting".',
    );
  });

  it('tells a field that was added', async () => {
    const options = {oversign: ['from', 'reply-to', 'to']};
    const added = await told({options, change: message => `Reply-To: list@example.net\r\n${message}`});
    expect(added).toMatchObject({change: 'field-added', header: 'reply-to'});
    expect(added?.message).toBe(
      'The signature does not fit: the field reply-to was added, "list@example.net"; without it the header is as it was signed.',
    );
    const second = await told({change: replacing('Subject:', 'To: eve@dest.example\r\nSubject:')});
    expect(second).toMatchObject({change: 'field-added', header: 'to'});
    expect(second?.message).toContain('number 2 of the fields to was added, "eve@dest.example"');
  });

  it('tells what a list does: a field and a tag in the subject, or two fields', async () => {
    const options = {oversign: ['from', 'reply-to', 'sender']};
    for (const key of [RSA, ED25519]) {
      const tagged = await told({
        key,
        options,
        change: message => `Reply-To: l@example.net\r\n${message.replace('Subject: ', 'Subject: [list] ')}`,
      });
      expect(tagged).toMatchObject({change: 'field-text', header: 'subject', offset: 'subject:'.length});
      expect(tagged?.message).toBe(
        'The signature does not fit: the field reply-to was added, "l@example.net", and the field subject was signed as "minutes of the meeting" and is now "[list] minutes of the meeting".',
      );
    }
    const two = await told({
      options,
      change: message => `Reply-To: l@example.net\r\nSender: l@example.net\r\n${message}`,
    });
    expect(two).toMatchObject({change: 'field-added'});
    expect(two?.message).toMatch(/sender was added.*and the field reply-to was added.*without them/);
  });

  it('tells fields of one name that changed places', async () => {
    const why = await told({
      change: message => message.replace('one@', 'x@').replace('two@', 'one@').replace('x@', 'two@'),
    });
    expect(why).toMatchObject({change: 'field-order', header: 'resent-to'});
  });

  it('tells a signer that hashed another form than it says', async () => {
    const why = await told({
      options: {canonicalization: SIMPLE},
      change: replacing('c=simple/', 'c=relaxed/'),
    });
    // The own field says another thing than was signed: nothing explains that.
    expect(why).toMatchObject({change: 'header'});
    const field = signMessageSync(octets(HEADER + BODY), {
      ...base,
      key: RSA.privateKey,
      exactHeaders: ['from'],
    });
    const unsigned = field.slice(0, field.indexOf('\tb=') + 3);
    const input = `${HEADER.slice(0, HEADER.indexOf('\r\n') + 2)}${unsigned}`;
    const b = cryptoSign('sha256', octets(input), RSA.privateKey).toString('base64');
    const message = withField(unsigned + b, octets(HEADER + BODY));
    const [verdict] = await verifyMessage(message, {...against(recordOf(RSA.publicKey)), diagnose: true});
    expect(verdict?.reason).toMatchObject({change: 'header-canonicalization'});
    expect(verdict?.reason.message).toContain('hashed the simple form of the header, c= says relaxed');
  });

  it('tells the header from the key, even where it is not asked to look further', async () => {
    for (const diagnose of [true, false]) {
      const header = await told({change: replacing('minutes of the meeting', 'buy this now')}, diagnose);
      expect(header).toEqual({
        id: 'signature.mismatch',
        section: 'RFC 6376 §6.1.3',
        tag: 'b',
        change: 'header',
        message:
          'The signature does not fit: it was made with this key, but a signed header field was changed, added or removed.',
      });
      const key = await told(
        {key: {...RSA, publicKey: rsa().publicKey}, change: message => message},
        diagnose,
      );
      expect(key).toMatchObject({id: 'signature.mismatch', change: 'key'});
      const damaged = await told(
        {change: message => message.replace(/(\tb=..)./, (_all, start: string) => `${start}+`)},
        diagnose,
      );
      expect(damaged).toMatchObject({id: 'signature.mismatch', change: 'key'});
    }
    const plain = await told({change: replacing('Subject: ', 'Subject: [list] ')}, false);
    expect(plain).toMatchObject({change: 'header'});
    expect(plain?.header).toBeUndefined();
  });

  it('knows nothing more of an Ed25519 signature that no guess fits', async () => {
    const why = await told({key: ED25519, change: replacing('minutes of the meeting', 'buy this now')});
    expect(why?.change).toBeUndefined();
    expect(why?.message).toContain('or the key is another one');
  });

  it('tells a signature over a hash that is no SHA-256', async () => {
    const field = signMessageSync(octets(HEADER + BODY), {...base, key: RSA.privateKey});
    const start = field.indexOf('\tb=') + 3;
    const b = cryptoSign('sha1', octets('anything'), RSA.privateKey).toString('base64');
    const message = withField(field.slice(0, start) + b, octets(HEADER + BODY));
    const [verdict] = await verifyMessage(message, against(recordOf(RSA.publicKey)));
    expect(verdict?.reason).toMatchObject({id: 'signature.mismatch', change: 'key'});
    expect(verdict?.reason.message).toContain('a hash that is no SHA-256');
  });

  it('tells both where body and header were changed', async () => {
    const why = await told({
      change: message => `${message.replace('Subject: ', 'Subject: [list] ')}-- \r\nlist\r\n`,
    });
    expect(why).toMatchObject({id: 'body.hash', change: 'appended'});
    expect(why?.message).toContain(
      'The header does not fit the signature either: the field subject was signed as "minutes of the meeting"',
    );
  });

  it('finds any words put into any signed field', async () => {
    const word = fc.string({
      unit: fc.constantFrom('a', 'B', '[', ']', ':', '-', '"', ','),
      minLength: 1,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('from', 'to', 'subject', 'date', 'message-id', 'mime-version'),
        fc.array(word, {minLength: 1, maxLength: 4}),
        fc.nat(5),
        async (name, words, at) => {
          const why = await told({
            change: message =>
              message.replace(new RegExp(`^${name}: (.*)\r\n`, 'im'), (line, value: string) => {
                const all = value.split(' ');
                all.splice(Math.min(at, all.length), 0, ...words);
                return `${line.slice(0, name.length + 2)}${all.join(' ')}\r\n`;
              }),
          });
          expect(why).toMatchObject({change: 'field-text', header: name});
        },
      ),
      {numRuns: 200},
    );
  });

  it('takes bounded time, whatever the header', async () => {
    const shapes: readonly (readonly [string, string])[] = [
      ['a long subject', `Subject: ${'a '.repeat(1990)}\r\n`],
      ['a long subject of blanks', `Subject: a${' '.repeat(4000)}\r\n`],
      ['a huge subject', `Subject: ${'a '.repeat(500_000)}\r\n`],
      ['many fields', 'To: a\r\n'.repeat(400)],
      ['very many fields', 'To: a\r\n'.repeat(3000)],
      ['long fields', `${`To: ${'"a, '.repeat(900)}\r\n`.repeat(15)}`],
    ];
    for (const [name, header] of shapes) {
      for (const key of [RSA, ED25519]) {
        for (const canonicalization of [SIMPLE, {header: 'relaxed', body: 'relaxed'} as const]) {
          const message = octets(`From: a@example.org\r\n${header}${BODY}`);
          const field = signMessageSync(message, {...base, key: key.privateKey, canonicalization});
          const came = withField(field, Buffer.concat([octets('Cc: b\r\nFrom: eve\r\n'), message]));
          const options = {...against(recordOf(key.publicKey)), diagnose: true};
          const begin = process.cpuUsage();
          const [verdict] = await verifyMessage(
            octets(came.toString('latin1').replace('From: a@', 'From: x y z eve@')),
            options,
          );
          const {user, system} = process.cpuUsage(begin);
          expect(verdict?.result).toBe('fail');
          expect([name, Math.max((user + system) / 1e6, 2)]).toEqual([name, 2]);
        }
      }
    }
  });
});
