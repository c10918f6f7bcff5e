/**
 * The sandbox's signer: reads the same configuration files as OpenDKIM, decides as ./services/opendkim/decide says that it
 * does, and signs with waxseal's own engine and milter server. Complaints of a start are in the words of Debian's 2.11.
 */

import {createPrivateKey} from 'node:crypto';
import {chmodSync, constants, existsSync, renameSync, rmSync, statSync} from 'node:fs';
import {open} from 'node:fs/promises';
import {createServer, type Server, type Socket} from 'node:net';
import {basename, dirname} from 'node:path';
import {signMessageSync} from '../dkim/index.ts';
import {parseDomain, parseSelector} from '../domain/names.ts';
import {type AbsolutePath, parentOf, parseAbsolutePath} from '../domain/paths.ts';
import type {HeaderField} from '../milter/packets.ts';
import {type MilterAnswer, type MilterSession, serveMilter} from '../milter/server.ts';
import {wouldSign} from '../services/opendkim/decide/decide.ts';
import {configurationTexts, lying} from '../services/opendkim/decide/instances.ts';
import {type ReadModel, readModel} from '../services/opendkim/decide/read.ts';
import {effectiveSettings, flag, type Settings} from '../services/opendkim/decide/settings.ts';
import {parseDataSet} from '../services/opendkim/parse.ts';
import {parseSocket, parseUmask} from '../services/opendkim/socket.ts';
import type {SignedBy} from '../services/signer.ts';
import type {Machine} from './machine.ts';

export interface SignerOptions {
  readonly configFile: AbsolutePath;
  /** `-p` and `-P`. */
  readonly socket?: string;
  readonly pidFile?: string;
}

/** The signer runs, or ended with a status of sysexits(3) and a line on standard error. */
export type SignerStart =
  | {
      readonly running: true;
      stop(): Promise<void>;
      /**
       * SIGUSR1: configuration and tables are read again when the next connection comes
       * (daemons/opendkim.md#reload).
       */
      reload(): void;
    }
  | {readonly running: false; readonly status: number; readonly message: string};

const NAME = 'opendkim';
/** The account it runs as. */
const ACCOUNT = 'opendkim';

const refused = (status: number, message: string): SignerStart => ({running: false, status, message});

/** Reads the configuration; the text that `opendkim -n` would print where it is wrong, '' where it is right. */
export async function checkConfiguration(machine: Machine, configFile: AbsolutePath): Promise<string> {
  const texts = await configurationTexts(machine.files, configFile);
  if (texts.get(configFile)?.text === undefined)
    return `${NAME}: ${configFile}: open(): No such file or directory`;
  const {options, started} = lying(configFile, '');
  const settings = effectiveSettings(configFile, path => texts.get(path)?.text, options, started);
  const said = (what: string): string => `${NAME}: ${configFile}: ${what}`;
  const mode = settings('Mode')?.value;
  if (mode !== undefined && !/^[sv]+$/.test(mode)) return said(`unknown mode "${mode}"`);
  for (const name of ['InternalHosts', 'ExternalIgnoreList', 'SigningTable', 'KeyTable']) {
    const value = settings(name)?.value;
    if (value === undefined) continue;
    const missing = await missingSet(machine, value);
    if (missing !== undefined) return said(`${missing}: dkimf_db_open(): No such file or directory`);
  }
  const [keys, signing] = [settings('KeyTable'), settings('SigningTable')];
  if (keys !== undefined && signing === undefined && settings('SetupPolicyScript') === undefined) {
    return said('KeyTable requires either SigningTable or SetupPolicyScript');
  }
  if (signing !== undefined && keys === undefined) return said('use of SigningTable requires KeyTable');
  // With tables the single key is not read.
  const single = keys === undefined ? settings('KeyFile')?.value : undefined;
  return single === undefined ? '' : await wrongKeyFile(machine, single, said);
}

/** What the daemon calls a data set whose file is not there; undefined where it is, or is no file. */
async function missingSet(machine: Machine, value: string): Promise<string | undefined> {
  const set = parseDataSet(value);
  const isFile = set.kind === 'file' || set.kind === 'refile';
  const [, path = ''] = isFile ? [] : (/^(?:b?db|lua):(\/.*)$/.exec(value) ?? []);
  const file = isFile ? set.path : parsed(path);
  if (file === undefined || (await machine.files.read(file)) !== undefined) return undefined;
  return isFile ? file : value;
}

const parsed = (text: string): AbsolutePath | undefined => {
  const path = parseAbsolutePath(text);
  return path.ok ? path.value : undefined;
};

/** The single key is read as root when the daemon starts (daemons/opendkim.md#key-files). */
async function wrongKeyFile(
  machine: Machine,
  keyFile: string,
  said: (what: string) => string,
): Promise<string> {
  const path = parsed(keyFile);
  const stat = path === undefined ? undefined : await machine.files.stat(path);
  if (stat === undefined) return said(`${keyFile}: open(): No such file or directory`);
  return (stat.mode & 0o006) === 0 ? '' : said(`${keyFile} can be read or written by other users`);
}

export async function startSigner(machine: Machine, options: SignerOptions): Promise<SignerStart> {
  const wrong = await checkConfiguration(machine, options.configFile);
  if (wrong !== '') return refused(78, wrong);
  const memory = await Memory.load(machine, options.configFile);
  const {settings} = memory.model;
  const wanted = options.socket ?? settings('Socket')?.value;
  if (wanted === undefined) return refused(78, `${NAME}: milter socket must be specified`);
  const endpoint = parseSocket(wanted);
  if (endpoint === undefined) {
    return refused(69, `OpenDKIM Filter: unknown port name ${wanted.replace(/^inet6?:/i, '')}`);
  }
  const connections = new Set<Socket>();
  const server = createServer(stream => {
    connections.add(stream);
    stream.on('close', () => connections.delete(stream)).on('error', () => stream.destroy());
    void memory
      .fresh()
      .then(read =>
        serveMilter(stream, (step, session) =>
          step === 'end-of-message' ? judge(machine, read, session) : {verdict: 'continue'},
        ),
      );
  });
  const place = endpoint.kind === 'tcp' ? {port: 0, host: '127.0.0.1'} : {path: machine.real(endpoint.path)};
  if (endpoint.kind === 'unix') {
    const directory = await machine.files.stat(parentOf(endpoint.path));
    if (directory === undefined) {
      return refused(69, `OpenDKIM Filter: Unable to bind to port ${wanted}: No such file or directory`);
    }
    const mayBind =
      (await machine.mayAccess(ACCOUNT, parentOf(endpoint.path), 2)) &&
      (await machine.mayAccess(ACCOUNT, parentOf(endpoint.path), 1));
    if (!mayBind) {
      return refused(69, `OpenDKIM Filter: Unable to bind to port ${wanted}: Permission denied`);
    }
    rmSync(machine.real(endpoint.path), {force: true});
  }
  if (endpoint.kind === 'tcp' && machine.outsidePort(endpoint.port) !== undefined) {
    return refused(69, `OpenDKIM Filter: Unable to bind to port ${wanted}: Address already in use`);
  }
  const failure = await listen(server, place);
  if (failure !== undefined) {
    return refused(69, `OpenDKIM Filter: Unable to bind to port ${wanted}: ${failure}`);
  }
  if (endpoint.kind === 'unix') await own(machine, endpoint.path, settings);
  else machine.openPort(endpoint.port, server);

  const pidFile = options.pidFile ?? settings('PidFile')?.value;
  const pidPath = pidFile === undefined ? undefined : parseAbsolutePath(pidFile);
  const pid = machine.newPid();
  if (pidPath?.ok === true) {
    const {uid, gid} = machine.account(ACCOUNT);
    await machine.files.replace(pidPath.value, new TextEncoder().encode(`${pid}\n`), {mode: 0o644, uid, gid});
  }
  const stop = async (): Promise<void> => {
    if (endpoint.kind === 'tcp') machine.closePort(endpoint.port);
    machine.processes.delete(pid);
    const closed = new Promise<void>(resolve => {
      // Node removes the socket when its server closes; OpenDKIM leaves it behind (daemons/opendkim.md#socket).
      const leave = endpoint.kind === 'unix' ? keepSocket(machine.real(endpoint.path)) : () => {};
      server.close(() => {
        leave();
        resolve();
      });
    });
    for (const connection of connections) connection.destroy();
    await closed;
  };
  machine.processes.set(pid, stop);
  machine.journal('opendkim', 'OpenDKIM Filter v2.11.0 starting');
  return {running: true, stop, reload: () => memory.reload()};
}

// sun_path of unix(7) has 108 octets with its NUL; Node cuts a longer name off.
const MAX_UNIX_PATH = 107;

async function listen(
  server: Server,
  place: {port: number; host: string} | {path: string},
): Promise<string | undefined> {
  const failure = (at: typeof place): Promise<string | undefined> =>
    new Promise(resolve => {
      server.once('error', error => resolve(error.message));
      server.listen(at, () => resolve(undefined));
    });
  if (!('path' in place) || Buffer.byteLength(place.path) <= MAX_UNIX_PATH) return await failure(place);
  // The scratch directory may lie deep: a name through an open directory is short.
  const directory = await open(dirname(place.path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return await failure({path: `/proc/self/fd/${directory.fd}/${basename(place.path)}`});
  } finally {
    await directory.close();
  }
}

/** The socket belongs to the signer; a setgid directory hands its group on (daemons/opendkim.md#socket). */
async function own(machine: Machine, socket: AbsolutePath, settings: Settings): Promise<void> {
  const {uid, gid} = machine.account(ACCOUNT);
  const directory = await machine.files.stat(parentOf(socket));
  const setgid = directory !== undefined && (directory.mode & 0o2000) !== 0;
  const real = machine.real(socket);
  chmodSync(real, 0o777 & ~(parseUmask(settings('UMask')?.value) ?? 0o022));
  const {dev, ino} = statSync(real);
  machine.ledger.record(dev, ino, {uid, gid: setgid ? directory.gid : gid});
}

/** Moves the socket out of the way of its closing server; returns what brings it back. */
function keepSocket(path: string): () => void {
  const aside = `${path}.closing`;
  if (!existsSync(path)) return () => {};
  renameSync(path, aside);
  return () => {
    // A successor may have bound the name meanwhile.
    if (existsSync(path) || !existsSync(aside)) rmSync(aside, {force: true});
    else renameSync(aside, path);
  };
}

/** Configuration and tables are in memory; keys are read for each message (daemons/opendkim.md#reload). */
class Memory {
  readonly #machine: Machine;
  readonly #configFile: AbsolutePath;
  readonly model: ReadModel['model'];
  #read: Promise<ReadModel>;
  #isStale = false;

  private constructor(machine: Machine, configFile: AbsolutePath, read: ReadModel) {
    this.#machine = machine;
    this.#configFile = configFile;
    this.model = read.model;
    this.#read = Promise.resolve(read);
  }

  static async load(machine: Machine, configFile: AbsolutePath): Promise<Memory> {
    return new Memory(machine, configFile, await readConfiguration(machine, configFile));
  }

  reload(): void {
    this.#isStale = true;
  }

  /** For a connection that has just come. All that come while the files are read wait for them, as in the daemon. */
  fresh(): Promise<ReadModel> {
    if (this.#isStale) {
      this.#isStale = false;
      this.#read = this.#read.then(old => this.#reread(old));
    }
    return this.#read;
  }

  /** Where the new configuration is wrong, the old one stays. */
  async #reread(old: ReadModel): Promise<ReadModel> {
    const [machine, configFile] = [this.#machine, this.#configFile];
    const wrong = (await this.#unreadable()) ?? (await checkConfiguration(machine, configFile));
    if (wrong !== '') {
      machine.journal(NAME, wrong.replace(`${NAME}: `, ''));
      return old;
    }
    const read = await readConfiguration(machine, configFile);
    machine.journal(NAME, `configuration reloaded from ${configFile}`);
    return read;
  }

  /** A reload happens as the daemon's user; a start as root. */
  async #unreadable(): Promise<string | undefined> {
    if (await this.#machine.mayAccess(ACCOUNT, this.#configFile, 4)) return undefined;
    return `${this.#configFile}: configuration error at line 0: error reading configuration file`;
  }
}

const readConfiguration = async (machine: Machine, configFile: AbsolutePath): Promise<ReadModel> =>
  await readModel(machine, undefined, {...lying(configFile, ''), ids: machine.account(ACCOUNT)});

/** The end of a message: sign it where host and author are ours. */
async function judge(
  machine: Machine,
  {model, lookAtKeys}: ReadModel,
  session: MilterSession,
): Promise<MilterAnswer> {
  const {client, macros, recipients} = session;
  const header = session.headers.find(({name}) => name.toLowerCase() === 'from')?.value ?? '';
  const {outcome, by, decisions} = wouldSign(
    {...model, keyState: await lookAtKeys()},
    {
      from: (/<([^<>]*)>\s*$/.exec(header)?.[1] ?? header).trim(),
      client: {name: client.host.toLowerCase(), address: client.address},
      macros: new Map(Object.entries(macros)),
      recipients: recipients.map(recipient => recipient.replace(/^<(.*)>$/, '$1')),
    },
  );
  const log = (line: string): void => machine.journal(NAME, `${macros['i'] ?? 'NOQUEUE'}: ${line}`);
  const why = decisions.at(-1)?.says ?? '';
  if (outcome === 'signed') {
    const fields = (await Promise.all(by.map(each => sign(machine, model.settings, session, each)))).flat();
    if (fields.length < by.length) return {verdict: 'tempfail'};
    for (const {domain, selector} of by) log(`DKIM-Signature field added (s=${selector}, d=${domain})`);
    return {verdict: 'accept', insert: fields};
  }
  if (outcome !== 'unsigned' || flag(model.settings, 'LogWhy', false)) log(why);
  return {verdict: outcome === 'refused' ? 'tempfail' : 'accept'};
}

/** None with a key that stands in the table itself: the sandbox has none there. */
async function sign(
  machine: Machine,
  settings: Settings,
  session: MilterSession,
  {domain, selector, keyPath}: SignedBy,
): Promise<readonly HeaderField[]> {
  const names = {domain: parseDomain(domain), selector: parseSelector(selector)};
  const pem = keyPath === undefined ? undefined : await machine.files.read(keyPath);
  if (!names.domain.ok || !names.selector.ok || pem === undefined) return [];
  const canonicalization = settings('Canonicalization')?.value ?? 'simple/simple';
  const [header = 'simple', body = 'simple'] = canonicalization.split('/');
  const field = signMessageSync(messageOf(session), {
    domain: names.domain.value,
    selector: names.selector.value,
    key: createPrivateKey(Buffer.from(pem)),
    canonicalization: {
      header: header === 'relaxed' ? 'relaxed' : 'simple',
      body: body === 'relaxed' ? 'relaxed' : 'simple',
    },
    oversign: (settings('OversignHeaders')?.value ?? '').split(',').filter(name => name !== ''),
    timestamp: Math.floor(machine.clock.now().getTime() / 1000),
  });
  const value = field
    .slice(field.indexOf(':') + 1)
    .replace(/^ /, '')
    .replaceAll('\r\n', '\n');
  return [{name: 'DKIM-Signature', value}];
}

function messageOf(session: MilterSession): Uint8Array {
  const head = session.headers
    .map(({name, value}) => `${name}: ${value.replace(/^ /, '').replaceAll(/\r?\n/g, '\r\n')}\r\n`)
    .join('');
  return Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), session.body]);
}
