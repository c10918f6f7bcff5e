import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {editMainCf} from '../../src/services/postfix/edit.ts';
import {editMasterCf, parseMasterCf} from '../../src/services/postfix/master.ts';
import {fc} from '../support/fast-check.ts';

const wanted = {kind: 'unix', path: absolute('/var/spool/postfix/opendkim/opendkim.sock')} as const;
const ours = {wanted, before: undefined};
const view = {queueDirectory: absolute('/var/spool/postfix'), chrooted: true};
const edit = (text: string, settings: Readonly<Record<string, string>> = {}): string =>
  editMasterCf(text, ours, {...view, settings: new Map(Object.entries(settings))});

describe('parseMasterCf', () => {
  it('finds options in every notation, at their place', () => {
    const text =
      '# head\nsmtp inet n - y - - smtpd\n  -o a=1 -ob=2,3\n# between\n\n\t-o { c = x y, { z } }\n  -o d=\nlocal unix - n n - - local -v\n';
    const [smtp, local] = parseMasterCf(text);
    expect(smtp?.name).toBe('smtp/inet');
    expect(smtp?.options.map(one => [one.name, one.value, text.slice(one.start, one.end)])).toEqual([
      ['a', '1', '1'],
      ['b', '2,3', '2,3'],
      ['c', 'x y, { z }', 'x y, { z }'],
      ['d', '', ''],
    ]);
    expect(local).toMatchObject({name: 'local/unix', command: 'local', options: []});
  });
});

describe('editMasterCf', () => {
  const back = '127.0.0.1:10025 inet n - n - - smtpd\n  -o content_filter=\n';
  const filter = {content_filter: 'smtp-amavis:[127.0.0.1]:10024'};

  it('silences the way back from a filter, with what is inherited', () => {
    expect(edit(back, filter)).toBe(`${back}  -o receive_override_options=no_milters\n`);
    expect(edit(back, {...filter, receive_override_options: 'no_address_mappings, no_unknown'})).toBe(
      `${back}  -o receive_override_options=no_address_mappings,no_unknown,no_milters\n`,
    );
    expect(edit(`${back}  -o receive_override_options=\n`, filter)).toBe(
      `${back}  -o receive_override_options=no_milters\n`,
    );
    expect(edit(back.replaceAll('\n', '\r\n'), filter)).toBe(
      `${back}  -o receive_override_options=no_milters\n`.replaceAll('\n', '\r\n'),
    );
  });

  it('leaves it where there is no filter, or where mail is signed only there', () => {
    expect(edit(back)).toBe(back);
    const silent = `smtp inet n - y - - smtpd\n  -o smtpd_milters=\n${back}`;
    expect(edit(silent, filter)).toBe(silent);
    const own = `${back}  -o smtpd_milters=inet:localhost:10030\n`;
    expect(edit(own, filter)).toBe(own);
  });

  it('adds to lists, with blanks only in braces, and leaves empty ones', () => {
    const of = (option: string): string =>
      edit(`x inet n - y - - smtpd\n  ${option}\n`).split('\n  ')[1] ?? '';
    expect(of('-o smtpd_milters=inet:h:1')).toBe('-o smtpd_milters=inet:h:1,unix:opendkim/opendkim.sock\n');
    expect(of('-o { smtpd_milters = inet:h:1 }')).toBe(
      '-o { smtpd_milters = inet:h:1, unix:opendkim/opendkim.sock }\n',
    );
    expect(of('-o smtpd_milters=inet:localhost:8893')).toBe(
      '-o smtpd_milters=unix:opendkim/opendkim.sock,inet:localhost:8893\n',
    );
    expect(of('-o smtpd_milters=')).toBe('-o smtpd_milters=\n');
  });

  const option = fc.constantFrom(
    '-o smtpd_milters=',
    '-o smtpd_milters=inet:localhost:10030',
    '-o smtpd_milters=inet:localhost:8891',
    '-o smtpd_milters=$smtpd_milters',
    '-o { smtpd_milters = inet:h:1, { inet:h:2, default_action=accept } }',
    '-o receive_override_options=no_address_mappings',
    '-o receive_override_options=no_milters',
    '-o content_filter=',
    '-o content_filter=a:[127.0.0.1]:1',
    '-o syslog_name=postfix/$service_name',
    '# a comment',
    '',
  );
  const service = fc
    .tuple(
      fc.constantFrom('smtp inet', '127.0.0.1:10025 inet', 'cleanup unix', 'local unix'),
      fc.constantFrom('smtpd', 'cleanup', 'local'),
      fc.array(option, {maxLength: 4}),
    )
    .map(([name, command, options]) =>
      [`${name} n - y - - ${command}`, ...options.map(one => (/^(#|$)/.test(one) ? one : `  ${one}`))].join(
        '\n',
      ),
    );
  const file = fc.array(service, {maxLength: 4}).map(all => `${all.join('\n')}\n`);

  it('is its own end and changes no line but those of milters', () => {
    const settings = {smtpd_milters: 'unix:opendkim/opendkim.sock'};
    fc.assert(
      fc.property(file, before => {
        const after = edit(before, settings);
        expect(edit(after, settings)).toBe(after);
        const others = (text: string): readonly string[] =>
          text.split('\n').filter(line => !/smtpd_milters|receive_override_options/.test(line));
        expect(others(after)).toEqual(others(before));
      }),
      {numRuns: 300},
    );
  });
});

describe('what must not stay in a list', () => {
  const rest = 'milter_default_action = accept\ninternal_mail_filter_classes = bounce\n';
  const port = {kind: 'tcp', host: '127.0.0.1', port: 12301} as const;
  const left = {...ours, former: [port]};
  const clean = (list: string, how: Parameters<typeof editMainCf>[1] = left): string =>
    editMainCf(`smtpd_milters = ${list}\nnon_smtpd_milters = $smtpd_milters\n${rest}`, how, view)
      .replace(`\nnon_smtpd_milters = $smtpd_milters\n${rest}`, '')
      .replace('smtpd_milters = ', '');
  const sock = 'unix:opendkim/opendkim.sock';

  it.each([
    [`inet:localhost:12301, ${sock}`, sock],
    [`${sock}, inet:127.0.0.1:12301, inet:h:1`, `${sock}, inet:h:1`],
    [`${sock} ${sock}`, sock],
    [`inet:h:1,\n  # why\n  inet:localhost:12301,\n  ${sock}`, `inet:h:1,\n  # why\n  ${sock}`],
    [`{ inet:localhost:12301, default_action=accept }, ${sock}`, sock],
    ['inet:localhost:12301', sock],
  ])('%j', (list, expected) => {
    expect(clean(list)).toBe(expected);
  });

  it('keeps a live second daemon unless others are switched off', () => {
    const list = `inet:localhost:8891, ${sock}`;
    expect(clean(list)).toBe(list);
    expect(clean(list, {...left, dropsStray: true})).toBe(sock);
    const gone = `unix:other/opendkim.sock, ${sock}`;
    expect(clean(gone)).toBe(gone);
    expect(clean(gone, {...left, isGone: () => true})).toBe(sock);
  });

  it('puts OpenDKIM behind what changes mail, and before what judges after that', () => {
    expect(clean('inet:localhost:11332, inet:localhost:8893', ours)).toBe(
      `inet:localhost:11332, ${sock}, inet:localhost:8893`,
    );
    expect(clean('inet:localhost:8893, unix:spamass/spamass.sock', ours)).toBe(
      `inet:localhost:8893, unix:spamass/spamass.sock, ${sock}`,
    );
  });
});
