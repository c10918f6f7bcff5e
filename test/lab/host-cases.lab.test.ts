/**
 * Hosts that somebody set up by hand and got one thing wrong, or odd: each message is really sent, and what waxseal says
 * first must be what became of it. One host, put back between.
 */
import {expect, test} from 'vitest';
import {byHand} from './support/by-hand.ts';
import type {Internet} from './support/dns.ts';
import type {Host} from './support/host.ts';
import {type Envelope, send, VALID, verdict} from './support/mail.ts';
import {releases} from './support/release.ts';
import {type Report, reportOf, waxseal} from './support/waxseal.ts';
import {inWorld} from './support/world.ts';

/** WAXSEAL_MATRIX: a regular expression for the names of the cases that are wanted. */
const only = new RegExp(process.env['WAXSEAL_MATRIX'] ?? '');

const SELECTOR = 'hand';
const SIGNED = VALID('example.com', SELECTOR);
const SOCKET = 'unix:opendkim/opendkim.sock';
const KEY = `/etc/dkimkeys/example.com/${SELECTOR}.private`;

interface Sent extends Partial<Envelope> {
  /** `unsigned`, `refused`, or the verdict on its signatures. */
  readonly becomes: string;
}

interface Asked {
  readonly argv: readonly string[];
  readonly exit: number | readonly number[];
  /** In what is reported, causes, fixes and changes as well. */
  readonly says?: RegExp;
  readonly never?: RegExp;
}

interface HostCase {
  readonly name: string;
  /** Shell lines, run on a host that signs example.com. OpenDKIM and Postfix are started anew after them. */
  readonly made: readonly string[];
  /** Lines after that, which the programs that run do not hear of. */
  readonly late?: readonly string[];
  readonly sent: readonly Sent[];
  readonly asked?: readonly Asked[];
  /** Messages after what was asked. */
  readonly afterwards?: readonly Sent[];
}

const conf = (...lines: readonly string[]): string =>
  `printf '%s\\n' ${lines.map(line => `'${line}'`).join(' ')} >> /etc/opendkim.conf`;
const without = (...names: readonly string[]): string =>
  `sed -i -E '/^(${names.join('|')})\\b/d' /etc/opendkim.conf`;
const postconf = (...settings: readonly string[]): string =>
  `postconf -e ${settings.map(setting => `'${setting}'`).join(' ')}`;
const unit = (...lines: readonly string[]): string =>
  `install -d /etc/systemd/system/opendkim.service.d; printf '%s\\n' '[Service]' ${lines
    .map(line => `'${line}'`)
    .join(' ')} > /etc/systemd/system/opendkim.service.d/hand.conf`;
const BARE = '/usr/sbin/opendkim';

const check = (exit: Asked['exit'], says?: RegExp, never?: RegExp): Asked => ({
  argv: ['check'],
  exit,
  ...(says === undefined ? {} : {says}),
  ...(never === undefined ? {} : {never}),
});
const right: Asked = {argv: ['check'], exit: [0, 4], never: /"mail\.[a-z]+ (?:fail|warn)/};

const CASES: readonly HostCase[] = [
  {
    name: 'as it was set up',
    made: [],
    sent: [
      {becomes: SIGNED},
      {becomes: SIGNED, by: 'sendmail'},
      {becomes: 'unsigned', as: 'NAME=c.ext ADDR=203.0.113.5'},
    ],
    asked: [right],
  },
  {
    name: 'the macros that Postfix sends leave the login out',
    made: [postconf('milter_mail_macros = i {mail_addr} {client_addr} {auth_authen}')],
    sent: [{becomes: SIGNED}, {becomes: 'unsigned', as: 'NAME=c.ext ADDR=203.0.113.5 LOGIN=alice'}],
    asked: [check([0, 4], /mail\.login warn.*milter_mail_macros/)],
  },
  {
    name: 'domains, selector and key without tables',
    made: [
      without('KeyTable', 'SigningTable'),
      conf('Domain /etc/opendkim/domains', `Selector ${SELECTOR}`, `KeyFile ${KEY}`),
      `printf '%s\\n' example.com mail.example.com > /etc/opendkim/domains`,
    ],
    sent: [{becomes: SIGNED}],
    asked: [
      check(4),
      {argv: ['record', '--domain', 'mail.example.com'], exit: 0, says: /mail\.example\.com/},
      {argv: ['status'], exit: [0, 4], says: /mail\.example\.com/},
    ],
  },
  {
    name: 'a drop-in that starts OpenDKIM by variables of a file',
    made: [
      unit(
        'EnvironmentFile=-/etc/default/opendkim',
        'ExecStart=',
        `ExecStart=${BARE} $DAEMON_OPTS -p $SOCKET`,
      ),
      `printf '%s\\n' DAEMON_OPTS= SOCKET=inet:8891@localhost > /etc/default/opendkim`,
      postconf('smtpd_milters = inet:localhost:8891'),
    ],
    sent: [{becomes: SIGNED}, {becomes: SIGNED, by: 'sendmail'}],
    asked: [
      check([0, 4], undefined, /doesn't read|does not read|mail\.signed fail|No signer/i),
      {
        argv: ['setup', '--domain', 'example.com', '--selector', 'new', '--yes', '--no-wait', '--dry-run'],
        // The unit would win over what waxseal writes.
        exit: 5,
        says: /wins over Socket/,
      },
    ],
  },
  {
    name: 'a key that comes from another host, its record published',
    made: [
      `mv ${KEY} /root/moved.private; chown root: /root/moved.private`,
      'rm -rf /etc/opendkim /etc/dkimkeys/example.com; cp /root/package.conf /etc/opendkim.conf',
      'postconf -X smtpd_milters non_smtpd_milters internal_mail_filter_classes milter_default_action',
    ],
    sent: [{becomes: 'unsigned'}],
    asked: [
      {
        argv: [
          ...['setup', '--domain', 'example.com', '--selector', SELECTOR],
          ...['--key', '/root/moved.private', '--yes', '--no-wait'],
        ],
        exit: 0,
      },
    ],
    afterwards: [{becomes: SIGNED}, {becomes: SIGNED, by: 'sendmail'}],
  },
  {
    name: 'no milters at all',
    made: ['postconf -X smtpd_milters non_smtpd_milters'],
    sent: [{becomes: 'unsigned'}, {becomes: 'unsigned', by: 'sendmail'}],
    asked: [check(4, /mail\.signed fail.*smtpd_milters/)],
  },
  {
    name: 'a milter where nobody listens',
    made: [postconf('smtpd_milters = inet:localhost:8899')],
    sent: [{becomes: 'unsigned'}, {becomes: 'unsigned', by: 'sendmail'}],
    asked: [check(4, /mail\.(?:socket|signed) fail.*8899/)],
  },
  {
    name: 'a filter whose way back has no milters, as it should be',
    made: [
      `printf '%s\\n' '127.0.0.1:10025 inet n - y - - smtpd' '  -o content_filter=' '  -o smtpd_milters=' >> /etc/postfix/master.cf`,
      postconf('content_filter = smtp:[127.0.0.1]:10024'),
    ],
    sent: [{becomes: SIGNED}],
    asked: [check([0, 4], undefined, /10025[^"]*(?:is not|isn't) signed|take it out|mail\.once/)],
  },
  {
    name: 'a row that names no key',
    made: [`echo '*@foo.example' >> /etc/opendkim/SigningTable`],
    // OpenDKIM dies of such a message, and Postfix accepts it without.
    sent: [{becomes: SIGNED}, {becomes: 'unsigned', from: 'bob@foo.example'}],
    asked: [check(4, /mail\.signed fail[^"]*foo\.example[^"]*SigningTable/)],
  },
  {
    name: 'a network that no client is found by',
    made: [`printf '%s\\n' 127.0.0.1 ::1 192.168.1.5/24 > /etc/opendkim/TrustedHosts`],
    sent: [
      {becomes: SIGNED},
      {becomes: 'unsigned', as: 'NAME=c.ext ADDR=192.168.1.77'},
      {becomes: 'unsigned', as: 'NAME=c.ext ADDR=192.168.1.5'},
    ],
    asked: [
      check([0, 4], /mail\.idle warn[^"]*192\.168\.1\.5\/24/),
      {
        argv: [
          ...['setup', '--domain', 'example.com', '--selector', 'new', '--yes', '--no-wait', '--dry-run'],
          ...['--trusted-hosts', '192.168.7.5/24'],
        ],
        exit: 2,
        says: /192\.168\.7\.0\/24/,
      },
    ],
  },
  {
    name: 'a second OpenDKIM that only verifies',
    made: [
      `printf '%s\\n' 'Syslog yes' 'UserID opendkim' 'Mode v' 'Socket inet:8892@localhost' 'PidFile /run/opendkim/verify.pid' > /etc/opendkim-verify.conf`,
      `${BARE} -x /etc/opendkim-verify.conf`,
      postconf(`smtpd_milters = inet:127.0.0.1:8892, ${SOCKET}`),
    ],
    sent: [{becomes: SIGNED}, {becomes: SIGNED, by: 'sendmail'}],
    asked: [
      check([0, 4], undefined, /dkimpy/),
      {
        argv: [
          ...['setup', '--domain', 'example.com', '--selector', 'new', '--yes', '--no-wait', '--dry-run'],
          ...['--other-signer', 'switch'],
        ],
        exit: [0, 3],
        never: /-smtpd_milters/,
      },
    ],
  },
  // What the unit and its files really set.
  {
    name: 'unit: a socket as an option',
    made: [
      unit('ExecStart=', `ExecStart=${BARE} -p inet:8891@127.0.0.1`),
      postconf('smtpd_milters = inet:127.0.0.1:8891'),
    ],
    sent: [{becomes: SIGNED}],
    asked: [right],
  },
  {
    name: 'unit: a variable in braces, from a line of the unit',
    made: [
      unit('Environment=SOCKET=inet:8891@127.0.0.1', 'ExecStart=', `ExecStart=${BARE} -p ${'$'}{SOCKET}`),
      postconf('smtpd_milters = inet:127.0.0.1:8891'),
    ],
    sent: [{becomes: SIGNED}],
    asked: [right],
  },
  {
    name: 'unit: of two files of variables the later one counts',
    made: [
      unit(
        ...['EnvironmentFile=-/etc/default/opendkim', 'EnvironmentFile=-/etc/default/opendkim.local'],
        ...['ExecStart=', `ExecStart=${BARE} -p $SOCKET`],
      ),
      'echo SOCKET=inet:9999@127.0.0.1 > /etc/default/opendkim',
      'echo SOCKET=inet:8891@127.0.0.1 > /etc/default/opendkim.local',
      postconf('smtpd_milters = inet:127.0.0.1:8891'),
    ],
    sent: [{becomes: SIGNED}],
    asked: [right],
  },
  {
    name: 'unit: another configuration',
    made: [
      unit('ExecStart=', `ExecStart=${BARE} -x /etc/opendkim/other.conf`),
      'cp /etc/opendkim.conf /etc/opendkim/other.conf; echo Mode v >> /etc/opendkim/other.conf',
    ],
    sent: [{becomes: 'unsigned'}],
    asked: [check(4, /mail\.signed fail[^"]*other\.conf/)],
  },
  {
    name: 'unit: only verifies by an option',
    made: [unit('ExecStart=', `ExecStart=${BARE} -b v`)],
    sent: [{becomes: 'unsigned'}],
    asked: [check(4, /mail\.signed fail[^"]*Mode/)],
  },
  {
    name: 'unit: its own account, which may not read the key',
    made: [
      unit(
        'User=daemon',
        'Group=opendkim',
        'Type=simple',
        'PIDFile=',
        'ExecStart=',
        `ExecStart=${BARE} -f -p inet:8891@127.0.0.1`,
      ),
      without('UserID', 'PidFile'),
      postconf('smtpd_milters = inet:127.0.0.1:8891'),
    ],
    sent: [{becomes: 'refused'}],
    asked: [check(4, /mail\.accepted fail[^"]*hand\.private/)],
  },
  {
    name: 'unit: OpenDKIM is stopped',
    made: ['systemctl disable --now opendkim'],
    sent: [{becomes: 'unsigned'}],
    asked: [check(4, /mail\.(?:signed|socket) fail/)],
  },
  // What the files say, and the program that runs does not know.
  {
    name: 'a row that was written after the start',
    made: ["sed -i '/^[*]@[*][.]/d' /etc/opendkim/SigningTable"],
    late: [`echo '*@*.example.com ${SELECTOR}._domainkey.example.com' >> /etc/opendkim/SigningTable`],
    sent: [{becomes: SIGNED}, {becomes: 'unsigned', from: 'alice@sub.example.com'}],
    asked: [check(4)],
  },
];

/** Before each case. */
const KEPT =
  'etc/opendkim etc/opendkim.conf etc/default etc/postfix etc/dkimkeys etc/systemd/system var/lib/waxseal';

async function keep(host: Host): Promise<void> {
  await host.script(`install -d -m 0711 /var/lib/waxseal; tar -C / -cpf /root/kept.tar ${KEPT}`);
}

async function make(host: Host, {made, late = []}: HostCase): Promise<void> {
  await host.script(
    [
      'if [ -f /run/opendkim/verify.pid ]; then kill "$(cat /run/opendkim/verify.pid)" || true; rm -f /run/opendkim/verify.pid; fi',
      `cd /; rm -rf ${KEPT} etc/opendkim-verify.conf; tar -xpf /root/kept.tar`,
      ...made,
      // It looks only every five seconds whether it is to end; there is nothing that it could lose.
      'systemctl daemon-reload; systemctl kill --signal=KILL opendkim 2>/dev/null || true; systemctl reset-failed opendkim || true',
      made.some(line => line.includes('disable --now')) ? '' : 'systemctl restart opendkim',
      // Those that run go on with the configuration of before; each is started anew when it is wanted.
      'master=$(tr -d " " < /var/spool/postfix/pid/master.pid); old=$(pgrep -P $master || true)',
      'kill -HUP $master; for each in $old; do kill -KILL $each 2>/dev/null || true; done',
      ...late,
    ].join('\n'),
  );
  await host.settled();
}

/** What became of a message. */
async function fateOf(host: Host, internet: Internet, {becomes: _, ...mail}: Sent): Promise<string> {
  const sending = send(host, internet, {from: 'alice@example.com', by: 'smtp', ...mail});
  return await sending.then(verdict, (error: unknown) => {
    if (/\b(?:4|5)\d\d\b.*\b[45]\.\d\.\d\b/s.test(String(error))) return 'refused';
    throw error;
  });
}

/** The same message as a question. */
function questionOf({from = 'alice@example.com', by = 'smtp', as = ''}: Sent): readonly string[] {
  const [, address] = /ADDR=(\S+)/.exec(as) ?? [];
  return [
    ...['explain', from, '--entrance', by === 'sendmail' ? 'local' : 'smtp'],
    ...(address === undefined ? [] : ['--client', address]),
    ...(as.includes('LOGIN=') ? ['--authenticated'] : []),
  ];
}

/** Everything that a person would read, one finding a line. */
const textOf = ({checks, advice, changes, domains, error}: Report): string =>
  [
    ...[...checks, ...advice].map(({id, status, ...rest}) => JSON.stringify([`${id} ${status}`, rest])),
    ...changes.map(({target, diff}) => `${target}\n${diff}`),
    ...domains.map(({domain}) => domain),
    `${error?.message ?? ''} ${error?.hint ?? ''}`,
  ]
    .map(line => line.replace(/^\["(.*?)",\{"title":"[^"]*","evidence":"/, '"$1 '))
    .join('\n');

interface Said {
  readonly report: Report | undefined;
  readonly exit: number;
  readonly text: string;
}

/** What is shown to a person where a script is told of waxseal's own keys only. */
const PLAIN: ReadonlySet<string> = new Set(['record', 'status']);

async function asked(host: Host, argv: readonly string[]): Promise<Said> {
  const isPlain = PLAIN.has(argv[0] ?? '');
  const outcome = await waxseal(host, isPlain ? argv : [...argv, '--json']);
  const exit = outcome.status ?? -1;
  if (isPlain) return {report: undefined, exit, text: `${outcome.stdout}\n${outcome.stderr}`};
  const report = reportOf(outcome);
  return {report, exit, text: textOf(report)};
}

/** A command that a fix names must work as it is pasted; one that would change the host is only shown its plan. */
async function deadEnds(host: Host, report: Report | undefined): Promise<readonly string[]> {
  const fixes = new Set(
    [...(report?.checks ?? []), ...(report?.advice ?? [])].flatMap(each => {
      const {fix} = each as {readonly fix?: string};
      return /\bwaxseal ((?:record|explain|status|check|setup|remove)\b[^\n"]*)/.exec(fix ?? '')?.[1] ?? [];
    }),
  );
  const ends: string[] = [];
  for (const fix of fixes) {
    const argv = fix.trim().replace(/[.)]$/, '').split(/\s+/);
    const changes = ['setup', 'remove'].includes(argv[0] ?? '') ? ['--dry-run', '--yes', '--no-wait'] : [];
    const {exit, text} = await asked(host, [...argv, ...changes]);
    if (![0, 3, 4].includes(exit)) ends.push(`waxseal ${fix}: exit ${exit}: ${text}`);
  }
  return ends;
}

test.each(releases.filter(({suite}) => suite === 'trixie'))('hosts set up by hand, on $name', release =>
  inWorld(release, async ({host, internet}) => {
    await host.script('cp -p /etc/opendkim.conf /root/package.conf');
    const record = await byHand(host, 'example.com', SELECTOR);
    await internet.publishEverywhere('example.com', `${SELECTOR}._domainkey.example.com`, record);
    await host.script(
      postconf(
        'smtpd_authorized_xclient_hosts = 127.0.0.1',
        'smtpd_relay_restrictions = check_client_access static:OK, reject',
      ),
    );
    await keep(host);
    const wrong: string[] = [];
    for (const each of CASES.filter(({name}) => only.test(name))) {
      const begun = performance.now();
      await make(host, each);
      const pid = (): Promise<string> =>
        host.must(['systemctl', 'show', '-p', 'MainPID', '--value', 'opendkim']);
      const lines: string[] = [];
      const sendAll = async (mails: readonly Sent[]): Promise<void> => {
        for (const mail of mails) {
          const question = questionOf(mail);
          const before = await pid();
          const {report, exit} = await asked(host, question);
          if ((await pid()) !== before) wrong.push(`${each.name}: OpenDKIM died of ${question.join(' ')}`);
          const fate = await fateOf(host, internet, mail);
          // The verdict, then notes on the signer; a warning says that it depends.
          const statuses = (report?.checks ?? []).map(({status}) => status);
          const says = statuses.includes('fail') ? 'fail' : (statuses[0] ?? 'none');
          const agreed = says === 'warn' ? exit === 4 : (says === 'pass') === (fate === SIGNED);
          const line = `${question.slice(1).join(' ')}: ${fate}, waxseal: ${says}`;
          lines.push(`  ${agreed ? (says === 'warn' ? 'undecided' : 'agreed   ') : 'disagreed'}  ${line}`);
          if (!agreed || fate !== mail.becomes) wrong.push(`${each.name}: ${line}, known: ${mail.becomes}`);
        }
      };
      await sendAll(each.sent);
      for (const {argv, exit: wanted, says, never} of each.asked ?? []) {
        const {report, exit, text} = await asked(host, argv);
        const fits =
          [wanted].flat().includes(exit) && (says?.test(text) ?? true) && !(never?.test(text) ?? false);
        const why = (report?.error ?? null) === null ? '' : `: ${report?.error?.message}`;
        lines.push(`  ${fits ? 'said     ' : 'not said '}  ${argv.join(' ')}: exit ${exit}${why}`);
        if (!fits) wrong.push(`${each.name}: waxseal ${argv.join(' ')}: exit ${exit}\n${text}`);
        const ends = argv[0] === 'check' ? await deadEnds(host, report) : [];
        wrong.push(...ends.map(end => `${each.name}: a fix that cannot be done: ${end}`));
      }
      await sendAll(each.afterwards ?? []);
      console.log(
        [`${each.name} (${((performance.now() - begun) / 1000).toFixed(1)} s)`, ...lines].join('\n'),
      );
    }
    expect(wrong).toEqual([]);
  }),
);
