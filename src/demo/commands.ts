/**
 * The programs of the sandbox: as much of postconf(1), systemctl(1), opendkim(8), sendmail(1) and the like as a mail
 * host offers, answered from the scratch root. An unknown program is missing, as on a host that does not have it.
 */
import {absolute, parseAbsolutePath} from '../domain/paths.ts';
import {expand} from '../services/postfix/parse.ts';
import type {Argv, CommandOptions, CommandResult, Commands} from '../system/ports.ts';
import type {Machine} from './machine.ts';
import type {Mailer, QueuedMessage} from './mailer.ts';
import {checkConfiguration, type SignerStart, startSigner} from './signer.ts';

const done = (status: number, stdout = '', stderr = ''): CommandResult => ({
  status,
  stdout,
  stderr,
  ended: 'exit',
});

const MISSING: CommandResult = {status: null, stdout: '', stderr: '', ended: 'missing'};

const OPENDKIM_CONF = absolute('/etc/opendkim.conf');

/** What can be made to go wrong, for tests of what follows. */
export interface Mischief {
  /** `systemctl restart opendkim` fails as with a broken unit; `once`, then never again. */
  restartFails?: boolean | 'once';
  /** The signer starts and ends 100 ms later (daemons/opendkim.md#start-and-restart); `once`, then never again. */
  diesAfterStart?: boolean | 'once';
}

type Program = (argv: readonly string[], options: CommandOptions | undefined) => Promise<CommandResult>;

/**
 * The programs of a mail host that waxseal runs (postconf, sendmail, systemctl, opendkim …), played over
 * the scratch root.
 */
export function createDemoCommands(machine: Machine, mailer: Mailer, mischief: Mischief = {}): Commands {
  const signer = new SignerUnit(machine, mischief);
  machine.processes.set(1, () => signer.stop());
  const programs: Readonly<Record<string, Program>> = {
    postconf: async argv => await postconf(mailer, argv),
    postfix: async argv => await postfixProgram(mailer, argv),
    sendmail: async (argv, options) => await sendmail(mailer, argv, options),
    postqueue: async () =>
      done(
        0,
        [
          ...[...mailer.queue.values()].map(message => queueLine('deferred', message)),
          ...[...mailer.held.values()].map(message => queueLine('hold', message)),
          ...[...mailer.maildrop.values()].map(message => queueLine('maildrop', message)),
        ].join(''),
      ),
    postcat: async argv => {
      const id = argv.at(-1) ?? '';
      const message = mailer.queue.get(id) ?? mailer.held.get(id);
      return message === undefined
        ? done(1, '', 'postcat: fatal: no such queue file')
        : done(0, message.content.toString('latin1'));
    },
    postsuper: async argv => {
      const id = argv[argv.indexOf('-d') + 1] ?? '';
      const gone = [mailer.queue, mailer.held, mailer.maildrop].filter(queue => queue.delete(id)).length;
      return done(0, '', gone > 0 ? `postsuper: ${id}: removed\npostsuper: Deleted: 1 message\n` : '');
    },
    systemctl: async argv => await systemctl(signer, mailer, argv),
    opendkim: async (argv, options) => await opendkim(machine, argv, options),
    runuser: async argv => await runuser(machine, argv),
    journalctl: async argv => done(0, journal(machine, argv)),
    kill: async argv => await kill(machine, argv),
    hostname: async () => done(0, 'mail.example.org\n'),
  };
  return {
    async run(argv: Argv, options?: CommandOptions): Promise<CommandResult> {
      const name = argv[0].slice(argv[0].lastIndexOf('/') + 1);
      const program = Object.hasOwn(programs, name) ? programs[name] : undefined;
      return program === undefined ? MISSING : await program(argv.slice(1), options);
    },
  };
}

/** opendkim.service: Type=forking, PIDFile=/run/opendkim/opendkim.pid. */
class SignerUnit {
  readonly #machine: Machine;
  readonly #mischief: Mischief;
  #running: Extract<SignerStart, {running: true}> | undefined;
  #result = 'success';

  constructor(machine: Machine, mischief: Mischief) {
    this.#machine = machine;
    this.#mischief = mischief;
  }

  get active(): boolean {
    return this.#running !== undefined;
  }

  get result(): string {
    return this.#result;
  }

  async stop(): Promise<void> {
    await this.#running?.stop();
    this.#running = undefined;
  }

  reload(): void {
    this.#running?.reload();
  }

  async restart(): Promise<CommandResult> {
    await this.stop();
    if (this.#happens('restartFails')) {
      this.#result = 'exit-code';
      return done(
        1,
        '',
        'Job for opendkim.service failed because the control process exited with error code.\n',
      );
    }
    const started = await startSigner(this.#machine, {configFile: OPENDKIM_CONF});
    if (!started.running) {
      this.#machine.journal('opendkim', started.message);
      this.#result = 'exit-code';
      return done(
        1,
        '',
        'Job for opendkim.service failed because the control process exited with error code.\n',
      );
    }
    this.#running = started;
    this.#result = 'success';
    if (this.#happens('diesAfterStart')) {
      void this.#machine.clock.sleep(100).then(async () => {
        if (this.#running !== started) return;
        this.#result = 'exit-code';
        await this.stop();
      });
    }
    return done(0);
  }

  #happens(what: keyof Mischief): boolean {
    const trouble = this.#mischief[what];
    if (trouble === 'once') this.#mischief[what] = false;
    return trouble === true || trouble === 'once';
  }
}

async function systemctl(
  signer: SignerUnit,
  mailer: Mailer,
  argv: readonly string[],
): Promise<CommandResult> {
  const words = argv.filter(
    (word, at) => !word.startsWith('-') && !/^(-p|--property)$/.test(argv[at - 1] ?? ''),
  );
  const [verb = '', ...units] = words;
  const unit = (units[0] ?? '').replace(/\.service$/, '');
  const isSigner = unit === 'opendkim';
  const isMailer = unit === 'postfix' || unit === 'postfix@-';
  if (verb === 'is-system-running') return done(0, 'running\n');
  if (verb === 'show') {
    const shown = units.map(each => showUnit(argv, each.replace(/\.service$/, ''), signer, mailer));
    return done(0, shown.join('\n'));
  }
  if (!isSigner && !isMailer)
    return done(
      verb === 'is-active' ? 4 : 5,
      verb === 'is-active' ? 'inactive\n' : '',
      `Unit ${unit}.service could not be found.\n`,
    );
  const active = isSigner ? signer.active : mailer.running;
  switch (verb) {
    case 'is-active':
      return done(active ? 0 : 3, active ? 'active\n' : 'inactive\n');
    case 'restart':
    case 'start':
    case 'try-restart':
      return isSigner ? await signer.restart() : done(0);
    case 'stop':
      if (isSigner) await signer.stop();
      return done(0);
    case 'reload':
      // It says nothing about success: the daemon reads at its next connection (daemons/opendkim.md#reload).
      if (isSigner) signer.reload();
      return active ? done(0) : done(1, '', `${unit}.service is not active, cannot reload.\n`);
    case 'reload-or-restart':
      if (isSigner && !active) return await signer.restart();
      if (isSigner) signer.reload();
      return done(active ? 0 : 1);
    case 'reset-failed':
    case 'daemon-reload':
      return done(0);
    default:
      return done(1, '', `Unknown command verb ${verb}.\n`);
  }
}

function showUnit(argv: readonly string[], unit: string, signer: SignerUnit, mailer: Mailer): string {
  const known = unit === 'opendkim' || unit === 'postfix';
  const active = unit === 'opendkim' ? signer.active : unit === 'postfix' && mailer.running;
  const facts: Readonly<Record<string, string>> = {
    LoadState: known ? 'loaded' : 'not-found',
    ActiveState: active ? 'active' : 'inactive',
    SubState: active ? 'running' : 'dead',
    Result: unit === 'opendkim' ? signer.result : 'success',
    NRestarts: '0',
    ExecMainStatus: '0',
    MainPID: active ? '4000' : '0',
    UnitFileState: known ? 'enabled' : '',
    PIDFile: unit === 'opendkim' ? '/run/opendkim/opendkim.pid' : '',
    DropInPaths: '',
    NeedDaemonReload: 'no',
    ExecStart:
      unit === 'opendkim'
        ? '{ path=/usr/sbin/opendkim ; argv[]=/usr/sbin/opendkim ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }'
        : '',
    FragmentPath: known ? `/usr/lib/systemd/system/${unit}.service` : '',
    User: '',
    Group: '',
  };
  const property = argv.findIndex(word => word === '-p' || word === '--property');
  const inline = argv.find(word => /^(-p|--property=)./.test(word))?.replace(/^(-p|--property=)/, '');
  const names = (property >= 0 ? argv[property + 1] : inline)?.split(',') ?? Object.keys(facts);
  const bare = argv.includes('--value');
  return names.map(name => `${bare ? '' : `${name}=`}${facts[name] ?? ''}\n`).join('');
}

async function postconf(mailer: Mailer, argv: readonly string[]): Promise<CommandResult> {
  const flags = new Set<string>();
  const names: string[] = [];
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (word === '-c') at += 1;
    else if (word.startsWith('-')) for (const letter of word.slice(1)) flags.add(letter);
    else names.push(word);
  }
  if (flags.has('M')) return done(0, await mailer.services(names));
  if (flags.has('P')) return done(0, await mailer.overrides());
  if (flags.has('F')) return done(0, await mailer.serviceFields(names));
  const explicit = await mailer.explicit();
  const effective = await mailer.effective();
  const wanted = names.length > 0 ? names : [...(flags.has('n') ? explicit : effective).keys()].sort();
  const lines: string[] = [];
  const warnings: string[] = [];
  for (const name of wanted) {
    const raw = flags.has('d') ? mailer.defaultOf(name) : effective.get(name);
    if (raw === undefined) {
      warnings.push(`postconf: warning: ${name}: unknown parameter\n`);
      continue;
    }
    if (flags.has('n') && !explicit.has(name)) continue;
    const value = flags.has('x') ? expand(raw, effective) : raw;
    lines.push(flags.has('h') ? `${value}\n` : `${name} = ${value}\n`);
  }
  return done(0, lines.join(''), warnings.join(''));
}

async function postfixProgram(mailer: Mailer, argv: readonly string[]): Promise<CommandResult> {
  const verb = argv.filter(word => !word.startsWith('-')).at(-1);
  if (verb === 'status') {
    return mailer.running
      ? done(0, '', 'postfix/postfix-script: the Postfix mail system is running: PID: 4000\n')
      : done(1, '', 'postfix/postfix-script: the Postfix mail system is not running\n');
  }
  if (verb === 'check') {
    const broken = await mailer.syntaxError();
    return broken === undefined ? done(0) : done(1, '', `postconf: fatal: ${broken}\n`);
  }
  return done(0);
}

async function sendmail(
  mailer: Mailer,
  argv: readonly string[],
  options: CommandOptions | undefined,
): Promise<CommandResult> {
  let sender = 'root@mail.example.org';
  const recipients: string[] = [];
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (word === '-f' || word === '-r') {
      at += 1;
      sender = argv[at] ?? '';
    } else if (word.startsWith('-f')) sender = word.slice(2);
    else if (!word.startsWith('-')) recipients.push(word);
  }
  const message = Buffer.from(options?.input ?? new Uint8Array());
  const result = await mailer.submit({sender, recipients}, message, 'sendmail');
  // sendmail(1) ends well even where cleanup(8) is told to try again: the message stays in maildrop
  // (daemons/opendkim.md#key-files).
  return 'reply' in result && result.reply.startsWith('5') ? done(69, '', `${result.reply}\n`) : done(0);
}

const queueLine = (queue: 'deferred' | 'hold' | 'maildrop', message: QueuedMessage): string =>
  `${JSON.stringify({
    queue_name: queue,
    queue_id: message.id,
    arrival_time: Math.floor(message.arrival.getTime() / 1000),
    message_size: message.content.length,
    forced_expire: false,
    sender: message.sender,
    recipients: message.recipients.map(address => ({address, delay_reason: message.reason})),
  })}\n`;

async function opendkim(
  machine: Machine,
  argv: readonly string[],
  options: CommandOptions | undefined,
): Promise<CommandResult> {
  const flagValue = (flag: string): string | undefined => {
    const at = argv.indexOf(flag);
    return at < 0 ? undefined : argv[at + 1];
  };
  if (argv.includes('-V')) {
    return done(
      0,
      'opendkim: OpenDKIM Filter v2.11.0\n\tCompiled with OpenSSL 3.5.7 9 Jun 2026\n\tSupported signing algorithms:\n\t\trsa-sha1\n\t\trsa-sha256\n\t\ted25519-sha256\n\tSupported canonicalization algorithms:\n\t\trelaxed\n\t\tsimple\n',
    );
  }
  const config = parseAbsolutePath(flagValue('-x') ?? OPENDKIM_CONF);
  if (!config.ok) return done(78, '', 'opendkim: cannot open configuration file\n');
  if (argv.includes('-n')) {
    const wrong = await checkConfiguration(machine, config.value);
    return wrong === '' ? done(0) : done(78, '', `${wrong}\n`);
  }
  const socket = flagValue('-p');
  const pidFile = flagValue('-P');
  const started = await startSigner(machine, {
    configFile: config.value,
    ...(socket === undefined ? {} : {socket}),
    ...(pidFile === undefined ? {} : {pidFile}),
  });
  if (!started.running) return done(started.status, '', `${started.message}\n`);
  if (!argv.includes('-f')) return done(0);
  // In the foreground it runs until it is ended.
  const {signal} = options ?? {};
  await new Promise<void>(resolve => {
    if (signal === undefined || signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), {once: true});
  });
  await started.stop();
  return {status: null, stdout: '', stderr: '', ended: 'signal'};
}

/** `runuser -u postfix -- test -w PATH`. */
async function runuser(machine: Machine, argv: readonly string[]): Promise<CommandResult> {
  const account = argv[argv.indexOf('-u') + 1] ?? '';
  const rest = argv.slice(argv.indexOf('--') + 1);
  const bits: Readonly<Record<string, 1 | 2 | 4>> = {'-r': 4, '-w': 2, '-x': 1};
  const wanted = bits[rest[1] ?? ''];
  const path = parseAbsolutePath(rest[2] ?? '');
  if (rest[0] !== 'test' || wanted === undefined || !path.ok)
    return done(2, '', 'runuser: not in the sandbox\n');
  return done((await machine.mayAccess(account, path.value, wanted)) ? 0 : 1);
}

function journal(machine: Machine, argv: readonly string[]): string {
  const after = (flag: string): string | undefined => {
    const at = argv.indexOf(flag);
    return at < 0 ? undefined : argv[at + 1];
  };
  const identifiers = argv.flatMap((word, at) => (word === '-t' ? [argv[at + 1]] : []));
  const since = /^@(\d+)$/.exec(after('--since') ?? '')?.[1];
  const count = Number(after('-n') ?? Number.POSITIVE_INFINITY);
  return machine.lines
    .filter(line => identifiers.length === 0 || identifiers.includes(line.identifier))
    .filter(line => since === undefined || line.at.getTime() >= Number(since) * 1000)
    .slice(Number.isFinite(count) ? -count : 0)
    .map(line => `${line.text}\n`)
    .join('');
}

async function kill(machine: Machine, argv: readonly string[]): Promise<CommandResult> {
  const pid = Number(argv.at(-1));
  const stop = machine.processes.get(pid);
  if (stop === undefined) return done(1, '', `kill: (${pid}) - No such process\n`);
  if (argv.includes('-0')) return done(0);
  machine.processes.delete(pid);
  await stop();
  return done(0);
}
