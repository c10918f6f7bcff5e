import {describe, expect, it} from 'vitest';
import {
  createSigner,
  type SignOptions,
  signBatch,
  signMessage,
  signMessageSync,
  verifyMessage,
} from '../../src/dkim/index.ts';
import {
  against,
  domain,
  ed25519,
  MESSAGE,
  NOW,
  octets,
  recordOf,
  rsa,
  selector,
  withField,
} from './support.ts';

const pair = rsa();
const record = recordOf(pair.publicKey);
const base: SignOptions = {domain: domain('example.org'), selector: selector('s1'), key: pair.privateKey};

describe('signMessage', () => {
  it.each(['simple/simple', 'simple/relaxed', 'relaxed/simple', 'relaxed/relaxed'])(
    'signs %s',
    async name => {
      const [header, body] = name.split('/') as ['simple' | 'relaxed', 'simple' | 'relaxed'];
      const options: SignOptions = {
        ...base,
        canonicalization: {header, body},
        timestamp: NOW - 5,
        expiration: NOW + 5,
        identity: 'jörg+a=b@sub.example.org',
        bodyLength: 'whole',
        copyHeaders: ['From', 'Subject'],
        queryMethod: true,
      };
      for (const key of [pair, ed25519()]) {
        const field = signMessageSync(MESSAGE, {...options, key: key.privateKey});
        const [verdict] = await verifyMessage(withField(field, MESSAGE), against(recordOf(key.publicKey)));
        expect(verdict).toMatchObject({
          result: 'pass',
          identity: 'jörg+a=b@sub.example.org',
          canonicalization: {header, body},
        });
      }
    },
  );

  it('folds at sensible places, never beyond 78 where no word forces it', () => {
    const field = signMessageSync(MESSAGE, {
      ...base,
      oversign: [
        'from',
        'to',
        'subject',
        'date',
        'cc',
        'reply-to',
        'message-id',
        'mime-version',
        'content-type',
      ],
      timestamp: NOW,
      copyHeaders: ['from', 'to', 'subject', 'date', 'received'],
    });
    const lines = field.split('\r\n');
    expect(Math.max(...lines.map(line => line.length))).toBeLessThanOrEqual(78);
    expect(lines.slice(1).every(line => /^\t\S/.test(line))).toBe(true);
    expect(field.endsWith('\r\n')).toBe(false);
    const long = signMessageSync(MESSAGE, {
      ...base,
      domain: domain(`${'a'.repeat(60)}.${'b'.repeat(60)}.example`),
    });
    expect(Math.max(...long.split('\r\n').map(line => line.length))).toBeLessThan(998);
    const quoted = signMessageSync(MESSAGE, {
      ...base,
      identity: `${'\u00e9'.repeat(32)}@${'\u00e9.'.repeat(25)}example.org`,
    });
    expect(quoted).toContain('i==C3=A9');
    expect(Math.max(...quoted.split('\r\n').map(line => line.length))).toBeLessThan(998);
  });

  it('signs every instance of a field, oversigns From, and signs duplicates from the bottom up', () => {
    const field = signMessageSync(MESSAGE, {...base, headers: ['From', 'Received', 'Cc']});
    expect(field.replace(/\s/g, '')).toContain('h=from:from:received:received;');
  });

  it('says the same for a buffer, an iterable and an async iterable', async () => {
    const options = {...base, key: ed25519().privateKey};
    const whole = signMessageSync(MESSAGE, options);
    const each = Array.from(MESSAGE, octet => Uint8Array.of(octet));
    expect(await signMessage(MESSAGE, options)).toBe(whole);
    expect(await signMessage(each, options)).toBe(whole);
    expect(
      await signMessage(
        (async function* () {
          yield* each;
        })(),
        options,
      ),
    ).toBe(whole);
  });

  it('makes several signatures in one pass', async () => {
    const ed = ed25519();
    const signer = createSigner([
      base,
      {...base, key: ed.privateKey, canonicalization: {header: 'simple', body: 'simple'}},
    ]);
    signer.update(MESSAGE);
    const [one = '', two = ''] = await signer.finishAsync();
    const [first] = await verifyMessage(withField(one, MESSAGE), against(record));
    const [second] = await verifyMessage(withField(two, MESSAGE), against(recordOf(ed.publicKey)));
    expect([first?.result, second?.result]).toEqual(['pass', 'pass']);
  });

  it('signs a batch in order and fails where a message fails', async () => {
    const messages = Array.from({length: 30}, (_, index) =>
      octets(`From: a@example.org\r\n\r\n${index}\r\n`),
    );
    const fields: string[] = [];
    for await (const field of signBatch(messages, base, 4)) fields.push(field);
    expect(fields).toEqual(messages.map(message => signMessageSync(message, base)));
    const broken = signBatch([messages[0] ?? MESSAGE, octets('To: b\r\n\r\n')], base);
    expect((await broken.next()).done).toBe(false);
    await expect(broken.next()).rejects.toThrow('no From');
  });

  it.each<[string, Partial<SignOptions>]>([
    ['a public key', {key: pair.publicKey}],
    ['a short key', {key: rsa(768).privateKey}],
    ['h= without From', {headers: ['to']}],
    ['a bad name', {oversign: ['x y']}],
    ['milliseconds', {timestamp: Date.UTC(2025, 1)}],
    ['an end before the start', {timestamp: 9, expiration: 9}],
    ['a foreign identity', {identity: 'a@example.com'}],
    ['an identity that no line could hold', {identity: `${'a'.repeat(65)}@example.org`}],
    [
      'names that no DNS name could hold',
      {selector: selector('a'.repeat(63)), domain: domain(`${'b'.repeat(60)}.`.repeat(3).concat('example'))},
    ],
    ['a negative length', {bodyLength: -1}],
    ['a length beyond the body', {bodyLength: 9999}],
  ])('refuses %s', (_what, options) => {
    expect(() => signMessageSync(MESSAGE, {...base, ...options})).toThrow();
  });
});
