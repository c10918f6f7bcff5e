/** Configurations drawn at random, a few changes of an ordinary host at a time; one seed gives one sequence. */
import {type Configuration, PORTS, SOCKET} from './configuration.ts';

/** A change; of those of one group a configuration has one at most, because they are about the same lines. */
interface Knob {
  readonly group: string;
  readonly turn: (random: Random) => Omit<Configuration, 'name'>;
}

export interface Change extends Omit<Configuration, 'name'> {
  readonly group: string;
}

export interface Round {
  readonly changes: readonly Change[];
  readonly questions: readonly string[];
}

/** Numbers below a limit (mulberry32). */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let value = this.#state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) % limit;
  }

  one<T>(of: readonly [T, ...T[]]): T {
    return of[this.below(of.length)] ?? of[0];
  }

  /** `count` different ones, in their order. */
  some<T>(count: number, of: readonly T[]): readonly T[] {
    const left = of.map((_, at) => at);
    while (left.length > count) left.splice(this.below(left.length), 1);
    return left.flatMap(at => of[at] ?? []);
  }
}

const ADDING = `inet:127.0.0.1:${PORTS.addingMilter}`;
const CHANGING = `inet:127.0.0.1:${PORTS.changingMilter}`;
const CLOSED = `inet:127.0.0.1:${PORTS.closed}`;

const LISTS = [
  '',
  SOCKET,
  `${SOCKET} ${SOCKET}`,
  `${ADDING}, ${SOCKET}`,
  `${SOCKET}, ${ADDING}`,
  `${CHANGING}, ${SOCKET}`,
  `${SOCKET}, ${CHANGING}`,
  `{ ${SOCKET}, default_action=tempfail }`,
  `${CLOSED}, ${SOCKET}`,
  `{ ${CLOSED}, default_action=reject }`,
  `{ ${CLOSED}, { default_action = tempfail } }, ${SOCKET}`,
  'unix:opendkim/nothing.sock',
  'unix:/opendkim/opendkim.sock',
  'unix:/var/spool/postfix/opendkim/opendkim.sock',
  'DISABLE',
  '$mine',
  '$mine, $nothing',
  'inet:8891@localhost',
  `{ ${SOCKET}, foo=bar }`,
] as const;

const SERVICES = ['smtp/inet', 'submission/inet', 'cleanup/unix', 'pickup/unix', '628/inet'] as const;
const CHECKED = '/etc/postfix/checks';

const setting = (group: string, ...values: readonly [string, ...string[]]): Knob => ({
  group,
  turn: random => ({main: [`${group} = ${random.one(values)}`]}),
});

const inSigner = (group: string, ...values: readonly [string, ...string[]]): Knob => ({
  group: `signer ${group}`,
  turn: random => ({signer: [`${group} ${random.one(values)}`]}),
});

const option = (
  group: string,
  services: readonly [string, ...string[]],
  ...values: readonly [string, ...string[]]
): Knob => ({
  group: `-o ${group}`,
  turn: random => ({options: {[random.one(services)]: [`{ ${group} = ${random.one(values)} }`]}}),
});

const checks = (group: string, ...values: readonly [string, ...string[]]): Knob => ({
  // One file for all of them.
  group: 'checks',
  turn: random => ({main: [`${group} = regexp:${CHECKED}`], files: {[CHECKED]: `${random.one(values)}\n`}}),
});

const SCAN = 'scan unix - - y - - smtp';
const BACK = `127.0.0.1:${PORTS.wayBack} inet n - y - - smtpd\n  -o content_filter=\n  -o smtpd_proxy_filter=`;
const BACKS = [
  '',
  '\n  -o smtpd_milters=',
  '\n  -o receive_override_options=no_milters',
  '\n  -o receive_override_options=no_header_body_checks',
  '\n  -o receive_override_options=no_milters,no_address_mappings,no_header_body_checks',
  '\n  -o milter_macro_daemon_name=BACK',
] as const;

const SIGNING_ROWS = [
  '*@example.com one',
  '*@example.org two',
  'alice@example.com three',
  '*@*.example.com one',
  'example.com one',
  '.example.com one',
  '*@other.test one',
  '* two',
  '*@example.com three',
  '*@EXAMPLE.COM one:@%',
  'example.org two:%',
] as const;

const HOSTS = [
  '127.0.0.1',
  'localhost',
  '::1',
  '203.0.113.5',
  '203.0.113.0/24',
  '!203.0.113.5',
  '.ext',
  'c.ext',
  '10.0.0.0/8',
  '203.0.113.5/24',
  '[203.0.113.5]',
  '127.0.0.0/8',
] as const;

const KNOBS: readonly Knob[] = [
  setting('smtpd_milters', ...LISTS),
  setting('non_smtpd_milters', '$smtpd_milters', ...LISTS),
  setting('mine', SOCKET, ''),
  option('smtpd_milters', SERVICES, ...LISTS),
  option('non_smtpd_milters', SERVICES, '$smtpd_milters', ...LISTS),
  {...option('smtpd_milters', ['smtp/inet', 'submission/inet'], ...LISTS), group: '-o smtpd_milters again'},
  setting(
    'receive_override_options',
    'no_milters',
    '',
    'no_header_body_checks',
    'no_address_mappings, no_milters',
  ),
  option('receive_override_options', SERVICES, 'no_milters', '', 'no_header_body_checks'),
  setting(
    'smtpd_milter_maps',
    `inline:{ { 127.0.0.1 = ${SOCKET} } }`,
    'inline:{ { 203.0.113.5 = DISABLE } }',
    `inline:{ { 203.0.113.5 = ${ADDING} } }`,
    'static:DISABLE',
    `inline:{ { 127.0.0.1 = DISABLE }, { 203.0.113.5 = ${SOCKET} } }`,
  ),
  setting('internal_mail_filter_classes', '', 'bounce', 'notify', 'bounce, notify'),
  setting('milter_default_action', 'accept', 'tempfail', 'reject', 'quarantine'),
  {
    group: 'smtp',
    turn: random => ({master: [random.one(['smtp inet n - n - - smtpd', 'smtp inet n - - - - smtpd'])]}),
  },
  {group: 'smtp', turn: () => ({master: ['smtp inet n - y - 1 postscreen', 'smtpd pass - - y - - smtpd']})},
  {
    group: 'cleanup',
    turn: random => ({
      main: ['cleanup_service_name = second'],
      master: [
        `second unix n - y - 0 cleanup${random.one(['', '\n  -o non_smtpd_milters=', '\n  -o smtpd_milters='])}`,
      ],
    }),
  },
  setting('milter_mail_macros', 'i {auth_type}', 'i {mail_addr}', 'i auth_type', '{auth_authen}'),
  setting('milter_rcpt_macros', 'i {auth_type}', 'i'),
  setting('milter_connect_macros', 'j {daemon_name} v _', 'j v _', 'j {daemon_name} {auth_type}'),
  setting('milter_macro_daemon_name', 'ORIGINATING', '$myhostname', 'OTHER'),
  option(
    'milter_macro_daemon_name',
    ['smtp/inet', 'submission/inet', 'cleanup/unix'],
    'ORIGINATING',
    'OTHER',
  ),
  option('milter_mail_macros', ['smtp/inet', 'submission/inet'], 'i {mail_addr}', 'i {auth_type}'),
  setting('milter_macro_defaults', 'auth_type=x', '{auth_type}=x', 'daemon_name=ORIGINATING'),
  option('smtpd_sasl_auth_enable', ['smtp/inet', 'submission/inet'], 'no', 'yes'),
  setting(
    'canonical_maps',
    'inline:{ { @example.com = @other.test } }',
    'inline:{ { @other.test = @example.com } }',
    'inline:{ { alice@example.com = alice@example.org } }',
  ),
  setting(
    'sender_canonical_maps',
    'inline:{ { alice@example.com = bob@other.test } }',
    'inline:{ { alice = alice@example.org } }',
    'inline:{ { @example.org = @example.com } }',
  ),
  setting('sender_canonical_classes', 'envelope_sender', 'header_sender', 'envelope_sender, header_sender'),
  setting('masquerade_domains', 'example.com', '!sub.example.com example.com'),
  setting('masquerade_exceptions', 'alice', 'root'),
  setting('myorigin', 'example.org', '$myhostname', 'other.test'),
  setting('local_header_rewrite_clients', 'static:all', 'permit_inet_interfaces', ''),
  setting('remote_header_rewrite_domain', 'domain.invalid', 'example.com'),
  checks(
    'header_checks',
    '/^Subject: (.*)/ REPLACE Subject: seen $1',
    '/^X-Mailer:/ IGNORE',
    '/^Subject:/ HOLD',
    '/^Subject:/ PREPEND X-A: b',
    '/^From:/ REPLACE From: bob@example.org',
  ),
  checks('milter_header_checks', '/^DKIM-Signature:/ IGNORE', '/^X-Scanned:/ IGNORE'),
  checks(
    'smtp_header_checks',
    '/^Subject:/ REPLACE Subject: changed',
    '/^X-Mailer:/ IGNORE',
    '/^Received:/ IGNORE',
  ),
  checks('body_checks', '/ordinary/ REPLACE changed'),
  checks('smtp_body_checks', '/ordinary/ REPLACE changed', '/nothing like it/ IGNORE'),
  setting(
    'smtp_generic_maps',
    'inline:{ { alice@example.com = a@example.com } }',
    'inline:{ { x@y.test = z@y.test } }',
  ),
  setting('header_size_limit', '200', '102400'),
  setting('smtp_line_length_limit', '998', '0', '80'),
  setting('always_add_missing_headers', 'yes'),
  {
    group: 'filter',
    turn: random => ({
      main: [`content_filter = scan:[127.0.0.1]:${PORTS.filter}`],
      master: [SCAN, `${BACK}${random.one(BACKS)}`],
    }),
  },
  {
    group: 'filter',
    turn: random => ({
      options: {
        [random.one(['smtp/inet', 'submission/inet', 'pickup/unix'])]: [
          `content_filter=scan:[127.0.0.1]:${PORTS.filter}`,
        ],
      },
      master: [SCAN, `${BACK}${random.one(BACKS)}`],
    }),
  },
  {
    group: 'filter',
    turn: random => ({
      options: {
        [random.one(['smtp/inet', 'submission/inet'])]: [`smtpd_proxy_filter=127.0.0.1:${PORTS.filter}`],
      },
      master: [`${BACK}${random.one(BACKS)}`],
    }),
  },
  {
    group: 'signer InternalHosts',
    turn: random => ({signer: [`InternalHosts ${random.some(1 + random.below(3), HOSTS).join(',')}`]}),
  },
  {
    group: 'signer InternalHosts',
    turn: random => ({
      signer: [`InternalHosts ${random.one(['file', 'refile'])}:/etc/opendkim/hosts`],
      files: {'/etc/opendkim/hosts': `${random.some(1 + random.below(4), HOSTS).join('\n')}\n`},
    }),
  },
  inSigner('MTA', 'ORIGINATING', 'OTHER', 'mail.example.com'),
  inSigner(
    'MacroList',
    'daemon_name=ORIGINATING',
    'daemon_name=OTHER|mail.example.com',
    'auth_authen',
    'auth_type=PLAIN',
  ),
  inSigner('PeerList', '127.0.0.1', '203.0.113.5', 'c.ext', '10.0.0.0/8'),
  inSigner('ExternalIgnoreList', '203.0.113.5'),
  inSigner('Mode', 's', 'v', 'sv'),
  inSigner('MultipleSignatures', 'yes', 'no'),
  inSigner('SenderHeaders', 'Sender,From', 'From', 'Sender'),
  inSigner('DontSignMailTo', 'bob@sink.test', 'refile:/etc/opendkim/SigningTable'),
  inSigner('MinimumKeyBits', '1024', '4096'),
  inSigner('SubDomains', 'yes'),
  {group: 'signer table', turn: random => ({signingTable: random.some(1 + random.below(4), SIGNING_ROWS)})},
  {
    group: 'signer table',
    turn: random => ({
      signingTable: random.some(1 + random.below(4), SIGNING_ROWS),
      signer: ['-SigningTable', 'SigningTable file:/etc/opendkim/SigningTable'],
    }),
  },
  {
    group: 'signer keys',
    turn: random => ({
      keyTable: [
        random.one([
          'one example.com:s1:/etc/dkimkeys/s1.private',
          'one %:s1:/etc/dkimkeys/s1.private',
          'one example.com:s1',
          'one example.com:s3:/etc/dkimkeys/none.private',
          'one other.test:s1:/etc/dkimkeys/s1.private',
        ]),
        'two example.org:s2:/etc/dkimkeys/s2.private',
        'three example.com:s3:/etc/dkimkeys/s3.private',
      ],
    }),
  },
  {
    group: 'signer table',
    turn: random => ({
      signer: [
        '-KeyTable',
        '-SigningTable',
        `Domain ${random.one(['example.com', 'example.com,example.org', '*', 'sub.example.com'])}`,
        'Selector s1',
        'KeyFile /etc/dkimkeys/s1.private',
      ],
    }),
  },
  {
    group: 'signer socket',
    turn: () => ({
      signer: ['Socket inet:8891@127.0.0.1'],
      main: ['smtpd_milters = inet:127.0.0.1:8891'],
      options: {'submission/inet': ['smtpd_milters=inet:localhost:8891']},
    }),
  },
];

const QUESTIONS = [
  'smtp',
  'smtp foreign',
  'smtp foreign login',
  'submission foreign login',
  'submission foreign',
  'submission',
  'local',
  'qmqp',
  'bounce',
  'smtp from=bob@example.org',
  'local from=carol@sub.example.com',
  'smtp from=x@other.test',
  'smtp from=alice',
  'local from=alice',
  'smtp foreign login name=a.ext address=198.51.100.7',
  'smtp from=x@other.test sender=alice@example.com',
  'smtp foreign from=bob@example.org',
  'smtp foreign login from=alice',
  'smtp foreign from=alice',
] as const;

/** The rounds of a seed, one after the other without end. */
export function* rounds(seed: number): Generator<Round, never> {
  const random = new Random(seed);
  for (;;) {
    const wanted = 2 + random.below(5);
    const changes = new Map<string, Change>();
    while (changes.size < wanted) {
      const knob = KNOBS[random.below(KNOBS.length)];
      if (knob !== undefined && !changes.has(knob.group)) {
        changes.set(knob.group, {group: knob.group, ...knob.turn(random)});
      }
    }
    yield {changes: [...changes.values()], questions: random.some(6, QUESTIONS)};
  }
}

/** All changes as one configuration. */
export function together(changes: readonly Change[]): Configuration {
  const options: Record<string, readonly string[]> = {};
  for (const change of changes) {
    for (const [service, list] of Object.entries(change.options ?? {})) {
      options[service] = [...(options[service] ?? []), ...list];
    }
  }
  const signing = changes.find(each => each.signingTable !== undefined)?.signingTable;
  const keys = changes.find(each => each.keyTable !== undefined)?.keyTable;
  return {
    name: changes.map(({group}) => group).join(', '),
    main: changes.flatMap(({main = []}) => main),
    options,
    master: changes.flatMap(({master = []}) => master),
    signer: changes.flatMap(({signer = []}) => signer),
    files: Object.assign({}, ...changes.map(({files = {}}) => files)),
    ...(signing === undefined ? {} : {signingTable: signing}),
    ...(keys === undefined ? {} : {keyTable: keys}),
  };
}

/** A configuration in a few lines. */
export const describeChanges = (changes: readonly Change[]): string =>
  changes
    .flatMap(({main = [], options = {}, master = [], signer = [], signingTable, keyTable, files = {}}) => [
      ...main.map(each => `main.cf: ${each}`),
      ...Object.entries(options).flatMap(([service, list]) =>
        list.map(each => `master.cf: ${service} -o ${each}`),
      ),
      ...master.map(each => `master.cf: ${each.replaceAll(/\n\s*/g, ' ')}`),
      ...signer.map(each => `opendkim.conf: ${each}`),
      ...(signingTable ?? []).map(each => `SigningTable: ${each}`),
      ...(keyTable ?? []).map(each => `KeyTable: ${each}`),
      ...Object.entries(files).map(([file, text]) => `${file}: ${text.trimEnd().replaceAll('\n', ' | ')}`),
    ])
    .map(each => `    ${each}`)
    .join('\n');
