/**
 * What is known of the ways of mail through Postfix and OpenDKIM, as configurations with what they do: each line of
 * `expected` is a message and what becomes of it (`1`: one signature that verifies; see `describeTruth`).
 */
import {type Configuration, PORTS, SOCKET} from './configuration.ts';

export interface Row extends Configuration {
  /** `smtp foreign login: 1` */
  readonly expected: readonly string[];
}

const WAY_BACK = `127.0.0.1:${PORTS.wayBack} inet n - y - - smtpd`;
const FILTER = `scan:[127.0.0.1]:${PORTS.filter}`;
const MACRO = '$';
/** As SpamAssassin's guides write it. */
const PIPE = `spam unix - n n - - pipe\n  flags=Rq user=nobody argv=/usr/local/bin/pipe-filter -f ${MACRO}{sender} -- ${MACRO}{recipient}`;
const SCAN = 'scan unix - - y - - smtp';
const INET = 'inet:127.0.0.1:8891';
const ON_INET = ['Socket inet:8891@127.0.0.1'];
const NO_MILTERS = 'receive_override_options=no_milters';

/** Every entrance of a host that signs on all of them. */
const ENTRANCES = [
  'smtp: 1',
  'smtp foreign: 0',
  'smtp foreign login: 1',
  'submission: 1',
  'submission foreign: 0',
  'submission foreign login: 1',
  'local: 1',
  'bs: 1',
  'qmqp: 1',
  'bounce: 0',
  'alias: 1',
  'virtual: 1',
  'list: 2',
  // The list's program hands it in anew, from this host.
  'list foreign: 1',
  'smtp from=bob@example.org: 1',
  'smtp from=bob@other.test: 0',
  'local from=carol@sub.example.com: 0',
];

const entrances: readonly Row[] = [
  {name: 'everything signed', expected: ENTRANCES},
  {
    name: 'smtp: no milters by -o',
    options: {'smtp/inet': ['smtpd_milters=']},
    expected: ['smtp: 0', 'submission: 1', 'local: 1', 'smtp foreign login: 0'],
  },
  {
    name: 'smtp: no_milters by -o',
    options: {'smtp/inet': [NO_MILTERS]},
    expected: ['smtp: 0', 'submission: 1', 'local: 1', 'alias: 0'],
  },
  {
    name: 'main.cf: no_milters',
    main: [NO_MILTERS.replace('=', ' = '), 'internal_mail_filter_classes = bounce'],
    expected: ['smtp: 0', 'submission: 0', 'local: 0', 'bs: 0', 'qmqp: 0', 'bounce: 1', 'list: 0'],
  },
  {
    name: 'main.cf: no_milters, submission takes it back',
    main: [NO_MILTERS.replace('=', ' = ')],
    options: {'submission/inet': ['receive_override_options=']},
    expected: ['smtp: 0', 'submission: 1', 'local: 0'],
  },
  {
    name: 'smtpd_milter_maps: DISABLE for one address',
    main: ['smtpd_milter_maps = inline:{ { 203.0.113.5 = disable } }'],
    expected: ['smtp: 1', 'smtp foreign login: 0', 'smtp foreign login address=203.0.113.6: 1', 'local: 1'],
  },
  {
    name: 'smtpd_milter_maps: a network in a file',
    main: ['smtpd_milter_maps = cidr:/etc/postfix/milter_map'],
    files: {'/etc/postfix/milter_map': '203.0.113.0/24 DISABLE\n'},
    expected: [
      'smtp: 1',
      'smtp foreign login: 0',
      'submission foreign login: 0',
      'smtp foreign login address=198.51.100.1: 1',
    ],
  },
  {
    name: 'smtpd_milter_maps: the result replaces an empty -o',
    main: [`smtpd_milter_maps = inline:{ { 127.0.0.1 = ${SOCKET} } }`],
    options: {'smtp/inet': ['smtpd_milters=']},
    expected: ['smtp: 1', 'smtp foreign login: 0', 'submission foreign login: 1'],
  },
  {
    name: 'smtpd_milter_maps: no_milters beats it',
    main: [`smtpd_milter_maps = inline:{ { 127.0.0.1 = ${SOCKET} } }`],
    options: {'smtp/inet': [NO_MILTERS]},
    expected: ['smtp: 0', 'submission: 1'],
  },
  {
    name: 'smtpd_milters = DISABLE',
    main: ['smtpd_milters = DISABLE', `non_smtpd_milters = ${SOCKET}`],
    expected: ['smtp: 0', 'submission: 0', 'local: 1'],
  },
  {
    name: 'smtpd_milters empty, non_smtpd_milters not: none stands in',
    main: ['smtpd_milters =', `non_smtpd_milters = ${SOCKET}`],
    expected: ['smtp: 0', 'submission foreign login: 0', 'local: 1', 'qmqp: 1', 'bs: 1'],
  },
  {
    name: 'non_smtpd_milters empty',
    main: ['non_smtpd_milters =', 'internal_mail_filter_classes = bounce'],
    expected: ['smtp: 1', 'submission: 1', 'local: 0', 'bs: 0', 'qmqp: 0', 'bounce: 0', 'list: 1'],
  },
  {
    name: 'smtp: -o non_smtpd_milters= decides nothing',
    options: {'smtp/inet': ['non_smtpd_milters=']},
    expected: ['smtp: 1', 'local: 1'],
  },
  {
    name: 'cleanup: -o smtpd_milters= reaches $smtpd_milters there',
    options: {'cleanup/unix': ['smtpd_milters=']},
    expected: ['smtp: 1', 'submission: 1', 'local: 0', 'qmqp: 0'],
  },
  {
    name: 'cleanup: -o smtpd_milters= beside a list of its own',
    main: [`non_smtpd_milters = ${SOCKET}`],
    options: {'cleanup/unix': ['smtpd_milters=']},
    expected: ['smtp: 1', 'local: 1'],
  },
  {
    name: 'cleanup: -o non_smtpd_milters=',
    options: {'cleanup/unix': ['non_smtpd_milters=']},
    expected: ['smtp: 1', 'local: 0', 'bs: 0', 'qmqp: 0'],
  },
  {
    name: 'pickup: -o non_smtpd_milters= decides nothing',
    options: {'pickup/unix': ['non_smtpd_milters=']},
    expected: ['local: 1'],
  },
  {
    name: 'pickup: no_milters',
    options: {'pickup/unix': [NO_MILTERS]},
    expected: ['local: 0', 'bs: 0', 'qmqp: 1', 'smtp: 1', 'list: 1'],
  },
  {
    name: 'cleanup: no_milters decides nothing',
    options: {'cleanup/unix': [NO_MILTERS]},
    expected: ['local: 1', 'smtp: 1'],
  },
  {name: 'qmqpd: no_milters', options: {'628/inet': [NO_MILTERS]}, expected: ['qmqp: 0', 'local: 1']},
  {
    name: 'qmqpd: its -o lists decide nothing',
    options: {'628/inet': ['smtpd_milters=', 'non_smtpd_milters=']},
    expected: ['qmqp: 1'],
  },
  {
    name: 'bounces are filtered',
    main: ['internal_mail_filter_classes = bounce'],
    expected: ['bounce: 1', 'local: 1'],
  },
  {
    name: 'bounces are filtered, from a domain without a row',
    main: ['internal_mail_filter_classes = bounce', 'myorigin = mail.example.com'],
    expected: ['bounce: 0', 'local: 1'],
  },
  {
    name: 'notices are filtered, bounces and their copies are not',
    main: ['internal_mail_filter_classes = notify', 'notify_classes = bounce, policy'],
    // Its From has $myhostname, where that of a bounce has $myorigin.
    signingTable: ['*@example.com one', '*@mail.example.com one'],
    expected: ['notice foreign: 1', 'bounce: 0', 'copy: 0'],
  },
  {
    name: 'bounces and their copies are filtered, notices are not',
    main: ['internal_mail_filter_classes = bounce', 'notify_classes = bounce, policy'],
    expected: ['notice foreign: 0', 'bounce: 1', 'copy: 1'],
  },
  {
    name: 'postscreen in front: its -o decides nothing',
    master: ['smtp inet n - y - 1 postscreen\n  -o smtpd_milters=', 'smtpd pass - - y - - smtpd'],
    expected: ['smtp: 1', 'smtp foreign login: 1', 'submission: 1'],
  },
  {
    name: 'postscreen in front: the pass entry decides',
    master: ['smtp inet n - y - 1 postscreen', 'smtpd pass - - y - - smtpd\n  -o smtpd_milters='],
    expected: ['smtp: 0', 'submission: 1'],
  },
  {
    name: 'pickup: another cleanup without milters',
    master: ['second unix n - y - 0 cleanup\n  -o non_smtpd_milters='],
    options: {'pickup/unix': ['cleanup_service_name=second']},
    expected: ['local: 0', 'qmqp: 1', 'smtp: 1'],
  },
  {
    name: 'main.cf: another cleanup without milters',
    main: ['cleanup_service_name = second'],
    master: ['second unix n - y - 0 cleanup\n  -o non_smtpd_milters='],
    expected: ['local: 0', 'smtp: 1'],
  },
  {
    name: 'several -o: the last counts',
    options: {
      'smtp/inet': ['smtpd_milters=', `smtpd_milters=${SOCKET}`],
      'submission/inet': [`smtpd_milters=${SOCKET}`, '{ smtpd_milters = }'],
    },
    expected: ['smtp: 1', 'submission: 0'],
  },
  {
    name: 'smtpd_milter_maps: DISABLE for everybody',
    main: ['smtpd_milter_maps = static:DISABLE'],
    expected: ['smtp: 0', 'smtp foreign login: 0', 'local: 1'],
  },
  {
    name: 'milter_protocol: a word that is none',
    main: ['milter_protocol = 6, nonsense'],
    expected: ['smtp: 0', 'submission foreign login: 0', 'local: 0'],
  },
  {name: 'milter_protocol: an old version', main: ['milter_protocol = 2'], expected: ['smtp: 1', 'local: 1']},
  {
    name: 'smtp: a milter_protocol of its own that is none',
    options: {'smtp/inet': ['milter_protocol=nonsense']},
    expected: ['smtp: 0', 'submission: 1', 'local: 1'],
  },
  {
    name: 'the same milter twice in a list',
    main: [`smtpd_milters = ${SOCKET}, ${SOCKET}`],
    expected: ['smtp: 2', 'local: 2'],
  },
];

/** How a list of milters is written. */
const form = (
  text: string,
  expected: string,
  lines: readonly string[] = [`smtpd_milters = ${text}`],
): Row => ({
  name: `list: ${text}`,
  main: [`non_smtpd_milters = ${INET}`, ...lines],
  signer: ON_INET,
  expected: [`smtp: ${expected}`, 'local: 1'],
});

const words: readonly Row[] = [
  form(`,,${INET},,`, '1'),
  form(`inet:127.0.0.1:${PORTS.addingMilter}, ${INET}`, '1'),
  form(`inet:127.0.0.1:${PORTS.addingMilter}\t${INET}`, '1'),
  form('a list over several lines', '1', [
    'smtpd_milters =',
    `  inet:127.0.0.1:${PORTS.addingMilter}`,
    '# a comment',
    '',
    `  ${INET}`,
  ]),
  form('$mine', '1', [`mine = ${INET}`, 'smtpd_milters = $mine']),
  form('$mine, not set', '0', ['smtpd_milters = $mine']),
  form(`\${is_on?{${INET}}:{}}, set`, '1', ['is_on = yes', `smtpd_milters = \${is_on?{${INET}}:{}}`]),
  form(`\${is_on?{${INET}}:{}}, not set`, '0', [`smtpd_milters = \${is_on?{${INET}}:{}}`]),
  form(`\${is_on:${INET}}, not set`, '1', [`smtpd_milters = \${is_on:${INET}}`]),
  form(`{ ${INET}, default_action=accept, connect_timeout=10s }`, '1'),
  form(`{ ${INET} default_action=accept }`, '1'),
  form(`{ ${INET}, { connect_timeout = 10s } }`, '1'),
  form(`{ ${INET}, connect_timeout = 10s }`, 'dead'),
  form(`{ ${INET}, accept }`, 'dead'),
  form(`{ ${INET}, protocol=6 }`, '1'),
  form(`{ ${INET}, protocol=nonsense }`, '0'),
  form(`{ ${INET}, foo=bar }`, 'dead'),
  form(`{ ${INET}, { foo = bar } }`, 'dead'),
  form('{ }', 'dead'),
  form(`{ ${INET}`, 'dead'),
  form(`${INET};`, 'dead'),
  form('inet:8891@localhost', 'dead'),
  form('8891', '0'),
  form('127.0.0.1:8891', '0'),
  form(INET.replace('inet', 'INET'), '0'),
  form('inet:8891', '1'),
  form('inet:[127.0.0.1]:8891', '1'),
  form('inet:localhost:8891', '1'),
  {
    name: 'list: local: in place of unix:',
    main: [
      'smtpd_milters = local:opendkim/opendkim.sock',
      'non_smtpd_milters = unix:/opendkim/opendkim.sock',
    ],
    expected: ['smtp: 1', 'local: 1'],
  },
  {
    name: 'list: the whole path, from inside of the chroot',
    main: ['smtpd_milters = unix:/var/spool/postfix/opendkim/opendkim.sock'],
    expected: ['smtp: 0', 'local: 0'],
  },
  {
    name: 'list: the whole path, a service without chroot',
    main: ['smtpd_milters = unix:/var/spool/postfix/opendkim/opendkim.sock'],
    master: ['smtp inet n - n - - smtpd'],
    expected: ['smtp: 1', 'local: 0'],
  },
  {
    name: 'list: an endpoint of non_smtpd_milters that is fatal for its own mail only',
    main: [`smtpd_milters = ${SOCKET}`, 'non_smtpd_milters = inet:8891@localhost'],
    expected: ['smtp: 1', 'local: delayed'],
  },
  {
    name: 'list: an option of non_smtpd_milters that takes SMTP down, too',
    main: [`smtpd_milters = ${SOCKET}`, `non_smtpd_milters = { ${SOCKET}, foo=bar }`],
    expected: ['smtp: dead', 'local: delayed'],
  },
];

/** Ports of the table of macros: what a client brings, and what Postfix sends of it. */
const MACRO_PORTS = [
  'submission inet n - y - - smtpd\n  -o milter_macro_daemon_name=ORIGINATING',
  '2525 inet n - y - - smtpd\n  -o { milter_mail_macros = i {mail_addr} {mail_host} }',
  '2526 inet n - y - - smtpd\n  -o milter_macro_daemon_name=ORIGINATING\n  -o { milter_connect_macros = j v _ }',
];
const MACRO_QUESTIONS = [
  'smtp',
  'smtp foreign',
  'smtp foreign login',
  'submission foreign',
  '2525 foreign login',
  '2526 foreign',
];

const macroRow = (
  name: string,
  signer: readonly string[],
  results: string,
  more: readonly string[] = [],
): Row => ({
  name: `macros: ${name}`,
  master: MACRO_PORTS,
  signer,
  expected: [...MACRO_QUESTIONS.map((each, at) => `${each}: ${results[at] ?? ''}`), ...more],
});

const macros: readonly Row[] = [
  macroRow('InternalHosts unset', [], '101000'),
  macroRow('MTA ORIGINATING', ['MTA ORIGINATING'], '101100'),
  macroRow('MacroList daemon_name=ORIGINATING', ['MacroList daemon_name=ORIGINATING'], '101010'),
  macroRow('MacroList daemon_name=X|ORIGINATING', ['MacroList daemon_name=X|ORIGINATING'], '101010'),
  macroRow('ExternalIgnoreList has the client', ['ExternalIgnoreList 203.0.113.5'], '101000'),
  macroRow('InternalHosts without loopback', ['InternalHosts 10.0.0.0/8'], '001000', ['local: 0', 'qmqp: 0']),
  macroRow('PeerList 127.0.0.1', ['PeerList 127.0.0.1'], '001000', ['local: 0']),
  macroRow(
    'InternalHosts has the client, MTA ORIGINATING',
    ['InternalHosts 203.0.113.5', 'MTA ORIGINATING'],
    '011111',
    ['submission: 1'],
  ),
  macroRow('a foreign client that calls itself localhost', [], '101000', ['smtp foreign name=localhost: 0']),
  {
    name: 'macros: milter_macro_defaults gives everybody a login',
    main: ['milter_macro_defaults = auth_type=x'],
    expected: ['smtp foreign: 1', 'smtp foreign login: 1', 'submission foreign: 1'],
  },
  {
    name: 'macros: milter_macro_defaults with braces',
    main: ['milter_macro_defaults = {auth_type}=x'],
    expected: ['smtp foreign: 1', 'smtp foreign login: 1'],
  },
  {
    name: 'macros: main.cf without {auth_type}',
    main: ['milter_mail_macros = i {mail_addr} {client_addr} {client_name} {auth_authen}'],
    expected: ['smtp foreign login: 0', 'submission foreign login: 0', 'smtp: 1', 'local: 1'],
  },
  {
    name: 'macros: auth_type without braces is another one',
    main: ['milter_mail_macros = i auth_type auth_authen'],
    expected: ['smtp foreign login: 0', 'smtp: 1'],
  },
  {
    name: 'macros: {auth_type} at another step',
    main: ['milter_mail_macros = i {mail_addr}', 'milter_rcpt_macros = i {auth_type}'],
    expected: ['smtp foreign login: 1', 'smtp foreign: 0'],
  },
  {
    name: 'macros: {daemon_name} of a service, in main.cf as well',
    main: ['milter_macro_daemon_name = ORIGINATING'],
    options: {'submission/inet': ['milter_macro_daemon_name=OTHER']},
    signer: ['MTA ORIGINATING'],
    expected: ['smtp foreign: 1', 'submission foreign: 0', 'submission foreign login: 1'],
  },
];

/** Who is let in, and who is taken for whom. */
const clients: readonly Row[] = [
  {
    name: 'clients: only its own networks',
    options: {'submission/inet': ['{ smtpd_client_restrictions = permit_mynetworks, reject }']},
    expected: [
      'submission: 1',
      'submission foreign: refused',
      'submission foreign login: refused',
      'smtp: 1',
    ],
  },
  {
    name: 'clients: its own networks and those that log in',
    options: {
      'submission/inet': [
        '{ smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated, reject }',
      ],
    },
    expected: ['submission: 1', 'submission foreign: refused', 'submission foreign login: 1'],
  },
  {
    name: 'clients: QMQP for nobody',
    main: ['qmqpd_authorized_clients ='],
    expected: ['qmqp: refused', 'smtp: 1'],
  },
  {
    name: 'clients: one that may say who it is',
    expected: ['smtp foreign name=localhost address=127.0.0.1: 1', 'smtp foreign: 0'],
  },
  {
    name: 'clients: a port for a proxy',
    options: {'submission/inet': ['smtpd_upstream_proxy_protocol=haproxy']},
    expected: ['submission foreign proxied: 1', 'smtp foreign: 0'],
  },
  {
    name: 'clients: a large network, its ends and what is outside',
    signer: ['InternalHosts 127.0.0.1,203.0.0.0/8'],
    expected: [
      'smtp foreign address=203.0.0.0: 1',
      'smtp foreign address=203.255.255.255: 1',
      'smtp foreign address=202.255.255.255: 0',
      'smtp foreign address=204.0.0.0: 0',
    ],
  },
  {
    name: 'clients: a network of IPv6',
    signer: ['InternalHosts 127.0.0.1,2001:db8::/32'],
    expected: ['smtp foreign address=2001:db8:7::1: 1', 'smtp foreign address=2001:db9::1: 0'],
  },
  {
    name: 'clients: every name under a top-level domain',
    signer: ['InternalHosts 127.0.0.1,.com'],
    expected: ['smtp foreign name=host.com: 1', 'smtp foreign name=host.org: 0'],
  },
  {
    name: 'clients: those without a name',
    signer: ['InternalHosts 127.0.0.1,unknown'],
    expected: ['smtp foreign name=[UNAVAILABLE]: 0', 'smtp foreign: 0'],
  },
];

/** Settings that touch a message before or after the signature. */
const setting = (
  name: string,
  main: readonly string[],
  expected: readonly string[],
  files?: Configuration['files'],
  options?: Configuration['options'],
): Row => ({
  name: `setting: ${name}`,
  main,
  expected,
  ...(files === undefined ? {} : {files}),
  ...(options === undefined ? {} : {options}),
});

const settings: readonly Row[] = [
  setting(
    'canonical_maps to a domain without a row',
    ['canonical_maps = inline:{ { @example.com = @other.test } }'],
    ['smtp: 0', 'local: 0', 'smtp from=bob@example.org: 1'],
  ),
  setting(
    'canonical_maps to a domain with a row',
    ['canonical_maps = inline:{ { @other.test = @example.com } }'],
    ['smtp from=x@other.test: 1', 'local from=x@other.test: 1'],
  ),
  setting(
    'sender_canonical_maps of one address',
    ['sender_canonical_maps = inline:{ { alice@example.com = alice@example.org } }'],
    ['smtp: 1', 'smtp from=bob@example.com: 1'],
  ),
  setting(
    'sender_canonical_maps for the envelope only',
    [
      'sender_canonical_maps = inline:{ { @example.com = @other.test } }',
      'sender_canonical_classes = envelope_sender',
    ],
    ['smtp: 1'],
  ),
  setting(
    'recipient_canonical_maps',
    ['recipient_canonical_maps = inline:{ { x@sink.test = y@sink.test } }'],
    ['smtp: 1'],
  ),
  setting(
    'masquerade_domains',
    ['masquerade_domains = example.com'],
    ['smtp from=a@host.example.com: 1', 'local from=a@host.example.com: 1'],
  ),
  setting('a sender without a domain', [], ['local from=alice: 1', 'smtp from=alice: 1']),
  setting('a sender without a domain, foreign', [], ['smtp foreign login from=alice: 0']),
  setting('header_checks REPLACE', ['header_checks = regexp:/etc/postfix/checks'], ['smtp: 1', 'local: 1'], {
    '/etc/postfix/checks': '/^Subject:/ REPLACE Subject: checked\n',
  }),
  setting(
    'header_checks IGNORE, PREPEND',
    ['header_checks = regexp:/etc/postfix/checks'],
    ['smtp: 1', 'local: 1'],
    {'/etc/postfix/checks': '/^X-Mailer:/ IGNORE\n/^Subject:/ PREPEND X-Seen: yes\n'},
  ),
  setting(
    'header_checks that replace From',
    ['header_checks = regexp:/etc/postfix/checks'],
    [
      'smtp from=alice: 1',
      'smtp from=x@other.test: 1',
      'smtp foreign login from=alice: 1',
      'smtp foreign: 0',
    ],
    {'/etc/postfix/checks': '/^From:/ REPLACE From: bob@example.org\n'},
  ),
  setting('body_checks REPLACE', ['body_checks = regexp:/etc/postfix/checks'], ['smtp: 1'], {
    '/etc/postfix/checks': '/ordinary/ REPLACE changed\n',
  }),
  setting('message_strip_characters', ['message_strip_characters = \\0'], ['smtp: 1']),
  setting('always_add_missing_headers', ['always_add_missing_headers = yes'], ['smtp: 1', 'local: 1']),
  setting('always_bcc', ['always_bcc = copy@sink.test'], ['smtp: 1', 'local: 1']),
  setting(
    'header_checks HOLD',
    ['header_checks = regexp:/etc/postfix/checks'],
    ['smtp: held 1', 'local: held 1'],
    {'/etc/postfix/checks': '/^Subject:/ HOLD\n'},
  ),
  setting(
    'milter_header_checks IGNORE',
    ['milter_header_checks = regexp:/etc/postfix/checks'],
    ['smtp: 0', 'local: 0'],
    {'/etc/postfix/checks': '/^DKIM-Signature:/ IGNORE\n'},
  ),
  setting(
    'milter_header_checks of another field',
    ['milter_header_checks = regexp:/etc/postfix/checks'],
    ['smtp: 1'],
    {'/etc/postfix/checks': '/^X-Spam/ IGNORE\n'},
  ),
  setting('header_size_limit 200', ['header_size_limit = 200'], ['smtp: 1 broken']),
  setting(
    'a later milter that changes Subject',
    [`smtpd_milters = ${SOCKET}, inet:127.0.0.1:${PORTS.changingMilter}`],
    ['smtp: 1 broken', 'local: 1 broken'],
  ),
  setting(
    'an earlier milter that changes Subject',
    [`smtpd_milters = inet:127.0.0.1:${PORTS.changingMilter}, ${SOCKET}`],
    ['smtp: 1'],
  ),
  setting(
    'a later milter that adds a field',
    [`smtpd_milters = ${SOCKET}, inet:127.0.0.1:${PORTS.addingMilter}`],
    ['smtp: 1'],
  ),
  setting(
    'smtp_generic_maps of From',
    ['smtp_generic_maps = inline:{ { alice@example.com = a.lice@example.com } }'],
    ['smtp: 1 broken', 'local: 1 broken', 'smtp from=bob@example.com: 1'],
  ),
  setting(
    'smtp_header_checks REPLACE',
    ['smtp_header_checks = regexp:/etc/postfix/checks'],
    ['smtp: 1 broken'],
    {'/etc/postfix/checks': '/^Subject:/ REPLACE Subject: checked\n'},
  ),
  setting(
    'smtp_header_checks IGNORE of an unsigned field',
    ['smtp_header_checks = regexp:/etc/postfix/checks'],
    ['smtp: 1'],
    {'/etc/postfix/checks': '/^(Received|X-Mailer):/ IGNORE\n'},
  ),
  setting('smtp_body_checks REPLACE', ['smtp_body_checks = regexp:/etc/postfix/checks'], ['smtp: 1 broken'], {
    '/etc/postfix/checks': '/ordinary/ REPLACE changed\n',
  }),
  setting(
    'smtp_header_checks of the service that delivers',
    [],
    ['smtp: 1 broken'],
    {'/etc/postfix/checks': '/^Subject:/ REPLACE Subject: checked\n'},
    {'smtp/unix': ['smtp_header_checks=regexp:/etc/postfix/checks']},
  ),
  setting('message_drop_headers', ['message_drop_headers = subject, x-mailer'], ['smtp: 1', 'local: 1']),
  setting(
    'remote_header_rewrite_domain',
    ['remote_header_rewrite_domain = example.com'],
    ['smtp foreign login from=alice: 1', 'smtp foreign from=alice: 0'],
  ),
  setting(
    'local_header_rewrite_clients for all',
    ['local_header_rewrite_clients = static:all'],
    ['smtp foreign login from=alice: 1', 'smtp foreign from=alice: 0'],
  ),
  setting(
    'masquerade_exceptions',
    ['masquerade_domains = example.com', 'masquerade_exceptions = alice'],
    ['smtp from=alice@host.example.com: 0', 'smtp from=bob@host.example.com: 1'],
  ),
  setting(
    'no_address_mappings of one port',
    ['canonical_maps = inline:{ { @example.com = @other.test } }'],
    ['smtp: 1', 'local: 0', 'submission: 0'],
    undefined,
    {'smtp/inet': ['receive_override_options=no_address_mappings']},
  ),
  setting('8-bit body to a next hop that takes it', [], ['smtp 8bit: 1', 'local 8bit: 1']),
  setting(
    '8-bit body to a next hop that does not',
    [],
    ['smtp 8bit to=seven.test: 1 broken', 'smtp 8bit-raw to=seven.test: 1', 'smtp to=seven.test: 1'],
  ),
  setting(
    '8-bit body, disable_mime_output_conversion',
    ['disable_mime_output_conversion = yes'],
    ['smtp 8bit to=seven.test: 1'],
  ),
  setting('8-bit body, smtp_never_send_ehlo', ['smtp_never_send_ehlo = yes'], ['smtp 8bit: 1 broken']),
  setting('a line over 998', [], ['smtp long: 1 broken', 'local long: 1 broken']),
  setting('a line over 998, no limit', ['smtp_line_length_limit = 0'], ['smtp long: 1']),
];

/** Filters, and where they hand mail back. */
const filters: readonly Row[] = [
  {
    name: 'filter: content_filter, way back without milters',
    main: [`content_filter = ${FILTER}`],
    master: [SCAN, `${WAY_BACK}\n  -o content_filter=\n  -o smtpd_milters=`],
    expected: ['smtp: 1', 'local: 1', 'smtp foreign: 0', 'smtp foreign login: 1'],
  },
  {
    name: 'filter: content_filter, way back with no_milters',
    main: [`content_filter = ${FILTER}`],
    master: [
      SCAN,
      `${WAY_BACK}\n  -o content_filter=\n  -o receive_override_options=no_milters,no_address_mappings,no_header_body_checks`,
    ],
    expected: ['smtp: 1', 'local: 1', 'smtp foreign: 0'],
  },
  {
    name: 'filter: content_filter, way back with milters',
    main: [`content_filter = ${FILTER}`],
    master: [SCAN, `${WAY_BACK}\n  -o content_filter=`],
    expected: [
      'smtp: 2',
      'local: 2',
      'smtp foreign: 1',
      'smtp foreign login: 2',
      // Completed on the way back only, where it comes from this host.
      'smtp foreign from=alice: 1',
      'smtp foreign login from=alice: 1',
    ],
  },
  {
    name: 'filter: a pipe that calls sendmail(1)',
    main: [],
    options: {'smtp/inet': ['content_filter=spam:dummy']},
    master: [PIPE],
    expected: ['smtp: 2', 'local: 1', 'submission: 1', 'smtp foreign: 1'],
  },
  {
    name: 'filter: a pipe that calls sendmail(1), pickup without milters',
    options: {'smtp/inet': ['content_filter=spam:dummy'], 'pickup/unix': [NO_MILTERS]},
    master: [PIPE],
    expected: ['smtp: 1', 'local: 0', 'smtp foreign: 0'],
  },
  {
    name: 'filter: header_checks again on the way back',
    main: [`content_filter = ${FILTER}`, 'header_checks = regexp:/etc/postfix/checks'],
    master: [SCAN, `${WAY_BACK}\n  -o content_filter=\n  -o smtpd_milters=`],
    files: {'/etc/postfix/checks': '/^Subject: (.*)/ REPLACE Subject: again $1\n'},
    expected: ['smtp: 1 broken', 'local: 1 broken'],
  },
  {
    name: 'filter: header_checks not again on the way back',
    main: [`content_filter = ${FILTER}`, 'header_checks = regexp:/etc/postfix/checks'],
    master: [
      SCAN,
      `${WAY_BACK}\n  -o content_filter=\n  -o receive_override_options=no_milters,no_header_body_checks`,
    ],
    files: {'/etc/postfix/checks': '/^Subject: (.*)/ REPLACE Subject: again $1\n'},
    expected: ['smtp: 1'],
  },
  {
    name: 'filter: smtpd_proxy_filter, way back without milters',
    options: {'smtp/inet': [`smtpd_proxy_filter=127.0.0.1:${PORTS.filter}`]},
    master: [`${WAY_BACK}\n  -o smtpd_milters=`],
    expected: ['smtp: 0', 'smtp foreign login: 0', 'submission: 1', 'local: 1'],
  },
  {
    name: 'filter: smtpd_proxy_filter, way back with milters',
    options: {'smtp/inet': [`smtpd_proxy_filter=127.0.0.1:${PORTS.filter}`]},
    master: [WAY_BACK],
    expected: ['smtp: 1', 'smtp foreign: 1', 'smtp foreign login: 1'],
  },
  {
    name: 'filter: the cure for a way back that signs forged mail',
    options: {
      'smtp/inet': [`smtpd_proxy_filter=127.0.0.1:${PORTS.filter}`],
      'submission/inet': ['milter_macro_daemon_name=ORIGINATING'],
    },
    master: [WAY_BACK],
    signer: ['InternalHosts 192.0.2.99', 'MTA ORIGINATING'],
    expected: ['smtp foreign: 0', 'submission foreign: 1', 'submission foreign login: 1'],
  },
  {
    name: 'filter: a public port without milters, way back with milters',
    main: [`content_filter = ${FILTER}`],
    options: {'smtp/inet': ['smtpd_milters=']},
    master: [SCAN, `${WAY_BACK}\n  -o content_filter=`],
    expected: ['smtp: 1', 'smtp foreign: 1'],
  },
  {
    name: 'filter: header_checks FILTER',
    main: ['header_checks = regexp:/etc/postfix/checks'],
    master: [SCAN, `${WAY_BACK}\n  -o receive_override_options=no_header_body_checks`],
    files: {'/etc/postfix/checks': `/^Subject:/ FILTER ${FILTER}\n`},
    expected: ['smtp: 2', 'local: 2', 'smtp foreign: 1'],
  },
  {
    name: 'filter: FILTER by the address of the client',
    options: {'smtp/inet': ['{ smtpd_client_restrictions = check_client_access cidr:/etc/postfix/access }']},
    master: [SCAN, WAY_BACK],
    files: {'/etc/postfix/access': `0.0.0.0/0 FILTER ${FILTER}\n`},
    expected: ['smtp: 2', 'submission: 1', 'smtp foreign: 1'],
  },
  {
    name: 'filter: signed twice, where the signer removes older signatures',
    main: [`content_filter = ${FILTER}`],
    master: [SCAN, `${WAY_BACK}\n  -o content_filter=`],
    signer: ['RemoveOldSignatures yes'],
    expected: ['smtp: 1', 'smtp foreign: 1'],
  },
  {
    name: 'filter: switched off by an empty -o',
    main: [`content_filter = ${FILTER}`],
    options: {'submission/inet': ['content_filter=']},
    master: [SCAN, `${WAY_BACK}\n  -o content_filter=`],
    expected: ['submission: 1', 'smtp: 2'],
  },
];

/** What becomes of mail while nobody listens. */
const downRow = (action: string, expected: readonly string[]): Row => ({
  name: `down: ${action}`,
  main: [
    `smtpd_milters = { inet:127.0.0.1:${PORTS.closed}, default_action=${action} }`,
    `milter_default_action = ${action}`,
  ],
  expected,
});

const down: readonly Row[] = [
  downRow('accept', ['smtp: 0', 'local: 0', 'qmqp: 0']),
  downRow('tempfail', ['smtp: delayed', 'local: delayed', 'qmqp: delayed']),
  downRow('reject', ['smtp: refused', 'qmqp: refused']),
  downRow('quarantine', ['smtp: held 0', 'local: held 0', 'qmqp: held 0']),
  {
    name: 'down: one of two',
    main: [`smtpd_milters = inet:127.0.0.1:${PORTS.closed}, ${SOCKET}`],
    expected: ['smtp: 1', 'local: 1'],
  },
  {
    name: 'down: no socket file',
    main: ['smtpd_milters = unix:opendkim/nothing.sock'],
    expected: ['smtp: 0', 'local: 0'],
  },
  {
    name: 'down: another port than the signer listens on',
    main: ['smtpd_milters = inet:localhost:8892'],
    signer: ON_INET,
    expected: ['smtp: 0', 'local: 0'],
  },
];

/** Why the signer is not there for Postfix. */
const absent: readonly Row[] = (
  [
    ['a socket that Postfix may not use', ['UMask 077']],
    ['it listens on another address', ['Socket inet:8891@127.0.0.2']],
    ['a trust anchor that is missing', ['TrustAnchorFile /etc/missing']],
    ['name servers by name', ['Nameservers ns.example.com']],
    ['a configuration of a resolver that is missing', ['ResolverConfiguration /etc/missing']],
    ['a file to be included that is missing', ['Include /etc/missing']],
    ['an account that does not exist', ['UserID nosuchuser']],
  ] as const
).map(([name, signer]) => ({name: `down: ${name}`, signer, expected: ['smtp: 0', 'local: 0']}));

/** What the signer makes of its tables and options. */
const signs = (name: string, more: Omit<Row, 'name' | 'expected'>, expected: readonly string[]): Row => ({
  ...more,
  name: `signer: ${name}`,
  expected,
});

const ALICE = 'smtp';
const SUB = 'smtp from=alice@sub.example.com';
const refile = (rows: readonly string[]): Omit<Row, 'name' | 'expected'> => ({signingTable: rows});
const file = (rows: readonly string[]): Omit<Row, 'name' | 'expected'> => ({
  signingTable: rows,
  signer: ['-SigningTable', 'SigningTable file:/etc/opendkim/SigningTable'],
});

const signers: readonly Row[] = [
  signs('refile with *@*.example.com', refile(['*@example.com one', '*@*.example.com one']), [
    `${ALICE}: 1`,
    `${SUB}: 1`,
  ]),
  signs('refile with example.com', refile(['example.com one']), [`${ALICE}: 0`, `${SUB}: 0`]),
  signs('refile with *', refile(['* one']), [
    `${ALICE}: 1`,
    'smtp from=x@any.test: 1',
    'smtp foreign from=x@any.test: 0',
  ]),
  signs('file with *@example.com', file(['*@example.com one']), [`${ALICE}: 0`]),
  signs('file with example.com', file(['example.com one']), [`${ALICE}: 1`, `${SUB}: 0`]),
  signs('file with .example.com', file(['.example.com one']), [`${ALICE}: 0`, `${SUB}: 1`]),
  signs('file with one address', file(['alice@example.com one']), [
    `${ALICE}: 1`,
    'smtp from=bob@example.com: 0',
  ]),
  signs('file with *', file(['* one']), [`${ALICE}: 1`, 'smtp from=x@any.test: 1']),
  signs('refile with a regular expression', refile(['.*@example\\.com one']), [`${ALICE}: 0`]),
  signs('capital letters', refile(['*@EXAMPLE.com one']), [`${ALICE}: 1`, 'smtp from=Alice@Example.COM: 1']),
  signs('a row of two keys: the first counts', refile(['*@example.com one', '*@example.com three']), [
    `${ALICE}: 1`,
  ]),
  signs(
    'MultipleSignatures',
    {...refile(['*@example.com one', '*@example.com three']), signer: ['MultipleSignatures yes']},
    [`${ALICE}: 2`, `${SUB}: 0`],
  ),
  signs('a third field key:@%', refile(['*@example.com one:@%']), [`${ALICE}: 1`]),
  signs('a third field key:%', refile(['*@example.com one:%']), [`${ALICE}: 0`]),
  signs('a row of an unknown key', refile(['*@example.com nine']), [
    `${ALICE}: delayed`,
    'smtp from=x@other.test: 0',
    'smtp foreign: 0',
  ]),
  signs('a key table row with two fields', {keyTable: ['one example.com:s1']}, [`${ALICE}: delayed`]),
  signs('a key file that is missing', {keyTable: ['one example.com:s1:/etc/dkimkeys/none.private']}, [
    `${ALICE}: delayed`,
  ]),
  signs(
    '% as the domain of a key',
    {keyTable: ['one %:s1:/etc/dkimkeys/s1.private'], signingTable: ['* one']},
    [`${ALICE}: 1`, 'smtp from=x@any.test: 1'],
  ),
  signs(
    'the first of two rows of a key counts',
    {
      keyTable: [
        'one example.com:s3:/etc/dkimkeys/s3.private',
        'one example.com:s1:/etc/dkimkeys/s1.private',
      ],
    },
    [`${ALICE}: 1`],
  ),
  signs('Mode v', {signer: ['Mode v']}, [`${ALICE}: 0`, 'local: 0']),
  signs('Mode s', {signer: ['Mode s']}, [`${ALICE}: 1`, 'smtp foreign: 0']),
  signs(
    'Domain, Selector and KeyFile',
    {
      signer: [
        '-KeyTable',
        '-SigningTable',
        'Domain example.com',
        'Selector s1',
        'KeyFile /etc/dkimkeys/s1.private',
      ],
    },
    [`${ALICE}: 1`, `${SUB}: 0`, 'smtp from=x@example.org: 0', 'local: 1'],
  ),
  signs(
    'Domain with SubDomains',
    {
      signer: [
        '-KeyTable',
        '-SigningTable',
        'Domain example.com',
        'Selector s1',
        'KeyFile /etc/dkimkeys/s1.private',
        'SubDomains yes',
      ],
    },
    [`${ALICE}: 1`, `${SUB}: 1`],
  ),
  signs(
    'Domain of two',
    {
      signer: [
        '-KeyTable',
        '-SigningTable',
        'Domain example.com,example.org',
        'Selector s1',
        'KeyFile /etc/dkimkeys/s1.private',
      ],
    },
    [`${ALICE}: 1`, 'smtp from=x@example.org: 1'],
  ),
  signs(
    'Domain beside tables',
    {signer: ['Domain other.test', 'Selector s1', 'KeyFile /etc/dkimkeys/s1.private']},
    [`${ALICE}: 1`, 'smtp from=x@other.test: 0'],
  ),
  signs('SenderHeaders Sender,From', {signer: ['SenderHeaders Sender,From']}, [
    `${ALICE}: 1`,
    `${ALICE} sender=x@other.test: 0`,
    'smtp from=x@other.test sender=alice@example.com: 1',
  ]),
  signs('InternalHosts of a name', {signer: ['InternalHosts .ext.test,127.0.0.1']}, [
    'smtp: 1',
    'smtp foreign name=a.ext.test: 1',
    'smtp foreign name=ext.test: 0',
    'smtp foreign: 0',
  ]),
  signs(
    'InternalHosts with * in a name',
    {
      signer: ['InternalHosts refile:/etc/opendkim/TrustedHosts'],
      files: {'/etc/opendkim/TrustedHosts': '127.0.0.1\n*.ext.test\n203.0.113.*\n'},
    },
    ['smtp: 1', 'smtp foreign name=a.ext.test address=198.51.100.7: 0', 'smtp foreign: 1'],
  ),
  signs(
    'InternalHosts of a network with host bits',
    {
      signer: ['InternalHosts file:/etc/opendkim/TrustedHosts'],
      files: {'/etc/opendkim/TrustedHosts': '127.0.0.1\n203.0.113.5/24\n'},
    },
    ['smtp: 1', 'smtp foreign: 0', 'smtp foreign login: 1'],
  ),
  signs(
    'InternalHosts of a network',
    {
      signer: ['InternalHosts file:/etc/opendkim/TrustedHosts'],
      files: {'/etc/opendkim/TrustedHosts': '127.0.0.1\n203.0.113.0/24\n'},
    },
    ['smtp foreign: 1', 'smtp foreign address=198.51.100.7: 0'],
  ),
  signs(
    'InternalHosts with an exception',
    {
      signer: ['InternalHosts file:/etc/opendkim/TrustedHosts'],
      files: {'/etc/opendkim/TrustedHosts': '127.0.0.1\n!203.0.113.5\n203.0.113.0/24\n'},
    },
    ['smtp foreign: 0', 'smtp foreign address=203.0.113.6: 1'],
  ),
  signs('InternalHosts localhost only', {signer: ['InternalHosts localhost']}, [
    'local: 1',
    'smtp foreign name=localhost: 1',
    'smtp foreign: 0',
  ]),
  signs(
    'a path without a kind',
    {signer: ['-SigningTable', 'SigningTable /etc/opendkim/SigningTable'], signingTable: ['example.com one']},
    [`${ALICE}: 1`],
  ),
  signs('DontSignMailTo with * in a list', {signer: ['DontSignMailTo *@seven.test']}, [
    `${ALICE}: 1`,
    'smtp to=seven.test: 1',
  ]),
  signs(
    'DontSignMailTo with * in a refile',
    {
      signer: ['DontSignMailTo refile:/etc/opendkim/DontSign'],
      files: {'/etc/opendkim/DontSign': '*@seven.test\n'},
    },
    [`${ALICE}: 1`, 'smtp to=seven.test: 0'],
  ),
  signs('SHA-1', {signer: ['SignatureAlgorithm rsa-sha1']}, [`${ALICE}: 1 broken`]),
  signs('Canonicalization simple', {signer: ['Canonicalization simple']}, [`${ALICE}: 1`]),
  signs('SubDomains beside tables', {signer: ['SubDomains yes']}, [`${ALICE}: 1`, `${SUB}: 0`]),
  signs('On-NoSignature reject', {signer: ['On-NoSignature reject']}, [
    `${ALICE}: 1`,
    'smtp foreign: refused',
  ]),
  signs('ExemptDomains', {signer: ['ExemptDomains example.com']}, [
    `${ALICE}: 0`,
    'smtp from=x@example.org: 1',
  ]),
  signs('StrictHeaders', {signer: ['StrictHeaders yes']}, [`${ALICE}: 1`]),
  signs('MaximumSignedBytes', {signer: ['MaximumSignedBytes 10']}, [`${ALICE}: 1`]),
  signs(
    'Diagnostics, SoftwareHeader, AlwaysAddARHeader',
    {
      signer: ['Diagnostics yes', 'SoftwareHeader yes', 'AlwaysAddARHeader yes'],
    },
    [`${ALICE}: 1`],
  ),
  signs('SignHeaders', {signer: ['SignHeaders subject']}, [`${ALICE}: 1`]),
  signs('OmitHeaders', {signer: ['OmitHeaders subject,date']}, [`${ALICE}: 1`]),
  signs('OversignHeaders of many', {signer: ['OversignHeaders From,Subject,To,List-Id']}, [`${ALICE}: 1`]),
  signs(
    'a field that is oversigned and added later',
    {
      signer: ['OversignHeaders From,X-Scanned'],
      main: [`smtpd_milters = ${SOCKET}, inet:127.0.0.1:${PORTS.addingMilter}`],
    },
    [`${ALICE}: 1 broken`],
  ),
  signs(
    'tables by relative paths',
    {
      signer: [
        ...['-KeyTable', '-SigningTable', 'BaseDirectory /etc/opendkim'],
        ...['KeyTable file:KeyTable', 'SigningTable refile:SigningTable'],
      ],
    },
    [`${ALICE}: 1`],
  ),
  signs(
    'BodyLengthDB',
    {
      signer: ['BodyLengthDB refile:/etc/opendkim/lengths'],
      files: {'/etc/opendkim/lengths': '*\n'},
    },
    [`${ALICE}: 1`],
  ),
  signs('RequireSafeKeys no', {signer: ['RequireSafeKeys no']}, [`${ALICE}: 1`]),
  signs('MinimumKeyBits above the key', {signer: ['MinimumKeyBits 4096']}, [`${ALICE}: refused`]),
  signs('a parameter twice: the last counts', {signer: ['Mode v', 'Mode sv']}, [`${ALICE}: 1`]),
  signs('names of parameters in small letters', {signer: ['mode v']}, [`${ALICE}: 0`]),
  signs('a word it cannot read: it does not start', {signer: ['NoSuchThing yes']}, [
    `${ALICE}: 0`,
    'local: 0',
  ]),
];

export const rows: readonly Row[] = [
  ...entrances,
  ...words,
  ...macros,
  ...clients,
  ...settings,
  ...filters,
  ...down,
  ...absent,
  ...signers,
];
