/** Which macros a milter gets, as logging milters and OpenDKIM saw them on a real Postfix 3.10.13. */
import {describe, expect, it} from 'vitest';
import type {MilterStage, Pass} from '../../../src/services/mta.ts';
import {type Given, passOf} from './host.ts';

const LOGIN = 'submission inet n - y - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n';

/** `name=value`; a value of the client or the message is `*`. */
const at = (pass: Pass, stage: MilterStage): readonly string[] =>
  [...pass.macros[stage]].map(([name, value]) => `${name}=${value ?? '*'}`);

describe('macros of an smtpd service', () => {
  const plain = passOf({}, 'smtp/inet');
  const tls = passOf({main: 'smtpd_tls_security_level = may\nsmtpd_tls_ask_ccert = yes\n'}, 'smtp/inet');

  it.each<readonly [MilterStage, readonly string[]]>([
    [
      'connect',
      ['j=mail.example.com', '{daemon_name}=mail.example.com', '{daemon_addr}=*', 'v=Postfix 3.10.13', '_=*'],
    ],
    ['helo', []],
    [
      'mail',
      [
        '{auth_type}=*',
        '{auth_authen}=*',
        '{auth_author}=*',
        '{mail_addr}=*',
        '{mail_host}=*',
        '{mail_mailer}=*',
      ],
    ],
    ['rcpt', ['{rcpt_addr}=*', '{rcpt_host}=*', '{rcpt_mailer}=*']],
    ['data', ['i=*']],
    ['eoh', ['i=*']],
    ['eom', ['i=*']],
  ])('at %s', (stage, wanted) => {
    expect(at(plain, stage)).toEqual(wanted);
  });

  it('has those of TLS and of certificates only where clients may have them', () => {
    expect(at(tls, 'helo')).toEqual([
      '{tls_version}=*',
      '{cipher}=*',
      '{cipher_bits}=*',
      '{cert_subject}=*',
      '{cert_issuer}=*',
    ]);
    const without = passOf({main: 'smtpd_tls_security_level = may\n'}, 'smtp/inet');
    expect(at(without, 'helo')).toEqual(['{tls_version}=*', '{cipher}=*', '{cipher_bits}=*']);
    expect(at(passOf({main: 'smtpd_tls_security_level = none\n'}, 'smtp/inet'), 'helo')).toEqual([]);
  });

  it('has those of a login, wherever clients can log in', () => {
    expect(at(passOf({master: LOGIN}, 'submission/inet'), 'mail').slice(0, 3)).toEqual([
      '{auth_type}=*',
      '{auth_authen}=*',
      '{auth_author}=*',
    ]);
  });

  it('knows the address and the port of a row that names them', () => {
    const given = {
      main: 'milter_connect_macros = {daemon_addr} {daemon_port} {client_addr}\n',
      master: '192.0.2.1:2525 inet n - y - - smtpd\n',
    };
    expect(at(passOf(given, '192.0.2.1:2525/inet'), 'connect')).toEqual([
      '{daemon_addr}=192.0.2.1',
      '{daemon_port}=2525',
      '{client_addr}=*',
    ]);
  });
});

describe('macros of sendmail(1), that cleanup plays', () => {
  const pass = passOf({}, 'local');
  it.each<readonly [MilterStage, readonly string[]]>([
    [
      'connect',
      [
        'j=mail.example.com',
        '{daemon_name}=mail.example.com',
        '{daemon_addr}=127.0.0.1',
        'v=Postfix 3.10.13',
        '_=localhost [127.0.0.1]',
      ],
    ],
    ['helo', []],
    ['mail', ['i=*', '{mail_addr}=*']],
    ['rcpt', ['i=*', '{rcpt_addr}=*']],
    ['data', ['i=*']],
    ['eoh', ['i=*']],
    ['eom', ['i=*']],
  ])('at %s', (stage, wanted) => {
    expect(at(pass, stage)).toEqual(wanted);
  });

  it('never has a login', () => {
    expect(at(passOf({main: 'smtpd_sasl_auth_enable = yes\n'}, 'local'), 'mail')).toEqual([
      'i=*',
      '{mail_addr}=*',
    ]);
  });

  it('has the client where a list asks for it', () => {
    const main =
      'milter_connect_macros = {client_addr} {client_name} {client_port} {client_ptr} {client_resolve}\n';
    expect(at(passOf({main}, 'local'), 'connect')).toEqual([
      '{client_addr}=127.0.0.1',
      '{client_name}=localhost',
      '{client_port}=0',
      '{client_ptr}=localhost',
    ]);
  });
});

describe('lists', () => {
  const rows: readonly (readonly [string, Given, string, MilterStage, readonly string[]])[] = [
    [
      'replace the whole list of a step',
      {main: 'milter_mail_macros = i {mail_addr}\n', master: LOGIN},
      'submission/inet',
      'mail',
      ['{mail_addr}=*'],
    ],
    [
      'are those of the service',
      {master: `${LOGIN}  -o { milter_mail_macros = {auth_type} }\n`},
      'submission/inet',
      'mail',
      ['{auth_type}=*'],
    ],
    [
      'of one service change no other',
      {master: `${LOGIN}  -o { milter_mail_macros = {auth_type} }\n`},
      'smtp/inet',
      'mail',
      [
        '{auth_type}=*',
        '{auth_authen}=*',
        '{auth_author}=*',
        '{mail_addr}=*',
        '{mail_host}=*',
        '{mail_mailer}=*',
      ],
    ],
    [
      'without braces name another macro',
      {main: 'milter_mail_macros = auth_type\n', master: LOGIN},
      'submission/inet',
      'mail',
      ['auth_type=*'],
    ],
    [
      'at the end of headers are those of smtpd, too',
      {main: 'milter_end_of_header_macros = i {auth_type}\n', master: LOGIN},
      'submission/inet',
      'eoh',
      ['i=*', '{auth_type}=*'],
    ],
    [
      'at the end of headers know no next hop',
      {main: 'milter_end_of_header_macros = {mail_host} {rcpt_host} {mail_addr} i\n'},
      'smtp/inet',
      'eoh',
      ['i=*'],
    ],
    [
      'of cleanup are for sendmail(1)',
      {master: 'cleanup unix n - y - 0 cleanup\n  -o { milter_mail_macros = {mail_addr} }\n'},
      'local',
      'mail',
      ['{mail_addr}=*'],
    ],
    [
      'of cleanup are not for SMTP',
      {master: 'cleanup unix n - y - 0 cleanup\n  -o milter_data_macros=v\n'},
      'smtp/inet',
      'data',
      ['i=*'],
    ],
    [
      'with names that Postfix does not know send nothing',
      {main: 'milter_data_macros = {if_name} {foo} i\n'},
      'smtp/inet',
      'data',
      ['i=*'],
    ],
  ];
  it.each(rows)('%s', (_, given, id, stage, wanted) => {
    expect(at(passOf(given, id), stage)).toEqual(wanted);
  });
});

describe('milter_macro_daemon_name', () => {
  const given = {
    main: 'milter_end_of_header_macros = {daemon_name}\n',
    master: `${LOGIN}  -o milter_macro_daemon_name=ORIGINATING\n`,
  };
  it('tells a service apart', () => {
    expect(passOf(given, 'submission/inet').macros.connect.get('{daemon_name}')).toBe('ORIGINATING');
    expect(passOf(given, 'smtp/inet').macros.connect.get('{daemon_name}')).toBe('mail.example.com');
  });

  it('is that of cleanup from the end of headers on', () => {
    const pass = passOf(given, 'submission/inet');
    expect(pass.macros.eoh.get('{daemon_name}')).toBe('mail.example.com');
    expect(pass.macrosOnRequest.connect.get('{daemon_name}')).toBe('ORIGINATING');
    expect(pass.macrosOnRequest.eoh.get('{daemon_name}')).toBe('mail.example.com');
  });

  it('is not sent where no list names it', () => {
    const pass = passOf({...given, main: 'milter_connect_macros = j\n'}, 'submission/inet');
    expect(pass.macros.connect.has('{daemon_name}')).toBe(false);
  });
});

describe('milter_macro_defaults', () => {
  it.each([
    ['auth_type=x'],
    ['{auth_type}=x'],
    ['{ auth_type = x }'],
    ['{ {auth_type} = x }'],
    ['auth_type=x, auth_type=y'],
  ])('%s gives every client a login', defaults => {
    const main = `milter_macro_defaults = ${defaults}\n`;
    expect(passOf({main}, 'smtp/inet').macros.mail.get('{auth_type}')).toBe('x');
    expect(passOf({main}, 'local').macros.mail.get('{auth_type}')).toBe('x');
    expect(passOf({main, master: LOGIN}, 'submission/inet').macros.mail.get('{auth_type}')).toBe('x');
  });

  it('changes nothing that Postfix knows itself, and nothing that no list names', () => {
    const main = 'milter_macro_defaults = {daemon_name}=other, {if_name}=eth0\n';
    const {macros} = passOf({main}, 'smtp/inet');
    expect(macros.connect.get('{daemon_name}')).toBe('mail.example.com');
    expect([...macros.connect.keys()]).not.toContain('{if_name}');
  });

  it('stops the service where it cannot be read', () => {
    const main = 'smtpd_milters = inet:h:1\nmilter_macro_defaults = auth_type\n';
    expect(passOf({main}, 'smtp/inet').milters).toEqual({
      fatal: 'malformed default macro entry: missing \'=\' after attribute name in "auth_type"',
    });
  });
});

it('gives a milter that asks everything that there is, whatever the lists say', () => {
  const {macrosOnRequest} = passOf(
    {main: 'milter_mail_macros =\nmilter_connect_macros =\n', master: LOGIN},
    'submission/inet',
  );
  expect([...macrosOnRequest.eoh.keys()]).toEqual(
    expect.arrayContaining(['i', 'j', '{auth_type}', '{auth_authen}', '{client_addr}', '{daemon_name}']),
  );
  expect([...macrosOnRequest.mail.keys()]).not.toContain('i');
  expect([...passOf({}, 'local').macrosOnRequest.eoh.keys()]).not.toContain('{auth_type}');
});
