import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {editMainCf, strayEntries} from '../../src/services/postfix/edit.ts';
import {expansionOf} from '../../src/services/postfix/expand.ts';
import {endpointOf, milterAddress} from '../../src/services/postfix/milters.ts';
import {expand, inForce, parseMainCf, settingsOf, tokens} from '../../src/services/postfix/parse.ts';
import {fc} from '../support/fast-check.ts';

const view = {queueDirectory: absolute('/var/spool/postfix'), chrooted: true};
const wanted = {kind: 'unix', path: absolute('/var/spool/postfix/opendkim/opendkim.sock')} as const;
const ours = {wanted, before: undefined};

const REST = 'milter_default_action = accept\ninternal_mail_filter_classes = bounce\n';
const after = (text: string): string => editMainCf(text + REST, ours, view).slice(0, -REST.length);

describe('milter_protocol', () => {
  // Postfix knows 2, 3, 4 and 6; with any other word it speaks to no milter at all.
  it.each([
    ['2', '2'],
    ['3', '3'],
    ['4', '4'],
    ['5', '6'],
    ['6', '6'],
    ['7', '6'],
    ['1', '6'],
    ['0', '6'],
    ['26', '6'],
    ['six', '6'],
    ['$mine', '$mine'],
  ])('%s becomes %s', (written, right) => {
    const text = editMainCf(`milter_protocol = ${written}\n${REST}`, ours, view);
    expect(inForce(parseMainCf(text), 'milter_protocol')?.value).toBe(right);
  });
});

describe('parseMainCf', () => {
  it('joins continuation lines across comments and blank lines', () => {
    const lines = parseMainCf('a = 1\nb =\n # not mine\n  2,\n\n# nor this\n\t3\n#c = 4\nd=5\r\n');
    expect(lines.map(line => [line.name, line.value])).toEqual([
      ['a', '1'],
      ['b', '2, 3'],
      ['d', '5'],
    ]);
  });

  it('blanks comments in the masked value and keeps offsets', () => {
    const text = 'x = 1\n# y\n  2\n';
    const [line] = parseMainCf(text);
    expect(line?.masked).toHaveLength((line?.end ?? 0) - (line?.valueStart ?? 0));
    expect(tokens(line?.masked ?? '').map(token => text.slice(4 + token.start, 4 + token.end))).toEqual([
      '1',
      '2',
    ]);
  });
});

describe('tokens', () => {
  it('does not cut within braces', () => {
    expect(tokens('{ a, b }, c  d').map(token => token.text)).toEqual(['{ a, b }', 'c', 'd']);
  });
});

describe('expand', () => {
  it('follows all three notations and ends on a loop', () => {
    const settings = new Map([
      // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the notation of Postfix
      ['a', '${b} $(b)$$'],
      ['b', 'x'],
      ['l', '$l'],
    ]);
    expect(expand('$a $none', settings)).toBe('x x$ ');
    expect(expansionOf('$l', settings).fault).toBe('unreasonable macro call nesting');
  });
});

describe('endpointOf', () => {
  it.each([
    ['unix:opendkim/opendkim.sock', wanted],
    ['local:/opendkim/opendkim.sock', wanted],
    ['inet:localhost:8891', {kind: 'tcp', host: '127.0.0.1', port: 8891}],
    ['inet:[::1]:8891', {kind: 'tcp', host: '::1', port: 8891}],
    ['inet:8891@localhost', {kind: 'tcp', host: '127.0.0.1', port: 8891}],
    ['{ inet:10.0.0.1:1, default_action=accept }', {kind: 'tcp', host: '10.0.0.1', port: 1}],
    ['something', undefined],
  ])('%s', (entry, expected) => {
    expect(endpointOf(entry, view)).toEqual(expected);
  });

  it('takes an absolute path as it is without chroot', () => {
    expect(endpointOf('unix:/run/a', {...view, chrooted: false})).toEqual({kind: 'unix', path: '/run/a'});
    expect(milterAddress({kind: 'unix', path: absolute('/run/a')}, view)).toBe('unix:/run/a');
    expect(milterAddress({kind: 'tcp', host: '::1', port: 1}, view)).toBe('inet:[::1]:1');
  });
});

describe('editMainCf', () => {
  it.each([
    [
      'smtpd_milters =\nnon_smtpd_milters=\n',
      'smtpd_milters = unix:opendkim/opendkim.sock\nnon_smtpd_milters= $smtpd_milters\n',
    ],
    [
      'smtpd_milters = a:1\nnon_smtpd_milters = $smtpd_milters\n',
      'smtpd_milters = a:1, unix:opendkim/opendkim.sock\nnon_smtpd_milters = $smtpd_milters\n',
    ],
    [
      'smtpd_milters = x\nsmtpd_milters = inet:localhost:8893\nnon_smtpd_milters = $(smtpd_milters)\n',
      'smtpd_milters = x\nsmtpd_milters = unix:opendkim/opendkim.sock, inet:localhost:8893\nnon_smtpd_milters = $(smtpd_milters)\n',
    ],
    [
      'm = inet:127.0.0.1:8891\nsmtpd_milters = $m\nnon_smtpd_milters = $m\n',
      'm = unix:opendkim/opendkim.sock\nsmtpd_milters = $m\nnon_smtpd_milters = $m\n',
    ],
    [
      'smtpd_milters = { unix:/run/opendkim/opendkim.sock, connect_timeout=9s }\nnon_smtpd_milters = $smtpd_milters\n',
      'smtpd_milters = { unix:opendkim/opendkim.sock, connect_timeout=9s }\nnon_smtpd_milters = $smtpd_milters\n',
    ],
    [
      'smtpd_milters = unix:opendkim/ed.sock\nnon_smtpd_milters = $smtpd_milters\n',
      'smtpd_milters = unix:opendkim/ed.sock, unix:opendkim/opendkim.sock\nnon_smtpd_milters = $smtpd_milters\n',
    ],
  ])('%j', (before, expected) => {
    expect(after(before)).toBe(expected);
  });

  it('names entries for OpenDKIM that lead nowhere', () => {
    expect(
      strayEntries('smtpd_milters = inet:localhost:8891, unix:opendkim/opendkim.sock\n', ours, view),
    ).toEqual(['inet:localhost:8891']);
  });

  const entry = fc.constantFrom(
    'inet:localhost:11332',
    '{ inet:h:1, connect_timeout=3s }',
    'unix:opendmarc/opendmarc.sock',
    '$mine',
    'inet:localhost:8891',
    'unix:/run/opendkim/opendkim.sock',
  );
  const separator = fc.constantFrom(', ', ' ', ',\n    ', '\n  # why\n\t');
  const list = fc
    .array(fc.tuple(entry, separator), {maxLength: 4})
    .map(all => all.map(([one, gap], at) => (at === all.length - 1 ? one : one + gap)).join(''));
  const name = fc.constantFrom(
    'smtpd_milters',
    'non_smtpd_milters',
    'mine',
    'relayhost',
    'milter_default_action',
    'internal_mail_filter_classes',
  );
  const line = fc.oneof(
    fc.constantFrom('# a comment', '', 'biff = no'),
    fc
      .tuple(name, fc.constantFrom(' = ', '=', ' =\n    '), list)
      .map(([one, equals, values]) =>
        one === 'mine' ? `mine = ${values.replaceAll('$mine', 'inet:h:2')}` : `${one}${equals}${values}`,
      ),
  );

  it('leads both lists to OpenDKIM, keeps all other lines, and is its own end', () => {
    fc.assert(
      fc.property(fc.array(line, {maxLength: 8}), lines => {
        const before = `${lines.join('\n')}\n`;
        const next = editMainCf(before, ours, view);
        expect(editMainCf(next, ours, view)).toBe(next);
        const parsed = parseMainCf(next);
        for (const parameter of ['smtpd_milters', 'non_smtpd_milters']) {
          const value = expand(inForce(parsed, parameter)?.value ?? '', settingsOf(parsed));
          const ends = tokens(value).map(token => endpointOf(token.text, view));
          expect(ends).toContainEqual(wanted);
        }
        const kept = before.split('\n').filter(one => /^(#|biff|relayhost)/.test(one));
        const now = next.split('\n');
        for (const one of kept) expect(now).toContain(one);
      }),
      {numRuns: 500},
    );
  });
});
