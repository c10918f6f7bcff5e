import {describe, expect, it} from 'vitest';
import {
  formatKeyRecord,
  isRevoked,
  keyOf,
  keyTagAt,
  lintKeyRecord,
  parseKeyRecord,
  publicKeyOf,
} from '../../src/dkim/index.ts';
import {inspectKey} from '../../src/keys/index.ts';
import {ed25519, recordOf, rsa} from './support.ts';

const pair = rsa(2048);
const ed = ed25519();
const record = recordOf(pair.publicKey);
const p = record.slice(record.indexOf('p=') + 2);

describe('formatKeyRecord', () => {
  it('writes v, h, k, n, t, p in this order', () => {
    expect(record).toMatch(/^v=DKIM1; h=sha256; k=rsa; p=MII[A-Za-z0-9+/]+=*$/);
    const full = formatKeyRecord({
      algorithm: 'rsa',
      publicKey: pair.privateKey,
      testMode: true,
      noSubdomains: true,
      note: 'ours; not =theirs=',
    });
    expect(full).toBe(`v=DKIM1; h=sha256; k=rsa; n=ours=3B not =3Dtheirs=3D; t=y:s; p=${p}`);
  });

  it('writes the bare key and no hash for Ed25519', () => {
    expect(recordOf(ed.publicKey)).toMatch(/^v=DKIM1; k=ed25519; p=[A-Za-z0-9+/]{43}=$/);
  });

  it('refuses a key of another type', () => {
    expect(() => formatKeyRecord({algorithm: 'rsa', publicKey: ed.publicKey})).toThrow('not rsa');
  });

  it.each([pair, ed])('is read back', one => {
    const parsed = parseKeyRecord(recordOf(one.publicKey));
    expect(parsed.ok).toBe(true);
    if (!parsed.ok) return;
    const key = keyOf(parsed.value);
    expect(key.ok && key.value.key.equals(one.publicKey)).toBe(true);
  });
});

describe('parseKeyRecord', () => {
  it('takes the bare RSAPublicKey that the RFC names as well', () => {
    const bare = pair.publicKey.export({format: 'der', type: 'pkcs1'}).toString('base64');
    const parsed = parseKeyRecord(`p=${bare}`);
    const key = parsed.ok ? keyOf(parsed.value) : undefined;
    expect(key?.ok === true && key.value.key.equals(pair.publicKey)).toBe(true);
  });

  it('takes a folded record', () => {
    const folded = record.replaceAll(' ', '\r\n\t').replace('p=', '\r\n p \r\n =\r\n ');
    expect(parseKeyRecord(folded)).toMatchObject({ok: true, value: {keyType: 'rsa', revoked: false}});
  });

  it('takes a key without its padding, as the grammar has it', () => {
    const parsed = parseKeyRecord(recordOf(ed.publicKey).slice(0, -1));
    const key = parsed.ok ? keyOf(parsed.value) : undefined;
    expect(key?.ok === true && key.value.key.equals(ed.publicKey)).toBe(true);
  });

  it('reads every tag and ignores the unknown', () => {
    const parsed = parseKeyRecord(
      `v=DKIM1; h = sha1 : sha256; k=rsa; n=note; s=email:*; t = y : s; x=1; p= ${p} ;`,
    );
    expect(parsed.ok && parsed.value).toMatchObject({
      keyType: 'rsa',
      hashes: ['sha1', 'sha256'],
      services: ['email', '*'],
      testing: true,
      noSubdomains: true,
      note: 'note',
      revoked: false,
    });
  });

  it.each([
    '',
    ' ',
    'v=DKIM1',
    'p',
    'v=dkim1; p=',
    'p=; v=DKIM1',
    'p=a; p=b',
    'v=DKIM1; p=*',
    ';p=',
    '\n p=',
    'p=;\r\n',
  ])('refuses %j', text => {
    expect(parseKeyRecord(text).ok).toBe(false);
  });
});

describe('lintKeyRecord', () => {
  const ids = (texts: string | readonly string[], options = {}): readonly string[] =>
    lintKeyRecord(texts, options).map(finding => finding.id);

  it('has nothing to say about its own records', () => {
    expect(ids(record)).toEqual([]);
    expect(ids(recordOf(ed.publicKey))).toEqual([]);
  });

  it.each<[string | readonly string[], string]>([
    [[], 'lint.no-record'],
    [[record, record], 'lint.several-records'],
    [record.replace('DKIM1', 'dkim1'), 'lint.version'],
    [`k=rsa; v=DKIM1; p=${p}`, 'lint.version-not-first'],
    [`p=${p}`, 'lint.no-version'],
    [`${record}; p=${p}`, 'lint.tag-twice'],
    ['v=DKIM1; k=rsa', 'lint.no-key'],
    ['v=DKIM1; p=', 'lint.revoked'],
    ['v=DKIM1; p=a*b', 'lint.base64'],
    [recordOf(ed.publicKey).slice(0, -1), 'lint.padding'],
    [record.replace('p=', 'p="'), 'lint.quotes'],
    [record.replaceAll(';', '\\;'), 'lint.escaped'],
    [`s1._domainkey.example.org. 3600 IN TXT ${record}`, 'lint.zone-line'],
    [`${record.slice(0, 255)} ${record.slice(255)}`, 'lint.spaces-in-key'],
    [record.replace('k=rsa', 'k=dsa'), 'lint.key-type'],
    [record.replace('k=rsa', 'k=ed25519'), 'lint.type-mismatch'],
    [recordOf(ed.publicKey).replace('ed25519', 'rsa'), 'lint.type-mismatch'],
    ['v=DKIM1; k=ed25519; p=AAAA', 'lint.ed25519-size'],
    ['v=DKIM1; k=rsa; p=AAAA', 'lint.not-a-key'],
    [recordOf(rsa(768).publicKey), 'lint.key-size'],
    [recordOf(rsa(1024).publicKey), 'lint.key-size'],
    [recordOf(rsa(3072).publicKey), 'lint.key-size'],
    [record.replace('sha256', 'sha1'), 'lint.hash'],
    [record.replace('sha256', 'sha1:sha256'), 'lint.sha1'],
    [record.replace('k=', 's=tlsrpt; k='), 'lint.service'],
    [record.replace('k=', 't=y; k='), 'lint.test-mode'],
    [record.replace('k=', 't=s; k='), 'lint.no-subdomains'],
    [record.replace('k=', 't=z; k='), 'lint.unknown-flag'],
    [record.replace('k=', 'g=*; k='), 'lint.obsolete-g'],
    [record.replace('k=', 'zz=1; k='), 'lint.unknown-tag'],
    ['v=DKIM1; k=rsa; p=MA0CCQDAAAAAAAAAAgIC', 'lint.not-a-key'],
  ])('finds the fault in %j', (texts, id) => {
    expect(ids(texts)).toContain(id);
  });

  it.each([
    ['rsa', pair.privateKey.export({format: 'der', type: 'pkcs1'})],
    ['rsa', pair.privateKey.export({format: 'der', type: 'pkcs8'})],
    ['ed25519', ed.privateKey.export({format: 'der', type: 'pkcs8'})],
  ])('finds a private %s key', (type, der) => {
    expect(ids(`v=DKIM1; k=${type}; p=${der.toString('base64')}`)).toEqual(['lint.private-key']);
  });

  it('finds an even exponent', () => {
    const der = pair.publicKey.export({format: 'der', type: 'pkcs1'});
    der[der.length - 1] = 0;
    expect(ids(`v=DKIM1; p=${der.toString('base64')}`)).toContain('lint.rsa-numbers');
  });

  it('tells the key of another pair', () => {
    expect(ids(recordOf(rsa(2048).publicKey), {expected: record})).toEqual(['lint.other-key']);
    expect(ids(record, {expected: record})).toEqual([]);
  });

  it('puts the gravest first', () => {
    const severities = lintKeyRecord([`${record.replace('k=', 't=y:s; s=x; k=')}`]).map(
      finding => finding.severity,
    );
    expect(severities).toEqual(['error', 'warning', 'note']);
  });
});

describe('publicKeyOf', () => {
  const pem = pair.privateKey.export({type: 'pkcs8', format: 'pem'}).toString();
  const inspected = inspectKey(pem);
  const ofKey = inspected.ok ? inspected.value.publicKey : 'none';
  const pkcs1 = pair.publicKey.export({type: 'pkcs1', format: 'der'}).toString('base64');

  // RFC 6376 §3.2: white space around names, "=" and values; any order; §2.10: folding within base64.
  it.each([
    ['as waxseal writes it', record],
    ['blanks around =', `v=DKIM1; k=rsa; p = ${p}`],
    ['a tab and blanks before =', `v=DKIM1; p\t =  ${p} ;`],
    ['folded', `v=DKIM1;\r\n p=${p.slice(0, 60)}\r\n\t${p.slice(60)}`],
    ['another order, no version', `p=${p}; k=rsa`],
    ['a word in another case', `v=DKIM1; k=RSA; p=${p}`],
    ['blanks in the key', `v=DKIM1; p=${p.slice(0, 9)} ${p.slice(9)}`],
    ['without padding', `v=DKIM1; p=${p.replace(/=+$/, '')}`],
    ['the bare RSAPublicKey', `v=DKIM1; p=${pkcs1}`],
    ['a note that speaks of p', `v=DKIM1; n=p=3DMIIB; p=${p}`],
  ])('is the same of the same key: %s', (_how, text) => {
    expect(publicKeyOf(text)).toBe(ofKey);
  });

  it('joins several strings without anything between', () => {
    expect(publicKeyOf([record.slice(0, 100), record.slice(100)])).toBe(ofKey);
  });

  it('is that of the private key for Ed25519, too', () => {
    const of = inspectKey(ed.privateKey.export({type: 'pkcs8', format: 'pem'}).toString());
    expect(publicKeyOf(recordOf(ed.publicKey))).toBe(of.ok ? of.value.publicKey : 'none');
  });

  it.each(['v=DKIM1; p=', 'v=DKIM1; k=rsa; p = ;', 'p=\r\n '])('is empty where it is revoked: %j', text => {
    expect(publicKeyOf(text)).toBe('');
    expect(isRevoked(text)).toBe(true);
    expect(keyTagAt(text)).toBe(-1);
  });

  it.each([
    ['', ''],
    ['no p=', 'v=DKIM1; k=rsa'],
    ['the name of a tag is case-sensitive', `v=DKIM1; P=${p}`],
    ['twice', `v=DKIM1; p=${p}; p=${p}`],
    ['no base64', 'v=DKIM1; p=MII!'],
    ['another version', `v=DKIM2; p=${p}`],
  ])('is unknown where it cannot be read: %s', (_why, text) => {
    expect(publicKeyOf(text)).toBeUndefined();
    expect(isRevoked(text)).toBe(false);
  });

  it('says where the tag begins', () => {
    for (const text of [record, `v=DKIM1; p = ${p}`, `p=${p}`]) {
      expect(text.slice(keyTagAt(text))).toMatch(/^p ?= ?MII/);
    }
    expect(keyTagAt('v=DKIM1; k=rsa')).toBe(-1);
  });
});
