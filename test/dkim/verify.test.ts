import {describe, expect, it} from 'vitest';
import {createVerifier, type SignOptions, signMessageSync, verifyMessage} from '../../src/dkim/index.ts';
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

const signed = (options: Partial<SignOptions> = {}, message = MESSAGE): Buffer =>
  withField(signMessageSync(message, {...base, ...options}), message);

const edited = (message: Buffer, from: string | RegExp, to: string): Buffer =>
  octets(message.toString('latin1').replace(from, to));

const verdictOn = async (message: Buffer, ...records: readonly string[]) => {
  const [verdict] = await verifyMessage(message, against(...(records.length === 0 ? [record] : records)));
  return verdict;
};

describe('verifyMessage', () => {
  it('has no verdict for a message without a signature', async () => {
    expect(await verifyMessage(MESSAGE, against(record))).toEqual([]);
  });

  it.each([
    ['the body', 'Hello', 'Hallo', 'fail', {id: 'body.hash', tag: 'bh'}],
    ['a signed field', 'To: bob', 'To: rob', 'fail', {id: 'signature.mismatch', tag: 'b'}],
    ['the version', 'v=1', 'v=2', 'permerror', {id: 'signature.version', tag: 'v'}],
    ['a required tag', ' s=s1;', '', 'permerror', {id: 'signature.tag-missing', tag: 's'}],
    ['a doubled tag', ' s=s1;', ' s=s1; s=s1;', 'permerror', {id: 'signature.tag-twice', tag: 's'}],
    [
      'the list of fields',
      /h=from:from:/,
      'h=',
      'permerror',
      {id: 'signature.from-unsigned', header: 'from'},
    ],
    ['rsa-sha1', 'rsa-sha256', 'rsa-sha1', 'permerror', {id: 'signature.rsa-sha1', section: 'RFC 8301 §3.1'}],
    ['an unknown algorithm', 'rsa-sha256', 'rsa-sha512', 'permerror', {id: 'signature.algorithm', tag: 'a'}],
    ['three canonicalizations', 'relaxed/relaxed', 'relaxed/relaxed/relaxed', 'permerror', {tag: 'c'}],
    [
      'an identity elsewhere',
      ' s=s1;',
      ' s=s1; i=@b.example;',
      'permerror',
      {id: 'signature.identity-domain'},
    ],
    ['an unknown query', ' s=s1;', ' s=s1; q=dns/svcb;', 'permerror', {id: 'signature.query'}],
    ['a time that is none', ' s=s1;', ' s=s1; t=x;', 'permerror', {id: 'signature.syntax', tag: 't'}],
    [
      'an end before the start',
      ' s=s1;',
      ' s=s1; t=9; x=9;',
      'permerror',
      {id: 'signature.syntax', tag: 'x'},
    ],
    [
      'an end in the past',
      ' s=s1;',
      ` s=s1; x=${NOW - 1};`,
      'permerror',
      {id: 'signature.expired', tag: 'x'},
    ],
    ['a length beyond the body', ' s=s1;', ' s=s1; l=9999;', 'permerror', {id: 'body.shorter', tag: 'l'}],
    ['bad base64', 'bh=', 'bh=*', 'permerror', {id: 'signature.syntax', tag: 'bh'}],
    ['the padding of bh=', /=;\r\n\tb=/, ';\r\n\tb=', 'permerror', {id: 'signature.syntax', tag: 'bh'}],
    ['the padding of b=', /=(?=\r\nFrom)/, '', 'permerror', {id: 'signature.syntax', tag: 'b'}],
    ['a bare LF between tags', ' s=s1;', '\n s=s1;', 'permerror', {id: 'signature.syntax'}],
    ['a bare CR between tags', ' s=s1;', '\r s=s1;', 'permerror', {id: 'signature.syntax'}],
    ['too much padding', /=(?=;\r\n\tb=)/, '==', 'permerror', {id: 'signature.syntax', tag: 'bh'}],
  ])('tells what is wrong when %s changes', async (_what, from, to, result, reason) => {
    const verdict = await verdictOn(edited(signed(), from, to));
    expect(verdict).toMatchObject({result, reason});
  });

  it.each([
    ['revoked', 'v=DKIM1; p=', 'key.revoked'],
    ['of another service', `s=tlsrpt; ${record.replace('v=DKIM1; ', '')}`, 'key.service'],
    ['for another hash', record.replace('h=sha256', 'h=sha1'), 'key.hash'],
    ['of another type', record.replace('k=rsa', 'k=ed25519'), 'key.type'],
    ['without a key', 'v=DKIM1; k=rsa', 'key.tag-missing'],
    ['no DKIM', 'v=DKIM2; p=abcd', 'key.version'],
    ['cut', record.slice(0, -11), 'key.base64'],
    ['short', recordOf(rsa(768).publicKey), 'key.too-short'],
    ['garbage', 'v=DKIM1; p=AAAA', 'key.not-a-key'],
  ])('refuses a key record that is %s', async (_what, text, id) => {
    expect(await verdictOn(signed(), text)).toMatchObject({result: 'permerror', reason: {id}});
  });

  it('tells an absent key from a DNS failure', async () => {
    const options = {now: NOW, lookup: () => Promise.resolve({status: 'absent' as const})};
    const [absent] = await verifyMessage(signed(), options);
    expect(absent).toMatchObject({result: 'permerror', reason: {id: 'key.absent'}});
    const [temporary] = await verifyMessage(signed(), {
      now: NOW,
      lookup: () => Promise.reject(new Error('timeout')),
    });
    expect(temporary).toMatchObject({result: 'temperror', reason: {id: 'key.temporary'}});
  });

  it('skips TXT records that are no keys and tries each key', async () => {
    const other = recordOf(rsa().publicKey);
    expect(await verdictOn(signed(), 'v=spf1 -all', other, record)).toMatchObject({result: 'pass'});
  });

  it('tries no more than three keys, and opens no more than four signatures', async () => {
    const other = recordOf(rsa().publicKey);
    const spf = 'v=spf1 -all';
    expect(await verdictOn(signed(), spf, spf, spf, spf, other, other, record)).toMatchObject({
      result: 'pass',
    });
    expect(await verdictOn(signed(), other, other, other, record)).toMatchObject({result: 'fail'});
    const one = signMessageSync(MESSAGE, base);
    const message = edited(withField(`${one}\r\n`.repeat(5).slice(0, -2), MESSAGE), 'To: bob', 'To: rob');
    const changes = (await verifyMessage(message, against(record))).map(({reason}) => reason.change);
    expect(changes).toEqual(['header', 'header', 'header', 'header', undefined]);
  });

  it('gives each of several signatures its own verdict and asks for each key once', async () => {
    const ed = ed25519();
    const one = signMessageSync(MESSAGE, base);
    const two = signMessageSync(MESSAGE, {...base, key: ed.privateKey, selector: selector('s2')});
    const bad = one.replace('bh=', 'bh=A');
    const names: string[] = [];
    const verdicts = await verifyMessage(withField(`${one}\r\n${bad}\r\n${two}\r\n${one}`, MESSAGE), {
      now: NOW,
      lookup: name => {
        names.push(name);
        const found = name.startsWith('s2') ? recordOf(ed.publicKey) : record;
        return Promise.resolve({status: 'found', records: [found]});
      },
    });
    expect(verdicts.map(verdict => verdict.result)).toEqual(['pass', 'permerror', 'pass', 'pass']);
    expect(names.sort()).toEqual(['s1._domainkey.example.org', 's2._domainkey.example.org']);
  });

  it('looks at no more signatures than it is told to', async () => {
    const one = signMessageSync(MESSAGE, base);
    const verdicts = await verifyMessage(withField(`${one}\r\n${one}`, MESSAGE), {
      ...against(record),
      maxSignatures: 1,
    });
    expect(verdicts.map(verdict => verdict.result)).toEqual(['pass', 'neutral']);
  });

  it('obeys t=s and reports t=y', async () => {
    const text = record.replace('k=rsa;', 'k=rsa; t=y:s;');
    expect(await verdictOn(signed(), text)).toMatchObject({result: 'pass', testing: true});
    const below = signed({identity: 'ann@mail.example.org'});
    expect(await verdictOn(below, text)).toMatchObject({result: 'permerror', reason: {id: 'key.subdomain'}});
    expect(await verdictOn(below)).toMatchObject({result: 'pass', identity: 'ann@mail.example.org'});
  });

  it('counts what l= leaves unsigned, and refuses it where the policy says so', async () => {
    const message = Buffer.concat([signed({bodyLength: 'whole'}), octets('added\r\n')]);
    const verdict = await verdictOn(message);
    expect(verdict).toMatchObject({result: 'pass', notes: [{id: 'note.body-unsigned'}]});
    expect(verdict?.body?.unsigned).toBeGreaterThan(0);
    const [strict] = await verifyMessage(message, {...against(record), policy: {wholeBody: true}});
    expect(strict).toMatchObject({result: 'policy', reason: {id: 'policy.body-length'}});
  });

  it.each([
    [{minimumRsaBits: 2048}, 'policy.key-size'],
    [{requiredHeaders: ['Received']}, 'policy.header-unsigned'],
    [{clockSkew: 60}, 'policy.future'],
    [{noTestKeys: true}, 'policy.test-key'],
  ])('judges by policy %j', async (policy, id) => {
    const message = signed({timestamp: NOW + 3600});
    const options = {...against(record.replace('k=rsa;', 'k=rsa; t=y;')), policy};
    const [verdict] = await verifyMessage(message, options);
    expect(verdict).toMatchObject({result: 'policy', reason: {id}});
  });

  it.each([
    [NOW + 59, 'pass'],
    [NOW + 60, 'pass'],
    [NOW + 61, 'policy'],
  ])('takes a time up to the allowed skew: t=%d', async (timestamp, result) => {
    const [verdict] = await verifyMessage(signed({timestamp}), {...against(record), policy: {clockSkew: 60}});
    expect(verdict).toMatchObject({result});
  });

  it('finds an added field by policy where it was not oversigned', async () => {
    const message = octets(`Subject: another\r\n${signed().toString('latin1')}`);
    expect(await verdictOn(message)).toMatchObject({result: 'pass'});
    const [verdict] = await verifyMessage(message, {...against(record), policy: {allInstances: true}});
    expect(verdict).toMatchObject({result: 'policy', reason: {id: 'policy.header-added', header: 'subject'}});
  });

  it('fails on an added From, which is oversigned', async () => {
    const message = octets(`From: mallory@b.example\r\n${signed().toString('latin1')}`);
    expect(await verdictOn(message)).toMatchObject({result: 'fail', notes: [{id: 'note.from-twice'}]});
  });

  it('knows a field whose colon stands behind a fold', async () => {
    const folded = edited(signed(), 'To: bob', 'To \r\n\t: bob');
    expect(await verdictOn(folded)).toMatchObject({result: 'pass'});
    const simple = signed(
      {canonicalization: {header: 'simple', body: 'simple'}},
      edited(MESSAGE, 'To: bob', 'To\r\n : bob'),
    );
    expect(await verdictOn(simple)).toMatchObject({result: 'pass'});
    expect(await verdictOn(edited(simple, ': bob', ': rob'))).toMatchObject({result: 'fail'});
    const added = octets(`From\r\n : mallory@b.example\r\n${signed().toString('latin1')}`);
    expect(await verdictOn(added)).toMatchObject({result: 'fail', notes: [{id: 'note.from-twice'}]});
  });

  it('names the changed field where z= has its copy', async () => {
    const message = edited(signed({copyHeaders: ['from', 'to', 'subject']}), 'To: bob', 'To: rob');
    expect(await verdictOn(message)).toMatchObject({result: 'fail', reason: {header: 'to'}});
  });

  it('shows the inputs of both hashes', async () => {
    const [verdict] = await verifyMessage(signed(), {...against(record), explain: {bodyOctets: 10}});
    expect(verdict?.explanation?.bodyInput.toString()).toBe('Hello Bob\r');
    expect(verdict?.explanation?.bodyInputLength).toBe(30);
    expect(verdict?.explanation?.headerInput.toString()).toMatch(/^from:Ann <ann@example.org>\r\nto:.*b=$/s);
  });

  it('reads files with bare LF on demand', async () => {
    const file = octets(signed().toString('latin1').replaceAll('\r\n', '\n'));
    const [verdict] = await verifyMessage(file, {...against(record), lineEndings: 'normalize'});
    expect(verdict?.result).toBe('pass');
  });

  it('accepts internationalized names as UTF-8 (RFC 8616)', async () => {
    const key = {...base, domain: domain('bücher.example')};
    expect(await verdictOn(signed(key))).toMatchObject({result: 'pass', domain: 'xn--bcher-kva.example'});
    const unicode = edited(signed(key), 'd=xn--bcher-kva.example', 'd=b\xc3\xbccher.example');
    // The signature covers the name as it is written, so only the name is right here.
    expect(await verdictOn(unicode)).toMatchObject({result: 'fail', domain: 'xn--bcher-kva.example'});
  });

  it('refuses a header block beyond its limit', async () => {
    const verifier = createVerifier({...against(record), maxHeaderOctets: 100});
    expect(() => verifier.update(octets(`X: ${'a'.repeat(200)}`))).toThrow('larger than 100');
    await expect(verifyMessage(MESSAGE, {...against(record), maxHeaderOctets: 100})).rejects.toThrow(
      'larger than 100',
    );
  });

  it('refuses Ed25519 keys of small order, which fit any message', async () => {
    const identity = Buffer.alloc(32);
    identity[0] = 1;
    const forged = edited(
      withField(signMessageSync(MESSAGE, {...base, key: ed25519().privateKey}), MESSAGE),
      /b=[A-Za-z0-9+/=\r\n\t]+\r\nFrom/,
      `b=${Buffer.concat([identity, Buffer.alloc(32)]).toString('base64')}\r\nFrom`,
    );
    const verdict = await verdictOn(forged, `v=DKIM1; k=ed25519; p=${identity.toString('base64')}`);
    expect(verdict).toMatchObject({result: 'fail', reason: {id: 'signature.mismatch'}});
  });
});
