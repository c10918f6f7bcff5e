/**
 * Runs on the mail host, one process for the whole matrix: takes a configuration and its questions as a line of JSON,
 * applies it, sends each message by its entrance, catches it where it leaves and answers with what became of it.
 */
import {type ChildProcess, spawn} from 'node:child_process';
import {generateKeyPairSync} from 'node:crypto';
import {once} from 'node:events';
import {chmod, mkdir, readdir, readFile, rm, utimes, writeFile} from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import process from 'node:process';
import {createInterface} from 'node:readline';
import {setTimeout as sleep} from 'node:timers/promises';
import {type KeyLookup, verifyMessage} from '../../../src/dkim/index.ts';
import {serveMilter} from '../../../src/milter/server.ts';
import {rspamdManner} from '../../support/manners.ts';
import {
  type Configuration,
  FOREIGN,
  PORTS,
  type Question,
  type Signature,
  SOCKET,
  type Truth,
} from './configuration.ts';
import {lookAtPicture, predict} from './prediction.ts';

const QUEUE = '/var/spool/postfix';
const SOCKET_FILE = `${QUEUE}/opendkim/opendkim.sock`;
/** What waits for an answer that never comes; a server that takes no mail is noticed by it. */
const PATIENCE_MS = 8000;
/** How long a message that was taken may be on its way before it counts as lost. */
const TRANSIT_MS = 20_000;
/** How long a message that lies in maildrop may wait for pickup(8) before it counts as delayed. */
const MAILDROP_MS = 3000;
/** Selector of each key; every one may sign for any domain. */
const SELECTORS = ['s1', 's2', 's3'] as const;

interface Ran {
  readonly status: number | null;
  readonly output: string;
}

async function ran(argv: readonly [string, ...string[]], input?: string): Promise<Ran> {
  const [program, ...rest] = argv;
  const child = spawn(program, rest, {stdio: ['pipe', 'pipe', 'pipe']});
  const pieces: Buffer[] = [];
  child.stdout.on('data', (piece: Buffer) => pieces.push(piece));
  child.stderr.on('data', (piece: Buffer) => pieces.push(piece));
  child.stdin.on('error', () => {});
  child.stdin.end(input, 'latin1');
  const [status] = await once(child, 'close');
  return {
    status: typeof status === 'number' ? status : null,
    output: Buffer.concat(pieces).toString('latin1'),
  };
}

async function mustRun(argv: readonly [string, ...string[]]): Promise<string> {
  const {status, output} = await ran(argv);
  if (status !== 0) throw new Error(`${argv.join(' ')}: ${status} ${output}`);
  return output;
}

const text = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '');

// ---------------------------------------------------------------------------------------------- servers of the lab

interface Received {
  readonly from: string;
  readonly recipients: readonly string[];
  readonly message: string;
}

/** An SMTP server that takes everything. `taken` answers the end of the message. */
function serveSmtp(
  port: number,
  extensions: readonly string[],
  taken: (received: Received) => Promise<string>,
): Promise<void> {
  const server = net.createServer(socket => {
    let rest = '';
    let from = '';
    let recipients: string[] = [];
    let isData = false;
    let work = Promise.resolve();
    const say = (line: string): void => void socket.write(`${line}\r\n`);
    const step = async (): Promise<void> => {
      for (;;) {
        if (isData) {
          const end = rest.startsWith('.\r\n') ? 0 : rest.indexOf('\r\n.\r\n') + 2;
          if (end === 1) return;
          const message = rest.slice(0, end).replaceAll(/^\.\./gm, '.');
          rest = rest.slice(end + 3);
          isData = false;
          say(await taken({from, recipients, message}));
          recipients = [];
          continue;
        }
        const at = rest.indexOf('\r\n');
        if (at < 0) return;
        const line = rest.slice(0, at);
        rest = rest.slice(at + 2);
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === 'EHLO')
          say(['250-sink.test', ...extensions.map(each => `250-${each}`), '250 HELP'].join('\r\n'));
        else if (verb === 'MAIL') {
          from = /<(.*?)>/.exec(line)?.[1] ?? '';
          say('250 ok');
        } else if (verb === 'RCPT') {
          recipients.push(/<(.*?)>/.exec(line)?.[1] ?? '');
          say('250 ok');
        } else if (verb === 'DATA') {
          isData = true;
          say('354 go on');
        } else if (verb === 'QUIT') {
          say('221 bye');
          socket.end();
        } else say('250 ok');
      }
    };
    socket.on('error', () => {});
    socket.on('data', piece => {
      rest += piece.toString('latin1');
      work = work.then(step);
    });
    say('220 sink.test ESMTP');
  });
  return new Promise(resolve => server.listen(port, '127.0.0.1', resolve));
}

/** Reads replies of an SMTP server; rejects where it hangs up or says nothing for too long. */
class SmtpReplies {
  #rest = '';
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(stream: NodeJS.ReadableStream) {
    stream.on('data', (piece: Buffer) => {
      this.#rest += piece.toString('latin1');
      this.#wake?.();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake?.();
    };
    stream.on('end', end);
    stream.on('close', end);
    stream.on('error', end);
  }

  async next(): Promise<string> {
    const begun = performance.now();
    for (;;) {
      const found = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\r?\n/.exec(this.#rest);
      if (found !== null) {
        this.#rest = this.#rest.slice(found[0].length);
        return found[0].trim();
      }
      const left = PATIENCE_MS - (performance.now() - begun);
      if (this.#ended) throw new Error('closed');
      if (left <= 0) throw new Error('silent');
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

const dotted = (message: string): string => `${message.replaceAll(/^\./gm, '..')}.\r\n`;

/** One session: every command in turn, until one is refused. Gives the last reply. */
async function converse(
  replies: SmtpReplies,
  write: (line: string) => void,
  commands: readonly string[],
): Promise<string> {
  let reply = await replies.next();
  let previous = '';
  for (const command of commands) {
    // Where nobody can log in the message goes on without.
    const isLogin = previous.startsWith('AUTH ');
    if (!/^[23]/.test(reply) && !isLogin) return reply;
    previous = command;
    write(command.endsWith('\r\n') ? command : `${command}\r\n`);
    reply = await replies.next();
  }
  return reply;
}

async function bySmtp(
  port: number,
  commands: readonly string[],
  {isForeign = false, before = ''}: {readonly isForeign?: boolean; readonly before?: string} = {},
): Promise<string> {
  const socket = net.connect(isForeign ? {path: FOREIGN.socket} : {port, host: '127.0.0.1'});
  if (isForeign) socket.write(`${port}\n`);
  socket.write(before);
  try {
    return await converse(new SmtpReplies(socket), line => socket.write(line, 'latin1'), commands);
  } finally {
    socket.on('error', () => {});
    socket.end('QUIT\r\n');
    setTimeout(() => socket.destroy(), 500).unref();
  }
}

const isRefusal = (reply: string): boolean => /^[45]/.test(reply);

// ---------------------------------------------------------------------------------------------------------- catch

interface Caught extends Received {
  readonly token: string;
}
const caught: Caught[] = [];

async function catchMessage(received: Received): Promise<string> {
  // A report has it in the message, or in the commands, that it reports.
  const token = /\b(tk\w{5}z)\b/.exec(received.message)?.[1] ?? '';
  caught.push({...received, token});
  return '250 caught';
}

/** A content filter that changes nothing: hands on what it gets, and answers as the way back does. */
async function handBack({from, recipients, message}: Received): Promise<string> {
  return bySmtp(PORTS.wayBack, [
    'EHLO filter.test',
    `MAIL FROM:<${from}>`,
    ...recipients.map(each => `RCPT TO:<${each}>`),
    'DATA',
    dotted(message),
  ]).catch((error: unknown) => `451 ${String(error)}`);
}

/** SMFIR_CHGHEADER for the first Subject. */
function changeSubject(): Uint8Array {
  const data = Buffer.concat([
    Buffer.from('m'),
    Buffer.from([0, 0, 0, 1]),
    Buffer.from('Subject\0[seen] changed\0'),
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return Buffer.concat([length, data]);
}

/** Everybody may log in; as much of Dovecot's authentication protocol as Postfix needs. */
async function serveLogins(): Promise<void> {
  const socket = `${QUEUE}/private/auth`;
  const server = net.createServer(stream => {
    stream.on('error', () => {});
    stream.write('VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\tlab\nDONE\n');
    createInterface({input: stream}).on('line', line => {
      const [verb, id = ''] = line.split('\t');
      if (verb === 'AUTH') stream.write(`OK\t${id}\tuser=alice\n`);
    });
  });
  await new Promise<void>(resolve => server.listen(socket, resolve));
  await chmod(socket, 0o666);
}

function serveMilters(): void {
  net
    .createServer(socket => {
      socket.on('error', () => {});
      void serveMilter(
        socket,
        step =>
          step === 'end-of-message' ? {verdict: 'accept', raw: changeSubject()} : {verdict: 'continue'},
        rspamdManner,
      );
    })
    .listen(PORTS.changingMilter, '127.0.0.1');
  net
    .createServer(socket => {
      socket.on('error', () => {});
      void serveMilter(socket, step =>
        step === 'end-of-message'
          ? {verdict: 'accept', insert: [{name: 'X-Scanned', value: 'yes'}]}
          : {verdict: 'continue'},
      );
    })
    .listen(PORTS.addingMilter, '127.0.0.1');
}

// -------------------------------------------------------------------------------------------------- configurations

const records = new Map<string, string>();

const lookup: KeyLookup = async name => {
  const record = records.get(name.slice(0, name.indexOf('.')).toLowerCase());
  return record === undefined ? {status: 'absent'} : {status: 'found', records: [record]};
};

interface Base {
  readonly main: string;
  /** Entries by `name/type`. */
  readonly master: ReadonlyMap<string, string>;
}

const entriesOf = (master: string): ReadonlyMap<string, string> => {
  const entries = new Map<string, string>();
  let current = '';
  for (const line of master.split('\n').filter(line => line.trim() !== '' && !line.startsWith('#'))) {
    if (/^\s/.test(line)) {
      entries.set(current, `${entries.get(current) ?? ''}\n${line}`);
      continue;
    }
    const [name = '', type = ''] = line.split(/\s+/);
    current = `${name}/${type}`;
    entries.set(current, line);
  }
  return entries;
};

const ROUTES = [
  `{ sink.test = smtp:[127.0.0.1]:${PORTS.sink} }`,
  `{ back.test = smtp:[127.0.0.1]:${PORTS.sink} }`,
  `{ seven.test = smtp:[127.0.0.1]:${PORTS.sevenBitSink} }`,
  `{ dead.test = error:5.1.1 unknown }`,
].join(' ');

const BASE_MAIN = [
  `smtpd_milters = ${SOCKET}`,
  'non_smtpd_milters = $smtpd_milters',
  'milter_default_action = accept',
  `transport_maps = inline:{ ${ROUTES} }`,
  'relay_domains = sink.test back.test seven.test dead.test',
  `smtpd_authorized_xclient_hosts = 127.0.0.1, ${FOREIGN.address}`,
  'qmqpd_authorized_clients = 127.0.0.1',
  'virtual_alias_maps = inline:{ { virtual@example.com = virtual@sink.test } }',
  'bounce_notice_recipient = notice@sink.test',
  'error_notice_recipient = notice@sink.test',
  // A service that cannot start is tried again after this; reading the configuration again is no reason for it.
  'service_throttle_time = 1s',
  'smtpd_sasl_auth_enable = yes',
  'smtpd_sasl_type = dovecot',
  'smtpd_sasl_path = private/auth',
  'maximal_backoff_time = 4000s',
];

const BASE_MASTER = [
  'submission inet n - y - - smtpd\n  -o syslog_name=postfix/submission',
  '628 inet n - y - - qmqpd',
];

const BASE_SIGNER = [
  'Syslog yes',
  'SyslogSuccess yes',
  'LogWhy yes',
  'Mode sv',
  'Canonicalization relaxed/simple',
  'OversignHeaders From',
  'UserID opendkim',
  'UMask 007',
  'PidFile /run/opendkim/opendkim.pid',
  `Socket local:${SOCKET_FILE}`,
  'KeyTable file:/etc/opendkim/KeyTable',
  'SigningTable refile:/etc/opendkim/SigningTable',
];
const BASE_SIGNING = ['*@example.com one', '*@example.org two'];
const BASE_KEYS = [
  'one example.com:s1:/etc/dkimkeys/s1.private',
  'two example.org:s2:/etc/dkimkeys/s2.private',
  'three example.com:s3:/etc/dkimkeys/s3.private',
];

const LIST_PROGRAM = '#!/bin/sh\nexec /usr/sbin/sendmail -i -f list@back.test out@sink.test\n';
const PIPE_FILTER = '#!/bin/sh\nexec /usr/sbin/sendmail -i "$@"\n';

async function furnish(): Promise<Base> {
  await mkdir('/etc/opendkim', {recursive: true});
  for (const selector of SELECTORS) {
    const {privateKey, publicKey} = generateKeyPairSync('rsa', {modulusLength: 2048});
    const file = `/etc/dkimkeys/${selector}.private`;
    await writeFile(file, privateKey.export({type: 'pkcs1', format: 'pem'}), {mode: 0o600});
    await mustRun(['chown', 'opendkim:opendkim', file]);
    const der = publicKey.export({type: 'spki', format: 'der'}).toString('base64');
    records.set(selector, `v=DKIM1; k=rsa; p=${der}`);
  }
  await mustRun([
    'install',
    '-d',
    '-o',
    'opendkim',
    '-g',
    'postfix',
    '-m',
    '2750',
    path.dirname(SOCKET_FILE),
  ]);
  await writeFile('/usr/local/bin/list-program', LIST_PROGRAM, {mode: 0o755});
  await writeFile('/usr/local/bin/pipe-filter', PIPE_FILTER, {mode: 0o755});
  await writeFile(
    '/etc/aliases',
    'postmaster: root\nforward: forward@sink.test\nlist: "|/usr/local/bin/list-program"\n',
  );
  await mustRun(['newaliases']);
  const main = await readFile('/etc/postfix/main.cf', 'utf8');
  const master = entriesOf([await readFile('/etc/postfix/master.cf', 'utf8'), ...BASE_MASTER].join('\n'));
  return {
    main: main
      .split('\n')
      .filter(line => !line.startsWith('#'))
      .join('\n'),
    master,
  };
}

function masterOf(base: Base, configuration: Configuration): string {
  const entries = new Map(base.master);
  for (const entry of configuration.master ?? [])
    for (const [key, value] of entriesOf(entry)) entries.set(key, value);
  for (const [service, options] of Object.entries(configuration.options ?? {})) {
    const entry = entries.get(service);
    if (entry === undefined) throw new Error(`no service ${service}`);
    entries.set(service, [entry, ...options.map(option => `  -o ${option}`)].join('\n'));
  }
  return `${[...entries.values()].join('\n')}\n`;
}

function signerOf(configuration: Configuration): string {
  const lines = configuration.signer ?? [];
  const out = new Set(lines.filter(line => line.startsWith('-')).map(line => line.slice(1)));
  return [
    ...BASE_SIGNER.filter(line => !out.has(line.split(' ')[0] ?? '')),
    ...lines.filter(line => !line.startsWith('-')),
    '',
  ].join('\n');
}

const written = new Map<string, string>();
let more: readonly string[] = [];

/** Writes a file unless it is so already; true where it changed. */
async function put(file: string, content: string): Promise<boolean> {
  if (written.get(file) === content) return false;
  await mkdir(path.dirname(file), {recursive: true});
  await writeFile(file, content, {mode: 0o644});
  // Postfix waits until a file has been left alone for two seconds.
  const past = Date.now() / 1000 - 60;
  await utimes(file, past, past);
  written.set(file, content);
  return true;
}

const masterPid = async (): Promise<number> => Number((await text(`${QUEUE}/pid/master.pid`)).trim());

const childrenOf = async (pid: number): Promise<readonly number[]> =>
  (await text(`/proc/${pid}/task/${pid}/children`)).split(' ').filter(Boolean).map(Number);

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** SIGHUP to the master process, until no child with the old configuration is left. */
async function reloadPostfix(): Promise<void> {
  const master = await masterPid();
  const children = await childrenOf(master);
  process.kill(master, 'SIGHUP');
  const begun = performance.now();
  while (children.some(isAlive)) {
    if (performance.now() - begun > 3000) {
      for (const child of children.filter(isAlive)) process.kill(child, 'SIGKILL');
    }
    if (performance.now() - begun > PATIENCE_MS) throw new Error('old processes of Postfix stay');
    await sleep(10);
  }
}

async function accepts(where: net.NetConnectOpts): Promise<boolean> {
  const socket = net.connect(where);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** The endpoint that opendkim.conf names last, where a Node socket can reach it. */
function endpointOf(conf: string): net.NetConnectOpts | undefined {
  const socket = [...conf.matchAll(/^Socket\s+(\S+)/gim)].at(-1)?.[1] ?? '';
  const inet = /^inet:(\d+)@(.+)$/.exec(socket);
  if (inet !== null) return {port: Number(inet[1]), host: inet[2] ?? ''};
  return /^(?:local|unix):/.test(socket) ? {path: socket.replace(/^\w+:/, '')} : undefined;
}

let isSignerUp = false;

async function restartSigner(conf: string): Promise<void> {
  // It looks only every five seconds whether it is to end; there is nothing that it could lose.
  await ran(['systemctl', 'kill', '--signal=KILL', 'opendkim']);
  await ran(['systemctl', 'reset-failed', 'opendkim']);
  const restarted = await ran(['timeout', '20', 'systemctl', 'restart', 'opendkim']);
  isSignerUp = restarted.status === 0;
  const endpoint = endpointOf(conf);
  const begun = performance.now();
  while (isSignerUp && endpoint !== undefined && !(await accepts(endpoint))) {
    if (performance.now() - begun > 5000) isSignerUp = false;
    await sleep(20);
  }
}

async function apply(base: Base, configuration: Configuration): Promise<void> {
  const conf = signerOf(configuration);
  const given = configuration.files ?? {};
  for (const file of more.filter(file => !(file in given))) {
    await rm(file, {force: true});
    written.delete(file);
  }
  more = Object.keys(given);
  let mustRestart = !isSignerUp;
  for (const [file, content] of Object.entries(given)) {
    if (await put(file, content)) mustRestart ||= file.startsWith('/etc/opendkim');
  }
  const signerFiles: readonly (readonly [string, string])[] = [
    ['/etc/opendkim.conf', conf],
    ['/etc/opendkim/SigningTable', `${(configuration.signingTable ?? BASE_SIGNING).join('\n')}\n`],
    ['/etc/opendkim/KeyTable', `${(configuration.keyTable ?? BASE_KEYS).join('\n')}\n`],
  ];
  for (const [file, content] of signerFiles) if (await put(file, content)) mustRestart = true;
  if (mustRestart) await restartSigner(conf);
  // Read again in any case: a service that was stopped by a word it cannot read waits for a minute, or for this.
  await put('/etc/postfix/main.cf', [base.main, ...BASE_MAIN, ...(configuration.main ?? []), ''].join('\n'));
  await put('/etc/postfix/master.cf', masterOf(base, configuration));
  await reloadPostfix();
}

// ------------------------------------------------------------------------------------------------------------ send

interface Mail {
  readonly token: string;
  readonly question: Question;
  readonly sender: string;
  readonly recipient: string;
  readonly text: string;
}

function mailOf(question: Question, token: string): Mail {
  const to: Readonly<Record<string, string>> = {
    bounce: `${token}@dead.test`,
    copy: `${token}@dead.test`,
    // Postfix does not relay there: the attempt is what is reported.
    notice: `${token}@elsewhere.test`,
    alias: 'forward@example.com',
    list: 'list@example.com',
    virtual: 'virtual@example.com',
  };
  const recipient = to[question.entrance] ?? `${token}@${question.to}`;
  const mime = (encoding: string): readonly string[] => [
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Transfer-Encoding: ${encoding}`,
  ];
  const header = [
    'Received: from lab.test by lab.test; Sun, 29 Nov 2026 12:00:00 +0000',
    `From: Alice <${question.from}>`,
    `To: <${recipient}>`,
    `Subject: lab ${token}`,
    'Date: Sun, 29 Nov 2026 12:00:00 +0000',
    `Message-ID: <${token}@lab.test>`,
    `X-Lab-Token: ${token}`,
    'X-Mailer: lab',
    ...question.fields,
    ...(question.body === '8bit' ? mime('8bit') : []),
  ];
  const line =
    question.body === 'long' ? 'x'.repeat(1200) : question.body === 'plain' ? 'hello' : 'gr\xc3\xbc\xc3\x9fe';
  return {
    token,
    question,
    sender: `${token}@back.test`,
    recipient,
    text: [...header, '', 'An ordinary message.', line, ''].join('\r\n'),
  };
}

/** Hands a message in. The reply is that of the server, `accepted` by a program that says nothing. */
async function handIn({question, sender, recipient, text}: Mail): Promise<string> {
  const smtp = ['EHLO client.test', ...introduction(question)];
  const transaction = [`MAIL FROM:<${sender}>`, `RCPT TO:<${recipient}>`, 'DATA', dotted(text)];
  switch (question.entrance) {
    case 'local':
    case 'bounce':
    case 'copy': {
      const {status, output} = await ran(
        ['sendmail', '-i', '-f', sender, recipient],
        text.replaceAll('\r\n', '\n'),
      );
      return status === 0 ? 'accepted' : `5xx exit ${status} ${output}`;
    }
    case 'bs': {
      const child: ChildProcess = spawn('sendmail', ['-bs'], {stdio: ['pipe', 'pipe', 'ignore']});
      const {stdin, stdout} = child;
      if (stdin === null || stdout === null) throw new Error('no pipes');
      stdin.on('error', () => {});
      const reply = await converse(new SmtpReplies(stdout), line => stdin.write(line, 'latin1'), [
        'EHLO client.test',
        ...transaction,
      ]);
      stdin.end('QUIT\r\n');
      return reply;
    }
    case 'qmqp':
      return byQmqp(text.replaceAll('\r\n', '\n'), sender, recipient);
    default:
      return bySmtp(question.port ?? 25, [...smtp, ...transaction], {
        isForeign: isForeign(question),
        before: question.isProxied ? 'PROXY TCP4 127.0.0.1 127.0.0.1 40000 587\r\n' : '',
      });
  }
}

const isForeign = ({client, clientAddress}: Question): boolean =>
  client === 'foreign' || clientAddress !== undefined;

/** Who the client is, and its login. */
function introduction(question: Question): readonly string[] {
  const {clientName = FOREIGN.name, clientAddress = FOREIGN.address, login} = question;
  return [
    // The server begins anew after it, with a greeting and nothing said.
    ...(isForeign(question) && !question.isProxied
      ? [
          `XCLIENT NAME=${clientName} ADDR=${clientAddress.includes(':') ? 'IPV6:' : ''}${clientAddress} PORT=4000`,
          'EHLO client.test',
        ]
      : []),
    ...(login ? [`AUTH PLAIN ${Buffer.from('\0alice\0secret').toString('base64')}`] : []),
  ];
}

async function byQmqp(message: string, sender: string, recipient: string): Promise<string> {
  const netstring = (value: string): string => `${Buffer.byteLength(value, 'latin1')}:${value},`;
  const socket = net.connect({port: 628, host: '127.0.0.1'});
  const pieces: string[] = [];
  socket.on('data', piece => pieces.push(piece.toString('latin1')));
  socket.write(netstring(netstring(message) + netstring(sender) + netstring(recipient)), 'latin1');
  await Promise.race([once(socket, 'close'), sleep(PATIENCE_MS)]);
  socket.destroy();
  const answer = /^\d+:([KZD])(.*),/s.exec(pieces.join(''));
  if (answer === null) throw new Error('closed');
  return `${{K: '250', Z: '451', D: '550'}[answer[1] ?? ''] ?? '451'} ${answer[2] ?? ''}`;
}

// ---------------------------------------------------------------------------------------------------------- truths

async function signaturesOf(message: string): Promise<readonly Signature[]> {
  const verdicts = await verifyMessage(Buffer.from(message, 'latin1'), {
    lookup,
    now: Math.floor(Date.now() / 1000),
  });
  return verdicts.map(({domain, selector, result}) => ({
    domain: domain ?? '',
    selector: selector ?? '',
    verifies: result === 'pass',
  }));
}

/** The message that answers a question: a bounce for a bounce, the message itself for all others. */
function answerTo({token, question}: Mail): Caught | undefined {
  const isReport = ({from, recipients, message}: Caught): boolean =>
    question.entrance !== 'bounce'
      ? recipients.some(each => each.startsWith('notice@'))
      : from === '' &&
        recipients.some(each => each.startsWith(token)) &&
        /^From: .*MAILER-DAEMON/m.test(message);
  const wanted = caught.filter(each => each.token === token);
  if (['bounce', 'copy', 'notice'].includes(question.entrance)) return wanted.find(isReport);
  return wanted.find(each => each.from !== '' || each.recipients.includes('out@sink.test'));
}

const wasBounced = ({token}: Mail): boolean =>
  caught.some(
    each => each.token === token && each.from === '' && /^From: .*MAILER-DAEMON/m.test(each.message),
  );

/** Where a message that was taken lies, by reading the queue's files. */
async function inQueue({token}: Mail, isOld: boolean): Promise<Truth | undefined> {
  // Everything lies there for a moment.
  for (const file of isOld ? await readdir(`${QUEUE}/maildrop`) : []) {
    if ((await readFile(`${QUEUE}/maildrop/${file}`, 'latin1').catch(() => '')).includes(token)) {
      return {fate: 'delayed', signatures: [], reply: 'in maildrop'};
    }
  }
  for (const [directory, fate] of [
    ['hold', 'held'],
    ['deferred', 'delayed'],
  ] as const) {
    for (const file of await filesBelow(`${QUEUE}/${directory}`)) {
      if (!(await readFile(file, 'latin1').catch(() => '')).includes(token)) continue;
      const {output} = await ran(['postcat', '-qbh', path.basename(file)]);
      const signatures = await signaturesOf(output.replaceAll(/\r?\n/g, '\r\n'));
      return {fate, signatures, reply: `in ${directory}`};
    }
  }
  return undefined;
}

async function filesBelow(directory: string): Promise<readonly string[]> {
  const found = await readdir(directory, {recursive: true, withFileTypes: true}).catch(() => []);
  return found.filter(each => each.isFile()).map(each => path.join(each.parentPath ?? each.path, each.name));
}

async function truthOf(mail: Mail, reply: string, deadline: number): Promise<Truth> {
  if (reply.startsWith('dead')) return {fate: 'dead', signatures: [], reply};
  if (isRefusal(reply) && mail.question.entrance !== 'notice')
    return {fate: reply.startsWith('4') ? 'delayed' : 'refused', signatures: [], reply};
  let pause = 5;
  for (;;) {
    const answer = answerTo(mail);
    if (answer !== undefined) {
      const from = /^From: .*?<?([^\s<>]*@[^\s<>]*)>?/m.exec(answer.message)?.[1];
      const made = ['bounce', 'copy', 'notice'].includes(mail.question.entrance) && from !== undefined;
      return {
        ...{fate: 'left', signatures: await signaturesOf(answer.message), reply},
        ...(made ? {from} : {}),
      };
    }
    if (mail.question.entrance !== 'copy' && wasBounced(mail))
      return {fate: 'refused', signatures: [], reply: 'bounced'};
    if (pause > 150) {
      const queued = await inQueue(mail, performance.now() > deadline - TRANSIT_MS + MAILDROP_MS);
      if (queued !== undefined) return queued;
    }
    if (performance.now() > deadline) return {fate: 'lost', signatures: [], reply};
    await sleep(pause);
    pause = Math.min(pause * 2, 300);
  }
}

let tokens = 0;

async function ask(questions: readonly Question[]): Promise<readonly Truth[]> {
  const mails = questions.map(question => {
    tokens += 1;
    return mailOf(question, `tk${tokens.toString(36).padStart(5, '0')}z`);
  });
  const replies: string[] = [];
  for (const mail of mails) {
    replies.push(
      await handIn(mail).catch((error: unknown) => `dead: ${error instanceof Error ? error.message : ''}`),
    );
  }
  const deadline = performance.now() + TRANSIT_MS;
  const truths: Truth[] = [];
  for (const [at, mail] of mails.entries()) truths.push(await truthOf(mail, replies[at] ?? '', deadline));
  if (truths.some(({fate}) => fate !== 'left')) {
    await ran(['postsuper', '-d', 'ALL']);
    for (const file of await readdir(`${QUEUE}/maildrop`))
      await rm(`${QUEUE}/maildrop/${file}`, {force: true});
  }
  caught.length = 0;
  return truths;
}

// ------------------------------------------------------------------------------------------------------------ loop

interface Job {
  readonly configuration: Configuration;
  readonly questions: readonly Question[];
}

await serveSmtp(PORTS.sink, ['PIPELINING', '8BITMIME'], catchMessage);
await serveSmtp(PORTS.sevenBitSink, ['PIPELINING'], catchMessage);
await serveSmtp(PORTS.filter, ['PIPELINING', '8BITMIME'], handBack);
serveMilters();
await serveLogins();
const base = await furnish();
process.stdout.write('{"ready":true}\n');

for await (const line of createInterface({input: process.stdin})) {
  const {configuration, questions}: Job = JSON.parse(line);
  const begun = performance.now();
  try {
    await apply(base, configuration);
    const applied = performance.now();
    const [picture, truths] = await Promise.all([lookAtPicture(), ask(questions)]);
    const predictions = questions.map((each, at) => predict(picture, each, truths[at]?.from));
    const milliseconds = [applied - begun, performance.now() - applied].map(Math.round);
    process.stdout.write(`${JSON.stringify({truths, predictions, milliseconds})}\n`);
  } catch (error) {
    process.stdout.write(
      `${JSON.stringify({error: error instanceof Error ? (error.stack ?? error.message) : ''})}\n`,
    );
  }
}
process.exit(0);
