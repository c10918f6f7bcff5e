import {describe, expect, it} from 'vitest';
import {
  displayDomain,
  isWithin,
  keyRecordName,
  parseDnsName,
  parseDomain,
  parseSelector,
} from '../../src/domain/names.ts';
import {fc} from '../support/fast-check.ts';

const domain = (text: string): string => {
  const parsed = parseDomain(text);
  return parsed.ok ? parsed.value : `${parsed.problem.id}: ${parsed.problem.message} ${parsed.problem.hint}`;
};

describe('parseDomain', () => {
  it.each([
    ['example.org', 'example.org'],
    ['  Example.ORG. ', 'example.org'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['XN--BCHER-KVA.example', 'xn--bcher-kva.example'],
    ['mail.example.co.uk', 'mail.example.co.uk'],
    ['faß.de', 'xn--fa-hia.de'],
  ])('reads %j', (typed, value) => {
    expect(domain(typed)).toBe(value);
  });

  it.each([
    ['', /empty/],
    ['alice@example.org', /address.*example\.org/s],
    ['https://example.org/x', /URL/],
    ['*.example.org', /wildcard/],
    ['192.0.2.1', /IP address/],
    ['2001:db8::1', /IP address/],
    ['localhost', /one label/],
    ['a..example', /empty label/],
    ['.example.org', /empty label/],
    ['-a.example', /label/],
    ['exa mple.org', /characters|label/],
    ['exa_mple.org', /label/],
    ['example.42', /number/],
    [`${'a'.repeat(64)}.example`, /label|characters/],
    ['ex\u0000ample.org', /characters/],
    ['example.org\u001b[31m', /label|characters/],
  ])('refuses %j with its reason', (typed, reason) => {
    expect(domain(typed)).toMatch(reason);
    expect(parseDomain(typed).ok).toBe(false);
  });

  it('never throws, and what it accepts is a path segment without surprises', () => {
    fc.assert(
      fc.property(fc.string({unit: 'binary', maxLength: 300}), text => {
        const parsed = parseDomain(text);
        if (parsed.ok) expect(parsed.value).toMatch(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/);
      }),
    );
  });
});

describe('parseSelector', () => {
  it.each(['202611', 'mail-a', 'S1', 'a.b'])('reads %j', text => {
    expect(parseSelector(text)).toEqual({ok: true, value: text.toLowerCase()});
  });

  it.each([
    '',
    '-a',
    'a-',
    'a_b',
    'a b',
    'x;touch PWNED',
    '../x',
    'a..b',
    '202611._domainkey',
    '%',
    'a/b',
    'é',
  ])('refuses %j', text => {
    expect(parseSelector(text).ok).toBe(false);
  });
});

describe('names in the DNS', () => {
  it('builds the owner name of a key record', () => {
    const d = parseDomain('example.org');
    const s = parseSelector('202611');
    if (!d.ok || !s.ok) throw new Error('setup');
    expect(keyRecordName(s.value, d.value)).toBe('202611._domainkey.example.org');
  });

  it('reads owner names with underscores and the root', () => {
    expect(parseDnsName('202611._DomainKey.example.org.')).toEqual({
      ok: true,
      value: '202611._domainkey.example.org',
    });
    expect(parseDnsName('.')).toEqual({ok: true, value: ''});
    expect(parseDnsName('a b').ok).toBe(false);
  });

  it('knows what lies within a zone', () => {
    expect(isWithin('a.example.org', 'example.org')).toBe(true);
    expect(isWithin('example.org', 'example.org')).toBe(true);
    expect(isWithin('badexample.org', 'example.org')).toBe(false);
    expect(isWithin('anything', '')).toBe(true);
  });

  it('shows an IDN in both forms', () => {
    const parsed = parseDomain('bücher.example');
    if (!parsed.ok) throw new Error('setup');
    expect(displayDomain(parsed.value)).toBe('xn--bcher-kva.example (bücher.example)');
  });
});
