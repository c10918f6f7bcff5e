/** Which list of milters decides, as it was seen from logging milters on a real Postfix 3.10.13 and 3.7.11. */
import {describe, expect, it} from 'vitest';
import {defaultAction} from '../../../src/services/postfix/ways/defaults.ts';
import {entranceOf, type Given, hopOf, listOf, MASTER, passOf, placeOf, waysOf} from './host.ts';

const A = 'inet:127.0.0.1:9001';
const B = 'inet:127.0.0.1:9002';
const C = 'inet:127.0.0.1:9003';
/** A reference as Postfix writes it. */
const ref = (inner: string): string => `$\{${inner}}`;
const BOTH = `smtpd_milters = ${A}\nnon_smtpd_milters = ${B}\n`;
const SUBMISSION = 'submission inet n - y - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n';

/** Rows of the table of entrances: what is set, which entrance, what it gets. */
const rows: readonly (readonly [string, Given, string, readonly string[] | string])[] = [
  ['SMTP has smtpd_milters', {main: BOTH}, 'smtp/inet', [A]],
  [
    'SMTP without smtpd_milters has none, never the other list',
    {main: `non_smtpd_milters = ${B}`},
    'smtp/inet',
    [],
  ],
  ['submission has those of main.cf', {main: BOTH, master: SUBMISSION}, 'submission/inet', [A]],
  [
    'submission has its own',
    {main: BOTH, master: `${SUBMISSION}  -o smtpd_milters=${C}\n`},
    'submission/inet',
    [C],
  ],
  [
    'an empty own list is none',
    {main: BOTH, master: `${SUBMISSION}  -o smtpd_milters=\n`},
    'submission/inet',
    [],
  ],
  [
    'the last of several own lists',
    {main: BOTH, master: `${SUBMISSION}  -o smtpd_milters=${B} -o smtpd_milters=${C}\n`},
    'submission/inet',
    [C],
  ],
  [
    'an own list in braces',
    {main: BOTH, master: `${SUBMISSION}  -o { smtpd_milters = ${B}, ${C} }\n`},
    'submission/inet',
    [B, C],
  ],
  [
    'no_milters of the service',
    {main: BOTH, master: `${SUBMISSION}  -o receive_override_options=no_address_mappings,no_milters\n`},
    'submission/inet',
    [],
  ],
  ['no_milters of main.cf', {main: `${BOTH}receive_override_options = no_milters\n`}, 'smtp/inet', []],
  [
    'own options replace no_milters of main.cf',
    {
      main: `${BOTH}receive_override_options = no_milters\n`,
      master: `${SUBMISSION}  -o receive_override_options=\n`,
    },
    'submission/inet',
    [A],
  ],
  [
    'no_milters beats an own list',
    {main: BOTH, master: `${SUBMISSION}  -o smtpd_milters=${C} -o receive_override_options=no_milters\n`},
    'submission/inet',
    [],
  ],
  ['the word DISABLE', {main: 'smtpd_milters = disable\n'}, 'smtp/inet', []],
  [
    'non_smtpd_milters at smtpd has no effect',
    {main: BOTH, master: `${SUBMISSION}  -o non_smtpd_milters=${C}\n`},
    'submission/inet',
    [A],
  ],
  [
    'submissions by its name',
    {main: BOTH, master: 'smtps inet n - y - - smtpd\n  -o smtpd_tls_wrappermode=yes\n'},
    'smtps/inet',
    [A],
  ],
  ['any other port', {main: BOTH, master: '2525 inet n - y - - smtpd\n'}, '2525/inet', [A]],
  ['a unix socket', {main: BOTH, master: 'lists unix - - y - - smtpd\n'}, 'lists/unix', [A]],
  [
    'postscreen: what its own line says decides nothing',
    {
      main: BOTH,
      master: `smtp inet n - y - 1 postscreen\n  -o smtpd_milters=${C}\nsmtpd pass - - y - - smtpd\n`,
    },
    'smtpd/pass',
    [A],
  ],
  [
    'postscreen: the pass entry decides',
    {
      main: BOTH,
      master: `smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n  -o smtpd_milters=${C}\n`,
    },
    'smtpd/pass',
    [C],
  ],
  ['sendmail(1) has non_smtpd_milters', {main: BOTH}, 'local', [B]],
  [
    'non_smtpd_milters at pickup has no effect',
    {main: BOTH, master: `pickup unix n - y 60 1 pickup\n  -o non_smtpd_milters=${C}\n`},
    'local',
    [B],
  ],
  [
    'non_smtpd_milters of cleanup',
    {main: BOTH, master: `cleanup unix n - y - 0 cleanup\n  -o non_smtpd_milters=${C}\n`},
    'local',
    [C],
  ],
  [
    'smtpd_milters at cleanup has no effect on SMTP',
    {main: BOTH, master: `cleanup unix n - y - 0 cleanup\n  -o smtpd_milters=${C}\n`},
    'smtp/inet',
    [A],
  ],
  [
    'no_milters of pickup',
    {main: BOTH, master: 'pickup unix n - y 60 1 pickup\n  -o receive_override_options=no_milters\n'},
    'local',
    [],
  ],
  [
    'no_milters of cleanup has no effect',
    {main: BOTH, master: 'cleanup unix n - y - 0 cleanup\n  -o receive_override_options=no_milters\n'},
    'local',
    [B],
  ],
  [
    'no_milters of main.cf for sendmail(1)',
    {main: `${BOTH}receive_override_options = no_milters\n`},
    'local',
    [],
  ],
  [
    'qmqpd has non_smtpd_milters',
    {main: BOTH, master: `628 inet n - y - - qmqpd\n  -o non_smtpd_milters=${C} -o smtpd_milters=${C}\n`},
    '628/inet',
    [B],
  ],
  [
    'no_milters of qmqpd',
    {main: BOTH, master: '628 inet n - y - - qmqpd\n  -o receive_override_options=no_milters\n'},
    '628/inet',
    [],
  ],
  ['bounces: off', {main: BOTH}, 'bounce', []],
  ['bounces: with their class', {main: `${BOTH}internal_mail_filter_classes = bounce\n`}, 'bounce', [B]],
  [
    'bounces: the other class does not count',
    {main: `${BOTH}internal_mail_filter_classes = notify\n`},
    'bounce',
    [],
  ],
  [
    'bounces: no_milters of main.cf does not count',
    {main: `${BOTH}internal_mail_filter_classes = bounce, notify\nreceive_override_options = no_milters\n`},
    'bounce',
    [B],
  ],
  ['notices: off', {main: BOTH}, 'notice', []],
  [
    'notices: with their class',
    {main: `${BOTH}internal_mail_filter_classes = bounce notify\n`},
    'notice',
    [B],
  ],
  [
    'the way back from a filter has what main.cf says',
    {
      main: `${BOTH}content_filter = scan:[127.0.0.1]:10024\n`,
      master: '127.0.0.1:10025 inet n - n - - smtpd\n  -o content_filter=\n',
    },
    '127.0.0.1:10025/inet',
    [A],
  ],
  [
    'the way back without milters',
    {
      main: `${BOTH}content_filter = scan:[127.0.0.1]:10024\n`,
      master: '127.0.0.1:10025 inet n - n - - smtpd\n  -o content_filter=\n  -o smtpd_milters=\n',
    },
    '127.0.0.1:10025/inet',
    [],
  ],
  [
    '$smtpd_milters in cleanup is what cleanup has',
    {
      main: `smtpd_milters = ${A}\nnon_smtpd_milters = $smtpd_milters\n`,
      master: `cleanup unix n - y - 0 cleanup\n  -o smtpd_milters=${C}\n`,
    },
    'local',
    [C],
  ],
  [
    '$smtpd_milters in cleanup is not what smtp has',
    {
      main: `smtpd_milters = ${A}\nnon_smtpd_milters = $smtpd_milters\n`,
      master: `smtp inet n - y - - smtpd\n  -o smtpd_milters=${C}\n`,
    },
    'local',
    [A],
  ],
  [
    'cleanup_service_name of pickup',
    {
      main: BOTH,
      master: `pickup unix n - y 60 1 pickup\n  -o cleanup_service_name=c2\nc2 unix n - y - 0 cleanup\n  -o non_smtpd_milters=${C}\n`,
    },
    'local',
    [C],
  ],
  [
    'cleanup_service_name of main.cf moves sendmail(1)',
    {
      main: `${BOTH}cleanup_service_name = c2\n`,
      master: `c2 unix n - y - 0 cleanup\n  -o non_smtpd_milters=${C}\n`,
    },
    'local',
    [C],
  ],
  [
    'cleanup_service_name changes no list of SMTP',
    {
      main: BOTH,
      master: `${SUBMISSION}  -o cleanup_service_name=c2\nc2 unix n - y - 0 cleanup\n  -o smtpd_milters=${C} -o non_smtpd_milters=${C}\n`,
    },
    'submission/inet',
    [A],
  ],
  [
    'a list that cleanup cannot read takes SMTP down, too',
    {main: `smtpd_milters = ${A}\nnon_smtpd_milters = inet:8891@localhost, { ${A}, foo=bar }\n`},
    'smtp/inet',
    'fatal: unknown option: "foo = bar"',
  ],
  [
    'an endpoint that cleanup cannot read ends it only when mail is for it',
    {main: `smtpd_milters = ${A}\nnon_smtpd_milters = inet:8891@localhost\n`},
    'smtp/inet',
    [A],
  ],
  [
    'a cleanup that is not there',
    {main: `${BOTH}cleanup_service_name = c2\n`},
    'local',
    'fatal: connect to public/c2: No such file or directory',
  ],
];

describe('the list that decides', () => {
  it.each(rows)('%s', (_, given, id, wanted) => {
    expect(listOf(passOf(given, id))).toEqual(wanted);
  });

  it('is none for what aliases and forwards hand in again', () => {
    expect(
      entranceOf({main: `${BOTH}internal_mail_filter_classes = bounce, notify\n`}, 'forward').passes,
    ).toEqual([]);
  });

  it('has no entrance for notices that are not written', () => {
    expect(waysOf({main: 'notify_classes =\n'}).map(one => one.id)).not.toContain('notice');
  });
});

describe('the kind and the port of an entrance', () => {
  const filter = {main: 'content_filter = scan:[127.0.0.1]:10024\n'};
  it.each<readonly [string, Given, string, string, string, string]>([
    ['smtp', {}, 'smtp/inet', 'smtp', '25', 'no'],
    ['submission', {master: SUBMISSION}, 'submission/inet', 'submission', '587', 'may'],
    [
      'a login that restrictions demand',
      {
        master: `${SUBMISSION}  -o smtpd_client_restrictions=\n  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject\n`,
      },
      'submission/inet',
      'submission',
      '587',
      'must',
    ],
    [
      'networks beside the login',
      {
        master: `${SUBMISSION}  -o smtpd_recipient_restrictions=permit_mynetworks,permit_sasl_authenticated,reject\n`,
      },
      'submission/inet',
      'submission',
      '587',
      'may',
    ],
    ['smtps', {master: 'smtps inet n - y - - smtpd\n'}, 'smtps/inet', 'submissions', '465', 'no'],
    [
      'submissions',
      {master: 'submissions inet n - y - - smtpd\n'},
      'submissions/inet',
      'submissions',
      '465',
      'no',
    ],
    ['a number', {master: '2525 inet n - y - - smtpd\n'}, '2525/inet', 'smtp', '2525', 'no'],
    [
      'a number with a login',
      {
        master:
          '2525 inet n - y - - smtpd\n  -o smtpd_sasl_auth_enable=yes -o smtpd_relay_restrictions=permit_sasl_authenticated,reject\n',
      },
      '2525/inet',
      'submission',
      '2525',
      'must',
    ],
    [
      'a way back',
      {...filter, master: '127.0.0.1:10025 inet n - n - - smtpd\n  -o content_filter=\n'},
      '127.0.0.1:10025/inet',
      'way-back',
      '127.0.0.1:10025',
      'no',
    ],
    [
      'a way back by IPv6',
      {...filter, master: '[::1]:10025 inet n - n - - smtpd\n  -o content_filter=\n'},
      '[::1]:10025/inet',
      'way-back',
      '[::1]:10025',
      'no',
    ],
    [
      'the same port without a filter',
      {master: '127.0.0.1:10025 inet n - n - - smtpd\n'},
      '127.0.0.1:10025/inet',
      'smtp',
      '127.0.0.1:10025',
      'no',
    ],
    [
      'postscreen',
      {master: 'smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n'},
      'smtpd/pass',
      'postscreen',
      '25',
      'no',
    ],
    ['qmqp', {master: '628 inet n - y - - qmqpd\n'}, '628/inet', 'qmqp', '628', 'no'],
    ['sendmail(1)', {}, 'local', 'local', '', 'no'],
  ])('%s', (_, given, id, kind, port, login) => {
    expect(entranceOf(given, id)).toMatchObject({kind, listensOn: port, login});
  });

  it('takes loopback clients for localhost, and all others for remote', () => {
    expect(passOf({}, 'smtp/inet').client).toBe('remote');
    expect(passOf({master: '127.0.0.1:587 inet n - y - - smtpd\n'}, '127.0.0.1:587/inet').client).toBe(
      'localhost',
    );
    expect(passOf({main: 'inet_interfaces = loopback-only\n'}, 'smtp/inet').client).toBe('localhost');
    const proxied = '127.0.0.1:2525 inet n - y - - smtpd\n  -o smtpd_upstream_proxy_protocol=haproxy\n';
    expect(passOf({master: proxied}, '127.0.0.1:2525/inet').client).toBe('remote');
  });
});

describe('what decided', () => {
  it('names the winner with its line, then what it beat', () => {
    const given = {
      main: `${BOTH}receive_override_options = no_unknown_recipient_checks\n`,
      master: `${SUBMISSION}  -o smtpd_milters=\n`,
    };
    const {decidedBy} = passOf(given, 'submission/inet');
    const line = MASTER.split('\n').length;
    expect(decidedBy.map(placeOf)).toEqual([
      `master.cf:${line + 2} smtpd_milters`,
      'main.cf:3 smtpd_milters',
    ]);
    expect(decidedBy.map(({says}) => says)).toEqual([
      'submission/inet in master.cf has smtpd_milters=, so no milter sees mail on port 587.',
      "submission/inet in master.cf has its own smtpd_milters, so the one in main.cf doesn't count for mail on port 587.",
    ]);
  });

  it('names no_milters, and the lists that do not count', () => {
    const {decidedBy} = passOf({main: `${BOTH}receive_override_options = no_milters\n`}, 'smtp/inet');
    expect(decidedBy.map(placeOf)).toEqual(['main.cf:5 receive_override_options', 'main.cf:3 smtpd_milters']);
    expect(decidedBy[0]?.says).toBe(
      'receive_override_options in main.cf has no_milters, so no milter sees mail on port 25.',
    );
    expect(decidedBy[1]?.says).toBe(
      "receive_override_options comes first, so smtpd_milters doesn't count for mail on port 25.",
    );
  });

  it('names the default where nothing is set, and the milters where there are some', () => {
    const none = passOf({}, 'local').decidedBy;
    expect(none).toMatchObject([
      {name: 'non_smtpd_milters', source: {by: 'default', program: 'Postfix 3.10.13'}},
    ]);
    expect(none[0]?.says).toBe("non_smtpd_milters isn't set, so no milter sees local mail.");
    const two = passOf({main: `smtpd_milters = ${A}\n  ${B}\n`}, 'smtp/inet').decidedBy;
    expect(two[0]?.says).toBe(`smtpd_milters in main.cf sends mail on port 25 through ${A}, then ${B}.`);
  });

  it('is the last definition in main.cf', () => {
    const pass = passOf({main: `smtpd_milters = ${A}\nsmtpd_milters = ${B}\n`}, 'smtp/inet');
    expect([listOf(pass), pass.decidedBy.map(placeOf)]).toEqual([[B], ['main.cf:4 smtpd_milters']]);
  });

  it('names the class that bounces lack', () => {
    expect(passOf({main: BOTH}, 'bounce').decidedBy[0]?.says).toBe(
      "internal_mail_filter_classes isn't set, so no milter sees bounces.",
    );
  });

  it('replaces a no_milters of main.cf with the options of the service, and says so', () => {
    const given = {
      main: `${BOTH}receive_override_options = no_milters\n`,
      master: `${SUBMISSION}  -o receive_override_options=\n`,
    };
    expect(passOf(given, 'submission/inet').decidedBy.map(placeOf)).toContain(
      'main.cf:5 receive_override_options',
    );
  });

  it('says the name of the service that decides', () => {
    const pickup = 'pickup unix n - y 60 1 pickup\n  -o receive_override_options=no_milters\n';
    expect(passOf({}, 'local').service).toBe('cleanup/unix');
    expect(passOf({master: pickup}, 'local').service).toBe('pickup/unix');
    expect(passOf({}, 'smtp/inet').service).toBe('smtp/inet');
  });
});

describe('smtpd_milter_maps', () => {
  const maps = (value: string, more: Partial<Given> = {}) =>
    entranceOf({...more, main: `${BOTH}smtpd_milter_maps = ${value}\n${more.main ?? ''}`}, 'smtp/inet');
  const told = (value: string, address: string, more: Partial<Given> = {}) => {
    const one = maps(value, more).passes[0]?.byClient.find(({covers}) => covers(address) === true);
    return one === undefined ? 'the list' : listOf(one);
  };

  it.each<readonly [string, string, string, readonly string[] | string]>([
    ['cidr', 'cidr:/m', '203.0.113.9', [C]],
    ['cidr, off', 'cidr:/m', '192.0.2.1', []],
    ['cidr, another client', 'cidr:/m', '198.51.100.1', 'the list'],
    ['texthash', 'texthash:/t', '203.0.113.5', [C, B]],
    ['inline', `inline:{203.0.113.5=${C}, { 192.0.2.1 = disable }}`, '192.0.2.1', []],
    ['static', 'static:DISABLE', '2001:db8::1', []],
    ['cidr, all but a network', 'cidr:/n', '198.51.100.1', []],
    ['cidr, in that network', 'cidr:/n', '203.0.113.9', 'the list'],
    ['the first table that has it', 'cidr:/m, static:DISABLE', '203.0.113.9', [C]],
    [
      'a fatal word',
      'inline:{203.0.113.5=inet:8891@localhost}',
      '203.0.113.5',
      'fatal: 8891@localhost: garbage after numerical service',
    ],
  ])('%s', (_, value, address, wanted) => {
    const tables = {
      'cidr:/m': `# ours\n203.0.113.0/24 ${C}\n192.0.2.1 DISABLE\n`,
      'cidr:/n': '!203.0.113.0/24 DISABLE\n',
      'texthash:/t': `203.0.113.5 ${C}\n ${B}\n`,
    };
    expect(told(value, address, {tables})).toEqual(wanted);
  });

  it('replaces an own list of the service, but not its no_milters', () => {
    const own = {master: `smtp inet n - y - - smtpd\n  -o smtpd_milters=\n`};
    expect(told('static:DISABLE', '203.0.113.5', own)).toEqual([]);
    const off = {master: `smtp inet n - y - - smtpd\n  -o receive_override_options=no_milters\n`};
    expect(maps(`static:${C}`, off).passes[0]?.byClient).toEqual([]);
  });

  it('is uncertain where a table cannot be read', () => {
    const one = maps('hash:/etc/postfix/m');
    expect(one.isPassUncertain).toBe(true);
    expect(one.passes[0]?.byClient[0]?.covers('203.0.113.5')).toBe('unknown');
    expect(maps('static:DISABLE').isPassUncertain).toBe(false);
  });

  it('does not evaluate a regular expression that is more than text', () => {
    const tables = {'regexp:/r': `/^203\\.0\\.113\\./ ${C}\n/(a+)+$/ DISABLE\n`};
    expect(told('regexp:/r', '203.0.113.5', {tables})).toEqual([C]);
    const second = maps('regexp:/r', {tables}).passes[0]?.byClient[1];
    expect(second?.covers('192.0.2.1')).toBe('unknown');
  });
});

describe('how a list is read', () => {
  const one = (value: string, more: Partial<Given> = {}) =>
    passOf({...more, main: `smtpd_milters = ${value}\n${more.main ?? ''}`}, 'smtp/inet');

  it.each<readonly [string, string, readonly string[] | string]>([
    ['commas', `${A}, ${B}`, [A, B]],
    ['blanks', `${A} ${B}`, [A, B]],
    ['tabs', `${A}\t${B}`, [A, B]],
    ['empty places', `,,${A},,`, [A]],
    ['a continuation line', `${A},\n  ${B}`, [A, B]],
    ['comments and empty lines between', `${A},\n# no\n\n  # no\n  ${B}`, [A, B]],
    ['a name', '$ours\nours = inet:127.0.0.1:9001', [A]],
    ['an unknown name', `$nothing ${B}`, [B]],
    ['a condition', `${ref('ours?{inet:h:1}:{inet:h:2}')}\nours = x`, ['inet:h:1']],
    ['a condition on nothing', ref('ours?{inet:h:1}:{inet:h:2}'), ['inet:h:2']],
    ['the short condition', ref('ours:inet:h:2'), ['inet:h:2']],
    ['a comparison', `${ref('{$ours} == {x} ? {inet:h:1} : {inet:h:2}')}\nours = x`, ['inet:h:1']],
    ['a level', ref('{$compatibility_level} >=level {3.10} ? {inet:h:1} : {inet:h:2}'), ['inet:h:2']],
    ['twice the same', `${A} ${A}`, [A, A]],
    [
      'options',
      '{ inet:h:1, default_action=accept, connect_timeout=10s }',
      ['{ inet:h:1, default_action=accept, connect_timeout=10s }'],
    ],
    ['options without commas', '{ inet:h:1 default_action=accept }', ['{ inet:h:1 default_action=accept }']],
    [
      'an option in braces',
      '{ inet:h:1, { default_action = accept } }',
      ['{ inet:h:1, { default_action = accept } }'],
    ],
    [
      'blanks around the equals sign',
      '{ inet:h:1, connect_timeout = 10s }',
      'fatal: malformed option: missing \'=\' after attribute name: "...connect_timeout..."',
    ],
    [
      'an option without a value',
      '{ inet:h:1, accept }',
      'fatal: malformed option: missing \'=\' after attribute name: "...accept..."',
    ],
    ['an unknown option', '{ inet:h:1, { foo = bar } }', 'fatal: unknown option: "foo = bar"'],
    [
      'a bad time',
      '{ inet:h:1, connect_timeout=soon }',
      'fatal: connect_timeout: bad time value or unit: soon',
    ],
    ['empty braces', '{ }', 'fatal: empty milter definition: "{ }"'],
    ['an open brace', '{ inet:h:1', 'fatal: milter service syntax error: missing \'}\' in "{ inet:h:1"'],
    [
      'text behind a brace',
      '{ inet:h:1 }x',
      'fatal: milter service syntax error: syntax error after \'}\' in "{ inet:h:1 }x"',
    ],
    ['a semicolon', 'inet:h:9001;', 'fatal: h:9001;: garbage after numerical service'],
    [
      "OpenDKIM's own notation",
      'inet:8891@localhost',
      'fatal: 8891@localhost: garbage after numerical service',
    ],
    ['no port', 'inet:localhost:', 'fatal: localhost:: missing service information'],
    ['a host that is none', 'inet:a b:1', ['inet:a', 'b:1']],
    ['a loop', '$smtpd_milters', 'fatal: macro processing error: unreasonable macro call nesting'],
    ['an open reference', '${ours', 'fatal: macro processing error: truncated macro reference'],
  ])('%s', (_, value, wanted) => {
    expect(listOf(one(value))).toEqual(wanted);
  });

  it.each<readonly [string, string, unknown]>([
    ['no host', 'inet:8891', {kind: 'tcp', host: '127.0.0.1', port: 8891}],
    ['an address in brackets', 'inet:[127.0.0.1]:8891', {kind: 'tcp', host: '127.0.0.1', port: 8891}],
    ['IPv6', 'inet:[::1]:8891', {kind: 'tcp', host: '::1', port: 8891}],
    ['a name', 'inet:localhost:8891', {kind: 'tcp', host: '127.0.0.1', port: 8891}],
    ['local', 'local:run/x', {kind: 'unix', path: '/var/spool/postfix/run/x'}],
    ['a bare number', '8891', undefined],
    ['no transport', '127.0.0.1:8891', undefined],
    ['a transport in upper case', 'INET:127.0.0.1:8891', undefined],
    ['inet6, which is none', 'inet6:[::1]:8891', undefined],
  ])('%s', (_, value, endpoint) => {
    expect(hopOf(one(value)).endpoint).toEqual(endpoint);
  });

  it('has the default of its version', () => {
    expect(
      ['3.7.18', '3.7.20', '3.8.14', '3.9.9', '3.10.7', '3.10.8', '3.4.0', '3.12.1', '4.0', 'x'].map(
        defaultAction,
      ),
    ).toEqual([
      'tempfail',
      'shutdown',
      'tempfail',
      'shutdown',
      'tempfail',
      'shutdown',
      'tempfail',
      'shutdown',
      'shutdown',
      undefined,
    ]);
  });

  it('says what a fatal list does to the entrance', () => {
    expect(one('inet:8891@localhost').decidedBy[0]?.says).toBe(
      "Postfix can't read this list (8891@localhost: garbage after numerical service), so it can't accept mail on port 25.",
    );
  });

  it('is no list at all where main.cf or an option cannot be read', () => {
    const broken = waysOf({main: `${BOTH}no equals sign\n`});
    for (const {id, passes} of broken.filter(way => way.id !== 'forward'))
      expect([id, passes.map(listOf)]).toEqual([
        id,
        ['fatal: /etc/postfix/main.cf, line 5: missing \'=\' after attribute name: "no equals sign"'],
      ]);
    const option = {main: BOTH, master: `${SUBMISSION}  -o smtpd_milters = ${C}\n`};
    expect(listOf(passOf(option, 'submission/inet'))).toBe(
      'fatal: invalid "-o smtpd_milters" option value: missing \'=\' after attribute name',
    );
    expect(listOf(passOf(option, 'smtp/inet'))).toEqual([A]);
  });
});

describe('where a hop leads', () => {
  const socket = (chroot: string, path: string, level = '') => {
    const master = `smtp inet n - ${chroot} - - smtpd\n`;
    const pass = passOf({main: `smtpd_milters = unix:${path}\n${level}`, master}, 'smtp/inet');
    const {endpoint, seenFrom} = hopOf(pass);
    return [pass.chroot, endpoint?.kind === 'unix' ? endpoint.path : undefined, seenFrom];
  };
  it.each<readonly [string, string, string, readonly unknown[], string]>([
    [
      'chroot, relative',
      'y',
      'opendkim/opendkim.sock',
      [true, '/var/spool/postfix/opendkim/opendkim.sock', '/opendkim/opendkim.sock'],
      '',
    ],
    [
      'chroot, absolute',
      'y',
      '/run/opendkim/opendkim.sock',
      [true, '/var/spool/postfix/run/opendkim/opendkim.sock', '/run/opendkim/opendkim.sock'],
      '',
    ],
    [
      'no chroot, relative',
      'n',
      'opendkim/opendkim.sock',
      [false, '/var/spool/postfix/opendkim/opendkim.sock', '/var/spool/postfix/opendkim/opendkim.sock'],
      '',
    ],
    [
      'no chroot, absolute',
      'n',
      '/run/opendkim/opendkim.sock',
      [false, '/run/opendkim/opendkim.sock', '/run/opendkim/opendkim.sock'],
      '',
    ],
    ['- is no chroot', '-', '/run/x', [false, '/run/x', '/run/x'], ''],
    [
      '- is chroot at level 0',
      '-',
      '/run/x',
      [true, '/var/spool/postfix/run/x', '/run/x'],
      'compatibility_level = 0\n',
    ],
    ['- is no chroot at level 1', '-', '/run/x', [false, '/run/x', '/run/x'], 'compatibility_level = 1\n'],
  ])('%s', (_, chroot, path, wanted, level) => {
    expect(socket(chroot, path, level)).toEqual(wanted);
  });

  it('is seen by the account of the process, root only where master.cf says so', () => {
    expect(passOf({}, 'smtp/inet').account).toEqual({user: 'postfix', groups: ['postfix', 'opendkim']});
    expect(passOf({main: 'mail_owner = pfx\n'}, 'local').account.user).toBe('pfx');
    expect(passOf({master: 'smtp inet n n y - - smtpd\n'}, 'smtp/inet').account.user).toBe('root');
  });

  it('of sendmail(1) is seen from cleanup', () => {
    const master = 'pickup unix n - n 60 1 pickup\ncleanup unix n - y - 0 cleanup\n';
    expect(passOf({main: 'non_smtpd_milters = unix:/run/x\n', master}, 'local')).toMatchObject({
      chroot: true,
    });
  });
});

describe('what becomes of mail while a milter is down', () => {
  const down = (main: string, version?: string) =>
    hopOf(passOf({main, ...(version === undefined ? {} : {version})}, 'smtp/inet')).whenDown;
  it.each<readonly [string, string, string | undefined, string]>([
    ['accept', `smtpd_milters = ${A}\nmilter_default_action = accept\n`, undefined, 'unsigned'],
    ['tempfail', `smtpd_milters = ${A}\nmilter_default_action = tempfail\n`, undefined, 'delayed'],
    ['reject', `smtpd_milters = ${A}\nmilter_default_action = reject\n`, undefined, 'refused'],
    ['quarantine', `smtpd_milters = ${A}\nmilter_default_action = quarantine\n`, undefined, 'held'],
    ['shutdown', `smtpd_milters = ${A}\nmilter_default_action = shutdown\n`, undefined, 'delayed'],
    ['an unknown word', `smtpd_milters = ${A}\nmilter_default_action = bogus\n`, undefined, 'delayed'],
    ['the default', `smtpd_milters = ${A}\n`, '3.7.11', 'delayed'],
    ['a default that changed within a series, before', `smtpd_milters = ${A}\n`, '3.10.7', 'delayed'],
    ['a default that is not known for this point release', `smtpd_milters = ${A}\n`, '3.7.19', 'unknown'],
    ['the default of an unknown version', `smtpd_milters = ${A}\n`, '', 'unknown'],
    [
      'the one of the entry',
      `smtpd_milters = { ${A}, default_action=accept }\nmilter_default_action = reject\n`,
      undefined,
      'unsigned',
    ],
    [
      'an unknown transport that is accepted',
      'smtpd_milters = 8891\nmilter_default_action = accept\n',
      undefined,
      'unsigned',
    ],
    [
      'an unknown transport that is rejected',
      'smtpd_milters = 8891\nmilter_default_action = reject\n',
      undefined,
      'delayed',
    ],
  ])('%s', (_, main, version, wanted) => {
    expect(down(main, version)).toBe(wanted);
  });

  it('is what the service says that connects', () => {
    const master = 'cleanup unix n - y - 0 cleanup\n  -o milter_default_action=accept\n';
    expect(hopOf(passOf({main: `${BOTH}milter_default_action = reject\n`, master}, 'local')).whenDown).toBe(
      'unsigned',
    );
    expect(
      hopOf(passOf({main: `${BOTH}milter_default_action = reject\n`, master}, 'smtp/inet')).whenDown,
    ).toBe('refused');
  });
});
