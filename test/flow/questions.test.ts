import {describe, expect, it} from 'vitest';
import {FLAGS, takes} from '../../src/cli/flags.ts';
import type {Answers, QuestionId} from '../../src/flow/answers.ts';
import {givenFrom} from '../../src/flow/given.ts';
import {nextSelector, QUESTION_ORDER, QUESTIONS, questionOf} from '../../src/flow/questions.ts';
import {parseTrustedHosts} from '../../src/flow/trusted-hosts.ts';
import {domainOf, fakeFacts, selectorOf} from '../support/fake-operations.ts';

const facts = fakeFacts();

const good: Readonly<Record<QuestionId, readonly (readonly [string, string])[]>> = {
  install: [
    ['yes', 'yes'],
    ['N', 'no'],
  ],
  selectors: [
    ['', ''],
    ['Example.ORG=S1,example.net=s2', 'example.org=s1,example.net=s2'],
  ],
  otherSigner: [
    ['leave', 'leave'],
    [' Switch ', 'switch'],
  ],
  domains: [
    ['Example.ORG.', 'example.org'],
    ['example.org, bücher.example;example.org', 'example.org,xn--bcher-kva.example'],
  ],
  selector: [['202611', '202611']],
  key: [
    ['rsa:2048', 'rsa:2048'],
    ['3072', 'rsa:3072'],
    ['RSA:4096', 'rsa:4096'],
    ['file:/root/a key.pem', 'file:/root/a key.pem'],
  ],
  settings: [
    ['recommended', 'recommended'],
    ['no', 'change'],
  ],
  subdomains: [['no', 'no']],
  trustedHosts: [
    ['', ''],
    ['10.9.9.0/24 2001:DB8::/32, .lan.example.org', '10.9.9.0/24,2001:db8::/32,.lan.example.org'],
  ],
  socket: [
    ['auto', 'auto'],
    ['unix', 'unix'],
    ['inet:8891', 'inet:8891'],
  ],
  canonicalization: [['Relaxed/Relaxed', 'relaxed/relaxed']],
  testMode: [['yes', 'yes']],
  note: [
    ['', ''],
    [' ask hostmaster ', 'ask hostmaster'],
  ],
  publish: [
    ['', 'manual'],
    ['nsupdate', 'nsupdate'],
    [
      'knsupdate key=/etc/knot/a key server=[2001:db8::1]:5353',
      'knsupdate key=/etc/knot/a key server=[2001:db8::1]:5353',
    ],
    ['nsupdate server=192.0.2.1:53', 'nsupdate server=192.0.2.1'],
    ['hook:/usr/local/sbin/../bin/dns hook', 'hook:/usr/local/bin/dns hook'],
    ['Lexicon:Cloudflare config=/etc/lexicon', 'lexicon:cloudflare config=/etc/lexicon'],
  ],
};

const bad: Readonly<Partial<Record<QuestionId, readonly string[]>>> = {
  install: ['perhaps'],
  selectors: ['example.org', 'example=s1', 'example.org=../x'],
  otherSigner: ['', 'both'],
  domains: ['', ' , ', 'postmaster@example.org', 'example', 'https://example.org'],
  selector: ['', '../x', 'a b', 'x._domainkey'],
  key: ['', 'rsa:1024', 'dsa', 'file:relative.pem', 'ed25519'],
  settings: ['maybe'],
  subdomains: ['2'],
  trustedHosts: ['0.0.0.0/0', '::/0', '10.0.0.1/33', '300.1.1.1', '!10.0.0.1', 'a/b/c', 'host/8'],
  socket: ['inet:0', 'inet:99999', 'tcp:1', '/run/x.sock'],
  canonicalization: ['relaxed', 'strict/strict'],
  publish: [
    'by-hand',
    'hook:relative',
    'hook:',
    'lexicon:',
    'lexicon:--help',
    'nsupdate server=ns1.example.org',
    'nsupdate config=/etc/lexicon',
    'manual key=/etc/bind/a.key',
  ],
  note: ['a;b', 'a"b', 'ü', 'x'.repeat(101)],
};

describe('every question', () => {
  for (const id of QUESTION_ORDER) {
    const question = questionOf(id);
    it(`${id}: reads texts, and reads its own text back to the same value`, () => {
      for (const [text, formatted] of good[id]) {
        const read = question.accept(text, {}, facts);
        expect(read, text).toMatchObject({ok: true});
        if (!read.ok) continue;
        expect(question.textIn(read.value)).toBe(formatted);
        expect(question.accept(formatted, {}, facts)).toEqual(read);
      }
      for (const text of bad[id] ?? []) {
        const read = question.accept(text, {}, facts);
        expect(read, JSON.stringify(text)).toMatchObject({ok: false});
        if (!read.ok) expect(read.problem.hint).not.toBe('');
      }
    });

    it(`${id}: is worded for an 80 column terminal and for somebody who does not know DKIM`, () => {
      expect(question.title).toMatch(/\?$/);
      expect(question.title.length).toBeLessThanOrEqual(60);
      expect(question.title).not.toMatch(/choose|select/i);
      expect(question.help.length).toBeGreaterThanOrEqual(2);
      expect(question.help.length).toBeLessThanOrEqual(8);
      // Whole sentences: a view that is narrower than these lines would break broken lines again.
      for (const sentence of question.help) expect(sentence).toMatch(/[.]$/);
      expect(question.help.join(' ').length).toBeLessThanOrEqual(500);
    });

    it(`${id}: suggests what it would accept, and offers only what it would accept`, () => {
      const known = {suggestedSelector: selectorOf('202611')};
      expect(question.accept(question.suggest({}, facts, known), {}, facts).ok).toBe(true);
      for (const choice of question.choices?.({}, facts) ?? []) {
        expect(question.accept(choice.value, {}, facts).ok, choice.value).toBe(choice.disabled === undefined);
      }
    });
  }

  it('stands in the order once', () => {
    expect([...QUESTION_ORDER].sort()).toEqual(Object.keys(QUESTIONS).sort());
  });

  it('depends only on questions before it', () => {
    for (const id of QUESTION_ORDER) {
      for (const other of questionOf(id).dependsOn) {
        expect(QUESTION_ORDER.indexOf(other)).toBeLessThan(QUESTION_ORDER.indexOf(id));
      }
    }
  });

  it('asks for settings one by one only where they are to be changed, for packages only where some are missing', () => {
    const asked = (answers: Answers, over = facts): readonly QuestionId[] =>
      QUESTION_ORDER.filter(id => questionOf(id).applies(answers, over));
    expect(asked({settings: 'recommended'})).toEqual(['domains', 'selector', 'key', 'settings']);
    expect(asked({settings: 'change'})).toHaveLength(11);
    expect(asked({}, fakeFacts({missingPackages: ['opendkim']}))[0]).toBe('install');
  });
});

describe('the domains', () => {
  const offered = (...names: readonly string[]): readonly (readonly [string, string])[] =>
    (QUESTIONS.domains.choices?.({}, fakeFacts({mailDomains: names.map(domainOf)})) ?? []).map(
      ({value, label}) => [value, label],
    );

  it('are offered one by one and together, but no localhost of a domain', () => {
    expect(offered('example.org', 'localhost.example.org')).toEqual([['example.org', 'example.org']]);
    expect(offered('example.org', 'example.net').at(-1)).toEqual(['example.org,example.net', 'Both of them']);
    expect(offered('a.example', 'b.example', 'c.example', 'localhost.a.example').at(-1)).toEqual([
      'a.example,b.example,c.example',
      'All 3 of them',
    ]);
  });
});

describe('Ed25519', () => {
  it('is refused with the reason where OpenDKIM has one algorithm for all keys, and offered where it has not', () => {
    const read = QUESTIONS.key.parse('ed25519', {}, facts);
    expect(read).toMatchObject({ok: false, problem: {id: 'key.ed25519-unsupported'}});
    const newer =
      facts.signer === undefined ? facts : {...facts, signer: {...facts.signer, version: '3.0.1'}};
    expect(QUESTIONS.key.parse('ed25519', {}, newer).ok).toBe(true);
    expect(QUESTIONS.key.parse('ed25519', {}, {...facts, signer: undefined}).ok).toBe(false);
  });
});

describe('flags', () => {
  it('become the texts of their questions', () => {
    expect(
      givenFrom({
        domain: ['example.org', 'example.net'],
        selector: 's1',
        bits: '3072',
        install: true,
        'no-subdomains': true,
        'test-mode': true,
        'trusted-hosts': '10.0.0.1',
        json: true,
      }),
    ).toEqual({
      ok: true,
      value: {
        install: 'yes',
        domains: 'example.org,example.net',
        selector: 's1',
        key: 'rsa:3072',
        subdomains: 'no',
        testMode: 'yes',
        trustedHosts: '10.0.0.1',
      },
    });
  });

  it('give the same answers again when printed', () => {
    for (const id of QUESTION_ORDER) {
      const question = questionOf(id);
      for (const [text] of good[id]) {
        const read = question.accept(text, {}, facts);
        if (!read.ok) throw new Error(text);
        const argv = question.argvIn(read.value);
        if (argv.length === 0) continue;
        const values: Record<string, string | boolean | string[]> = {};
        for (let at = 0; at < argv.length; at += 1) {
          const name = argv[at]?.slice(2) ?? '';
          const value = argv[at + 1];
          if (value === undefined || value.startsWith('--')) values[name] = true;
          else {
            const before = values[name];
            values[name] = Array.isArray(before) ? [...before, value] : id === 'domains' ? [value] : value;
            at += 1;
          }
        }
        const given = givenFrom(values);
        if (!given.ok) throw new Error(given.problem.message);
        expect(question.accept(given.value[id] ?? '', {}, facts)).toEqual(read);
      }
    }
  });

  it('that contradict each other are refused', () => {
    expect(givenFrom({key: '/k.pem', bits: '2048'}).ok).toBe(false);
    expect(givenFrom({algorithm: 'ed25519', bits: '2048'}).ok).toBe(false);
    expect(givenFrom({algorithm: 'rsa'})).toEqual({ok: true, value: {key: 'rsa:2048'}});
    expect(givenFrom({})).toEqual({ok: true, value: {}});
  });
});

describe('the command line', () => {
  it('says of a flag what its question says, and takes it for a set-up', () => {
    for (const id of QUESTION_ORDER) {
      for (const spec of questionOf(id).flags) {
        const flag = FLAGS.find(each => `--${each.name}` === spec.flag);
        expect([flag?.value, flag?.help, flag?.repeatable === true], spec.flag).toEqual([
          spec.metavar,
          spec.help,
          spec.repeatable,
        ]);
        expect(flag !== undefined && takes(flag, 'setup'), spec.flag).toBe(true);
      }
    }
  });

  it('has no flag twice', () => {
    const names = FLAGS.map(({name}) => name);
    expect(names.length).toBeGreaterThan(60);
    expect([...new Set(names)]).toEqual(names);
  });
});

describe('the next selector', () => {
  it('gets letters up to z, and nothing where there is no number', () => {
    expect(nextSelector(selectorOf('202611'))).toBe('202611a');
    expect(nextSelector(selectorOf('202611b'))).toBe('202611c');
    expect(nextSelector(selectorOf('202611z'))).toBeUndefined();
    expect(nextSelector(selectorOf('mail'))).toBeUndefined();
  });
});

describe('trusted hosts', () => {
  it('takes addresses, networks and names, each once', () => {
    expect(parseTrustedHosts('::1,127.0.0.1 ::1')).toEqual({ok: true, value: ['::1', '127.0.0.1']});
    expect(parseTrustedHosts('relay.example.org').ok).toBe(true);
    expect(parseTrustedHosts('1.2.3').ok).toBe(false);
    expect(parseTrustedHosts('::1/129').ok).toBe(false);
    expect(parseTrustedHosts(':::').ok).toBe(false);
  });
});
