import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {commentOut, setParameters, withoutIncludes} from '../../src/services/opendkim/edit.ts';
import {definitions, effective, parseConfigLines, parseDataSet} from '../../src/services/opendkim/parse.ts';
import {fc} from '../support/fast-check.ts';

describe('setParameters', () => {
  it('keeps name, white space and comment of the line it changes', () => {
    expect(
      setParameters('  sOCKet \t local:/a   # mine\r\nMode v', [
        {name: 'Socket', value: 'inet:1@localhost'},
        {name: 'Mode', value: 'sv'},
      ]),
    ).toBe('  sOCKet \t inet:1@localhost   # mine\r\nMode sv');
  });

  it('changes the last of a doubled parameter, which is in force', () => {
    expect(setParameters('UMask 022\nUMask 077\n', [{name: 'UMask', value: '007'}])).toBe(
      'UMask 022\nUMask 007\n',
    );
  });

  it('goes below the last sample and never below prose', () => {
    expect(setParameters('# Mode decides\n#Mode\t\tv\n\nSyslog yes\n', [{name: 'Mode', value: 'sv'}])).toBe(
      '# Mode decides\n#Mode\t\tv\nMode\t\tsv\n\nSyslog yes\n',
    );
  });

  it('ends an unfinished last line before the block, once', () => {
    const once = setParameters('Syslog yes', [{name: 'Mode', value: 's'}]);
    expect(once).toBe('Syslog yes\n\n# DKIM signing, written by waxseal\nMode  s\n');
    expect(setParameters(once, [{name: 'Socket', value: 'local:/a'}])).toBe(`${once}Socket  local:/a\n`);
  });

  it('gives a parameter without value its value', () => {
    expect(setParameters('Mode\n', [{name: 'Mode', value: 'sv'}])).toBe('Mode sv\n');
  });

  const line = fc.oneof(
    fc.constantFrom(
      '',
      '# prose here',
      '#Socket local:/x',
      'Syslog yes',
      '\tuserid  opendkim # who',
      'Mode v',
      'KeyTable /old',
      'Weird',
      '   ',
    ),
    fc.string({maxLength: 20}).map(text => text.replace(/[\r\n]/g, '')),
  );
  const text = fc
    .tuple(fc.array(line), fc.constantFrom('\n', '\r\n'), fc.boolean())
    .map(([lines, end, last]) => lines.join(end) + (last ? end : ''));
  const settings = [
    {name: 'Socket', value: 'local:/new'},
    {name: 'KeyTable', value: 'file:/t'},
    {name: 'Mode', value: 'sv'},
  ];

  it('leaves every other line as it was, takes effect, and does nothing the second time', () => {
    fc.assert(
      fc.property(text, before => {
        const after = setParameters(before, settings);
        const now = effective(definitions(absolute('/c'), () => after));
        expect(now['socket']).toBe('local:/new');
        expect(now['keytable']).toBe('file:/t');
        expect(now['mode']).toBe('sv');
        const touched = new Set(['socket', 'keytable', 'mode']);
        const rest = (of: string): string[] =>
          parseConfigLines(of)
            .filter(one => !touched.has(one.name.toLowerCase()))
            .map(one => one.raw);
        const added = rest(after).slice();
        for (const kept of rest(before)) {
          const at = added.indexOf(kept);
          expect(at).toBeGreaterThanOrEqual(0);
          added.splice(at, 1);
        }
        expect(added.filter(one => one !== '' && !one.startsWith('# DKIM signing'))).toEqual([]);
        expect(setParameters(after, settings)).toBe(after);
      }),
    );
  });

  it('parses lines so that they join to the text again', () => {
    fc.assert(
      fc.property(text, before => {
        expect(
          parseConfigLines(before)
            .map(one => one.raw + one.end)
            .join(''),
        ).toBe(before);
      }),
    );
  });
});

describe('commentOut and withoutIncludes', () => {
  it('puts a hash before the lines of these names only', () => {
    expect(commentOut('domain a\n Selector b\nDomains c\n', ['Domain', 'Selector'])).toBe(
      '#domain a\n# Selector b\nDomains c\n',
    );
  });

  it('puts an included text in its place, to five levels', () => {
    const texts: Readonly<Record<string, string>> = {'/a': 'Mode s', '/loop': 'Include /loop\n'};
    expect(withoutIncludes('X 1\ninclude /a\nY 2\n', path => texts[path])).toBe('X 1\nMode s\nY 2\n');
    expect(withoutIncludes('Include /loop\n', path => texts[path])).toBe('Include /loop\n');
  });
});

describe('definitions', () => {
  it('reads an included file where it stands and lets the last win', () => {
    const texts: Readonly<Record<string, string>> = {
      '/c': 'Mode v\nInclude /i\nUMask 7#7\n',
      '/i': 'MODE s\nUMask 002\n',
    };
    expect(effective(definitions(absolute('/c'), path => texts[path]))).toEqual({mode: 's', umask: '7'});
  });
});

describe('parseDataSet', () => {
  it.each([
    ['file:/a/b', {kind: 'file', path: '/a/b'}],
    ['refile:/a', {kind: 'refile', path: '/a'}],
    ['/a', {kind: 'file', path: '/a'}],
    ['csl:a,b', {kind: 'list', entries: ['a', 'b']}],
    ['127.0.0.1, ::1', {kind: 'list', entries: ['127.0.0.1', '::1']}],
    ['dsn:pgsql://u:p@h/d', {kind: 'unsupported', type: 'dsn'}],
    ['lua:/x', {kind: 'unsupported', type: 'lua'}],
    ['ldaps://h/x', {kind: 'unsupported', type: 'ldaps'}],
    ['file:x', {kind: 'unsupported', type: 'relative path'}],
    ['./x', {kind: 'unsupported', type: 'relative path'}],
  ])('%s', (value, expected) => {
    expect(parseDataSet(value)).toEqual(expected);
  });
});
