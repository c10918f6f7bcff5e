import {describe, expect, it} from 'vitest';
import {coversHost} from '../../src/services/opendkim/decide/hosts.ts';
import {appendRows, editSigningTable, removeLines} from '../../src/services/opendkim/tables/edit.ts';
import {domainOfPattern, keyRows, labelOf, parseTable} from '../../src/services/opendkim/tables/rows.ts';
import {fc} from '../support/fast-check.ts';
import {domain} from './wanted.ts';

const row = (name: string, label = `new.${name}`) => ({domain: domain(name), label});

/** The label with which OpenDKIM would sign for an address: the first pattern that matches (FACTS 2.3). */
function signs(text: string, address: string): string | undefined {
  for (const one of parseTable(text)) {
    const source = one.key
      .toLowerCase()
      .split('*')
      .map(part => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*');
    if (new RegExp(`^${source}$`).test(address)) return labelOf(one.value);
  }
  return undefined;
}

describe('editSigningTable', () => {
  it('adds a row for the domain and one for what is below', () => {
    expect(editSigningTable('', 'refile', [row('a.org')], true)).toBe(
      '*@a.org new.a.org\n*@*.a.org new.a.org\n',
    );
    expect(editSigningTable('x y', 'refile', [row('a.org')], false)).toBe('x y\n*@a.org new.a.org\n');
    expect(editSigningTable('', 'file', [row('a.org')], true)).toBe('a.org new.a.org\n.a.org new.a.org\n');
  });

  it('changes the label in place and keeps blanks, signer and comment', () => {
    expect(editSigningTable('*@A.org \t old:@%  # c\r\n', 'refile', [row('a.org')], false)).toBe(
      '*@A.org \t new.a.org:@%  # c\r\n',
    );
  });

  it('does not leave the old key on the subdomains, even where none were asked for', () => {
    expect(editSigningTable('*@a.org o\n*@*.a.org o\n', 'refile', [row('a.org')], false)).toBe(
      '*@a.org new.a.org\n*@*.a.org new.a.org\n',
    );
  });

  it('changes the label although key and label are alike', () => {
    expect(editSigningTable('*@a.org a.org\n', 'refile', [row('a.org')], false)).toBe('*@a.org new.a.org\n');
  });

  it('puts rows above what would catch their mail', () => {
    expect(editSigningTable('*@b.org b\n* all\n', 'refile', [row('a.org')], false)).toBe(
      '*@b.org b\n*@a.org new.a.org\n* all\n',
    );
    expect(editSigningTable('*@*.org o\n*@x.a.org x\n', 'refile', [row('a.org')], false)).toBe(
      '*@a.org new.a.org\n*@*.org o\n*@x.a.org x\n',
    );
  });

  it('puts each row where it takes nothing from a narrower one', () => {
    // What catches the domain does not catch what is below it, and the other way round.
    expect(editSigningTable('*@a.* o\n*@shop.a.org s\n', 'refile', [row('a.org')], true)).toBe(
      '*@a.org new.a.org\n*@a.* o\n*@shop.a.org s\n*@*.a.org new.a.org\n',
    );
    expect(editSigningTable('*.a.* o\nbob@a.org s\n', 'refile', [row('a.org')], true)).toBe(
      '*@*.a.org new.a.org\n*.a.* o\nbob@a.org s\n*@a.org new.a.org\n',
    );
    expect(editSigningTable('x@* o\n*@x.* p\n', 'refile', [row('a.org')], true)).toBe(
      'x@* o\n*@x.* p\n*@a.org new.a.org\n*@*.a.org new.a.org\n',
    );
  });

  it('keeps what other domains sign beside it where several signatures are wanted', () => {
    const several = {
      domainOf: new Map([
        ['mine', 'a.org'],
        ['any', '%'],
        ['esp', 'esp.net'],
      ]),
    };
    const edit = (text: string): string => editSigningTable(text, 'refile', [row('a.org')], false, several);
    expect(edit('*@a.org esp\n*@a.org mine\n')).toBe('*@a.org esp\n*@a.org new.a.org\n');
    expect(edit('*@a.org any\n*@a.org new.a.org\n')).toBe('*@a.org any\n*@a.org new.a.org\n');
    expect(edit('*@a.org esp\n')).toBe('*@a.org esp\n*@a.org new.a.org\n');
  });

  const names = ['a.org', 'b.org', 'm.a.org', 'n.m.a.org', 'c.net'];
  const pattern = fc.constantFrom(
    '*',
    '*@*',
    '*@*.org',
    'joe@a.org',
    '*@a.org',
    '*@*.a.org',
    '*@m.a.org',
    '*@*.m.a.org',
    '*@b.org',
    '*@c.net',
    '*@*a.org',
  );
  const table = fc.uniqueArray(pattern).map(all => all.map((one, at) => `${one} old${at}\n`).join(''));
  const wanted = fc.uniqueArray(fc.constantFrom(...names), {minLength: 1, maxLength: 3});

  it('signs the wanted domains, changes nobody else, and is its own end', () => {
    fc.assert(
      fc.property(table, wanted, fc.boolean(), (before, chosen, subdomains) => {
        const rows = chosen.map(name => row(name));
        const after = editSigningTable(before, 'refile', rows, subdomains);
        expect(editSigningTable(after, 'refile', rows, subdomains)).toBe(after);
        for (const name of chosen) expect(signs(after, `someone@${name}`)).toBe(`new.${name}`);
        const mine = new Set(chosen.flatMap(name => [`*@${name}`, `*@*.${name}`]));
        const others = (text: string): string[] =>
          parseTable(text)
            .filter(one => !mine.has(one.key))
            .map(one => `${one.key} ${one.value}`);
        expect(others(after)).toEqual(others(before));
        // Who is neither wanted nor below a wanted domain keeps the key of before.
        for (const name of names.filter(
          one => !chosen.some(want => one === want || one.endsWith(`.${want}`)),
        )) {
          expect(signs(after, `someone@${name}`)).toBe(signs(before, `someone@${name}`));
        }
        // A domain with a row of its own above the wanted one keeps it.
        if (!chosen.includes('m.a.org') && before.startsWith('*@m.a.org'))
          expect(signs(after, 'someone@m.a.org')).toBe('old0');
      }),
      {numRuns: 500},
    );
  });
});

describe('the row of every sender', () => {
  const hosts = [
    'a.org',
    'm.a.org',
    'n.m.a.org',
    'x.a.org',
    'b.org',
    'a.net',
    'ba.org',
    'm.b.org',
    'a.org.net',
  ];
  const addresses = hosts.flatMap(host => ['x', 'bob', 'bo', 'joe.m'].map(local => `${local}@${host}`));
  const local = fc.constantFrom('*', 'bob', 'bo*', '*b', 'x', '');
  const host = fc.constantFrom(
    ...hosts,
    '*',
    '*.org',
    '*.a.org',
    '*.m.a.org',
    'm.*',
    'a.*',
    '*a.org',
    '*.a.*',
    '*m.a*',
  );
  const one = fc.oneof(
    fc.tuple(local, host).map(([before, after]) => `${before}@${after}`),
    fc.constantFrom('*', '*.a.org', '*.org', 'bo*org', '*m.a*', '*@*', '**@a.org'),
  );
  const tables = fc.array(one, {maxLength: 8}).map(all => all.map((key, at) => `${key} old${at}\n`).join(''));
  const mailOf = (key: string): readonly string[] =>
    addresses.filter(address => signs(`${key} yes\n`, address) !== undefined);

  it('stays the first that matches, unless it is a wider one than the new row', () => {
    fc.assert(
      fc.property(
        tables,
        fc.constantFrom('a.org', 'm.a.org', 'b.org'),
        fc.boolean(),
        (before, name, subdomains) => {
          const after = editSigningTable(before, 'refile', [row(name)], subdomains);
          expect(signs(after, `someone@${name}`)).toBe(`new.${name}`);
          const keys = new Map(parseTable(before).map(each => [labelOf(each.value), each.key]));
          for (const address of addresses) {
            const [old, now] = [signs(before, address), signs(after, address)];
            if (old === now || old === undefined) continue;
            expect(now).toBe(`new.${name}`);
            const added = address.endsWith(`@${name}`) ? `*@${name}` : `*@*.${name}`;
            if (added !== `*@${name}`) expect(subdomains || before.includes(`${added} `)).toBe(true);
            expect(mailOf(keys.get(old) ?? '')).toEqual(expect.arrayContaining([...mailOf(added)]));
          }
        },
      ),
      {numRuns: 1000},
    );
  });
});

describe('keyRows', () => {
  it('takes the first of a label and leaves out what OpenDKIM calls corrupt', () => {
    const rows = keyRows(parseTable('# c\na d.org:s:/k # old\na e.org:t:/l\nb d.org:s\n\nc % : s : /x\n'));
    expect(rows).toEqual([
      {line: 1, label: 'a', domain: 'd.org', selector: 's', path: '/k'},
      {line: 5, label: 'c', domain: '% ', selector: ' s ', path: ' /x'},
    ]);
  });
});

describe('lines', () => {
  it('are appended below an unfinished one, with the ends of the text', () => {
    expect(appendRows('a\r\nb', ['c', 'd'])).toBe('a\r\nb\r\nc\r\nd\r\n');
    expect(appendRows('a\n', [])).toBe('a\n');
  });

  it('are taken out whole', () => {
    expect(removeLines('a\nb\r\nc', new Set([1]))).toBe('a\nc');
  });
});

describe('coversHost', () => {
  it.each([
    [['127.0.0.1'], '127.0.0.1', true],
    [['127.0.0.0/8'], '127.0.0.1', true],
    // OpenDKIM looks up the network without the bits of the host.
    [['127.0.0.1/8'], '127.0.0.1', false],
    [['10.0.0.0/8'], '10.1.1.1', true],
    [['[127.0.0.1]'], '127.0.0.1', false],
    [['127.0.1.0/24'], '127.0.0.1', false],
    [['10.0.0.0/8'], '127.0.0.1', false],
    [['[::1]'], '::1', true],
    [['localhost'], '::1', false],
    [['192.0.2.0/24'], '192.0.2.0/24', true],
  ])('%j %s %s', (entries, host, expected) => {
    expect(coversHost(entries, host)).toBe(expected);
  });
});

describe('domainOfPattern', () => {
  it.each([
    ['*@a.org', 'a.org'],
    ['*@*.A.org', 'a.org'],
    ['.a.org', 'a.org'],
    ['joe@a.org', 'a.org'],
    ['*', ''],
    ['*@a*', ''],
  ])('%s', (pattern, expected) => {
    expect(domainOfPattern(pattern)).toBe(expected);
  });
});
