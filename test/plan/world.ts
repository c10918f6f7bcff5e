/**
 * A small mail host in a scratch directory: real files, and a package manager and services that keep their state in
 * files too, so that "put back" can be judged by comparing the whole tree. Also bundled into child processes.
 */
import {createHash} from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import {type AbsolutePath, absolute} from '../../src/domain/paths.ts';
import {type ApplyHooks, asBefore, makePlan, observe, type Plan, sha256Of} from '../../src/plan/index.ts';
import type {Before, ServiceStep, Step} from '../../src/services/step.ts';
import type {Argv, CommandResult, Commands, Files, Ports} from '../../src/system/ports.ts';
import {
  createClock,
  createFiles,
  createLocks,
  createOwnerLedger,
  createRandom,
  createRealPorts,
  createUsers,
  type OwnerLedger,
} from '../../src/system/real/index.ts';

export const SECRET = '-----BEGIN PRIVATE KEY-----\nZm9vYmFy\n-----END PRIVATE KEY-----\n';
const CONFIG: Readonly<Record<string, readonly string[]>> = {
  'opendkim.service': ['/etc/opendkim.conf', '/etc/opendkim/KeyTable'],
  'postfix.service': ['/etc/postfix/main.cf'],
};

export interface World {
  readonly root: AbsolutePath;
  readonly ports: Ports;
  readonly hooks: ApplyHooks;
  real(hostPath: string): string;
}

/** Lays out the host as it is before a set-up. */
export function furnish(root: string): void {
  const put = (file: string, text: string, mode = 0o644): void => {
    const at = path.join(root, file);
    fs.mkdirSync(path.dirname(at), {recursive: true, mode: 0o755});
    fs.writeFileSync(at, text);
    fs.chmodSync(at, mode);
  };
  put('etc/passwd', 'root:x:0:0::/root:/bin/sh\nopendkim:x:100:101::/run/opendkim:/usr/sbin/nologin\n');
  put('etc/group', 'root:x:0:\nopendkim:x:101:\npostfix:x:102:\n');
  put('etc/opendkim.conf', '# comment\nSyslog\tyes\nUserID\topendkim');
  put('etc/postfix/main.cf', 'myhostname = mail.example.org\nsmtpd_milters =\n');
  put('etc/postfix/old.cf', 'to be removed\n', 0o600);
  put('etc/opendkim/TrustedHosts', '127.0.0.1\n', 0o600);
  put('var/lib/dpkg-list', 'postfix\n');
  put('var/spool/postfix/pid/x', '');
  fs.symlinkSync('postfix/main.cf', path.join(root, 'etc/main.link'));
  put('run/services.json', JSON.stringify({'postfix.service': running(root, 'postfix.service')}));
}

const hashOf = (root: string, unit: string): string => {
  const hash = createHash('sha256');
  for (const file of CONFIG[unit] ?? []) {
    try {
      hash.update(fs.readFileSync(path.join(root, file)));
    } catch {
      hash.update('absent');
    }
  }
  return hash.digest('hex').slice(0, 12);
};

const running = (root: string, unit: string): string => `running with ${hashOf(root, unit)}`;

/** systemctl, dpkg-query and apt-get of the scratch host. */
function createHostCommands(root: string, memory: string): Commands {
  const at = (file: string): string => path.join(file.startsWith('etc/') ? root : memory, file);
  const result = (status: number, stdout = '', stderr = ''): CommandResult => ({
    status,
    stdout,
    stderr,
    ended: 'exit',
  });
  const services = (): Record<string, string> => JSON.parse(fs.readFileSync(at('run/services.json'), 'utf8'));
  const packages = (): string[] =>
    fs.readFileSync(at('var/lib/dpkg-list'), 'utf8').split('\n').filter(Boolean);
  const setPackages = (names: readonly string[]): void =>
    fs.writeFileSync(at('var/lib/dpkg-list'), `${names.join('\n')}\n`);
  const systemctl = (action: string, unit: string): CommandResult => {
    const {[unit]: state, ...others} = services();
    const save = (now: string | undefined): CommandResult => {
      fs.writeFileSync(
        at('run/services.json'),
        JSON.stringify(now === undefined ? others : {[unit]: now, ...others}),
      );
      return result(0);
    };
    if (action === 'is-active') return result(state === undefined ? 3 : 0);
    if (action === 'reset-failed') return result(0);
    if (action === 'stop') return save(undefined);
    if (action === 'reload' && state === undefined) return result(1, '', 'not running');
    return save(running(root, unit));
  };
  return {
    async run(argv: Argv) {
      const [program, action = '', ...rest] = argv;
      if (program === 'systemctl') return systemctl(action, rest[0] ?? '');
      if (program === 'dpkg-query')
        return result(
          0,
          packages()
            .map(name => `${name} ii\n`)
            .join(''),
        );
      if (program === 'apt-get' && rest.includes('--simulate')) {
        const names = rest.slice(rest.indexOf('--') + 1);
        const lines =
          action === 'install'
            ? [...names, 'libopendkim11'].map(name => `Inst ${name} (1 Debian:13 [amd64])`)
            : // What needs a package goes with it.
              packages()
                .filter(name => names.includes(name) || name.startsWith('opendkim-'))
                .map(name => `Purg ${name} [1]`);
        return result(0, lines.map(line => `${line}\n`).join(''));
      }
      if (program === 'apt-get' && action === 'install') {
        const names = rest.slice(rest.indexOf('--') + 1);
        setPackages([...packages(), ...names, 'libopendkim11']);
        try {
          fs.writeFileSync(at('etc/packaged.conf'), 'from the package\n');
        } catch (error) {
          // As dpkg does on a full or read-only disk: half installed.
          return result(100, '', String(error));
        }
        return result(0);
      }
      if (program === 'apt-get' && action === 'purge') {
        const names = rest.slice(rest.indexOf('--') + 1);
        try {
          if (names.includes('opendkim')) fs.rmSync(at('etc/packaged.conf'), {force: true});
        } catch (error) {
          return result(100, '', String(error));
        }
        setPackages(packages().filter(name => !names.includes(name)));
        return result(0);
      }
      if (program === 'dpkg' || program === 'true') return result(0);
      return result(1, '', `${argv.join(' ')}: not known here`);
    },
  };
}

export interface WorldOptions {
  /** True to use chown(2): for root. */
  readonly realOwners?: boolean;
  /** Where packages and services remember their state, if not in the world itself (which may run full). */
  readonly memory?: string;
}

export function openWorld(rootPath: string, options: WorldOptions = {}): World {
  const root = absolute(rootPath);
  const ledger = (): OwnerLedger => createOwnerLedger({file: path.join(rootPath, '.ledger')});
  const files = createFiles({root, owners: options.realOwners === true ? 'real' : ledger()});
  const commands = createHostCommands(rootPath, options.memory ?? rootPath);
  const ports: Ports = {
    ...createRealPorts({root}),
    files,
    commands,
    users: createUsers(files),
    clock: createClock(),
    random: createRandom(),
    locks: createLocks({path: absolute(path.join(options.memory ?? rootPath, 'run/waxseal.lock'))}),
    process: {pid: process.pid, uid: 0, privileged: true},
  };
  const hooks: ApplyHooks = {
    proof: async () => ({checks: [], passed: true}),
    ready: async (step: ServiceStep) => {
      const {status} = await ports.commands.run(step.ready.activeArgv ?? ['true']);
      return status === 0 ? undefined : {id: 'service.inactive', message: `${step.unit} is down.`, hint: ''};
    },
  };
  return {root, ports, hooks, real: host => path.join(rootPath, host)};
}

const service = (unit: string, action: 'restart' | 'reload', wasActive: boolean): ServiceStep => ({
  kind: 'service',
  id: `service:${unit}`,
  why: 'so that it takes the change',
  unit,
  action,
  argv: ['systemctl', action, unit],
  timeoutMs: 1000,
  ready: {activeArgv: ['systemctl', 'is-active', unit], withinMs: 50, steadyMs: 0},
  wasActive,
});

const owner = (user: string, group: string) => ({user, group});

/** One step of every kind, in the order of a real set-up. */
export async function setupPlan(files: Files, ports: Pick<Ports, 'clock' | 'random'>): Promise<Plan> {
  const before = async (file: string): Promise<Before> => asBefore(await observe(files, absolute(file)));
  const text = async (file: string): Promise<string> =>
    Buffer.from((await files.read(absolute(file))) ?? []).toString();
  const keyPath = absolute('/var/lib/waxseal/staged.pem');
  const write = async (
    file: string,
    next: string | ((old: string) => string),
    who: ReturnType<typeof owner>,
    mode: number,
  ): Promise<Step> => {
    const old = await text(file);
    return {
      kind: 'file',
      id: `file:${file}`,
      why: 'why',
      path: absolute(file),
      before: await before(file),
      ...((await before(file)).state === 'absent' ? {} : {beforeText: old}),
      after: {
        content: {from: 'text', text: typeof next === 'string' ? next : next(old)},
        owner: who,
        mode,
      },
    };
  };
  const directory = async (name: string, who: ReturnType<typeof owner>, mode: number): Promise<Step> => ({
    kind: 'directory',
    id: `dir:${name}`,
    why: 'why',
    path: absolute(name),
    before: await before(name),
    owner: who,
    mode,
  });
  const steps: Step[] = [
    {kind: 'package', id: 'package:opendkim', why: 'why', manager: 'apt', names: ['opendkim']},
    await directory('/etc/dkimkeys', owner('opendkim', 'opendkim'), 0o700),
    await directory('/etc/dkimkeys/example.org', owner('opendkim', 'opendkim'), 0o700),
    await directory('/etc/opendkim', owner('root', 'opendkim'), 0o750),
    {
      kind: 'file',
      id: 'file:key',
      why: 'why',
      path: absolute('/etc/dkimkeys/example.org/202611.private'),
      before: {state: 'absent'},
      after: {
        content: {from: 'secret', path: keyPath, sha256: sha256Of(SECRET)},
        owner: owner('opendkim', 'opendkim'),
        mode: 0o600,
      },
    },
    await write(
      '/etc/opendkim/KeyTable',
      'k example.org:202611:/etc/dkimkeys/example.org/202611.private\n',
      owner('root', 'root'),
      0o644,
    ),
    await write('/etc/opendkim/TrustedHosts', old => old, owner('root', 'opendkim'), 0o640),
    await write(
      '/etc/opendkim.conf',
      old => `${old}\nKeyTable\tfile:/etc/opendkim/KeyTable\n`,
      owner('root', 'root'),
      0o644,
    ),
    await directory('/var/spool/postfix/opendkim', owner('opendkim', 'postfix'), 0o2750),
    {
      kind: 'remove',
      id: 'remove:old',
      why: 'why',
      path: absolute('/etc/postfix/old.cf'),
      before: await before('/etc/postfix/old.cf'),
      beforeText: await text('/etc/postfix/old.cf'),
    },
    service('opendkim.service', 'restart', false),
    await write(
      '/etc/postfix/main.cf',
      old => old.replace('smtpd_milters =', 'smtpd_milters = unix:opendkim/opendkim.sock'),
      owner('root', 'root'),
      0o644,
    ),
    {kind: 'check', id: 'check:postfix', why: 'why', argv: ['true'], timeoutMs: 1000},
    service('postfix.service', 'reload', true),
  ];
  return makePlan({purpose: 'setup', title: 'DKIM for example.org', domains: [], steps, ...ports});
}

/** The staged key that the plan copies. */
export async function stageSecret(files: Files): Promise<void> {
  await files.makeDirectory(absolute('/var/lib/waxseal'), {mode: 0o700, uid: 0, gid: 0});
  await files.create(absolute('/var/lib/waxseal/staged.pem'), Buffer.from(SECRET), {
    mode: 0o600,
    uid: 0,
    gid: 0,
  });
}

/** The whole host as text, without waxseal's own directory: content, kind, mode, owner, link targets. */
export async function fingerprint(world: World): Promise<string> {
  const lines: string[] = [];
  const visit = async (host: AbsolutePath): Promise<void> => {
    if (['/var/lib/waxseal', '/.ledger', '/run/waxseal.lock'].includes(host)) return;
    const stat = await world.ports.files.stat(host);
    if (stat === undefined) return;
    const head = `${host} ${stat.kind} ${stat.mode.toString(8)} ${stat.uid}:${stat.gid}`;
    if (stat.kind === 'directory') {
      lines.push(head);
      for (const name of (await world.ports.files.list(host)) ?? []) {
        await visit(absolute(host === '/' ? `/${name}` : `${host}/${name}`));
      }
    } else if (stat.kind === 'symlink') {
      lines.push(`${head} -> ${await world.ports.files.readLink(host)}`);
    } else {
      lines.push(`${head} ${JSON.stringify(fs.readFileSync(world.real(host), 'utf8'))}`);
    }
  };
  await visit(absolute('/'));
  return lines.join('\n');
}
