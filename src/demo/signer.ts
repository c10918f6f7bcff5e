/**
 * The sandbox's signer: reads the same configuration files as OpenDKIM and answers as it does (messages and exit
 * statuses as Debian's 2.11 gives them), with waxseal's own engine and milter server.
 */

import {createPrivateKey, type KeyObject} from 'node:crypto';
import {chmodSync, constants, existsSync, renameSync, rmSync, statSync} from 'node:fs';
import {open} from 'node:fs/promises';
import {createServer, type Server, type Socket} from 'node:net';
import {basename, dirname} from 'node:path';
import {signMessageSync} from '../dkim/index.ts';
import {parseDomain, parseSelector} from '../domain/names.ts';
import {type AbsolutePath, parentOf, parseAbsolutePath} from '../domain/paths.ts';
import {matchesWildcard} from '../domain/scan.ts';
import {type MilterAnswer, type MilterSession, serveMilter} from '../milter/server.ts';
import {coversHost} from '../services/opendkim/decide/hosts.ts';
import {definitions, effective, parseDataSet} from '../services/opendkim/parse.ts';
import {parseSocket, parseUmask} from '../services/opendkim/socket.ts';
import {labelOf, parseTable, type TableRow} from '../services/opendkim/tables.ts';
import {ACCOUNTS, type Machine} from './machine.ts';

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
  const settings = await readSettings(machine, configFile);
  if (settings === undefined) return `${NAME}: ${configFile}: open(): No such file or directory`;
  const said = (what: string): string => `${NAME}: ${configFile}: ${what}`;
  const mode = settings['mode'];
  if (mode !== undefined && !/^[sv]+$/.test(mode)) return said(`unknown mode "${mode}"`);
  for (const name of ['internalhosts', 'externalignorelist', 'signingtable', 'keytable']) {
    const value = settings[name];
    if (value === undefined) continue;
    const missing = await missingSet(machine, value);
    if (missing !== undefined) return said(`${missing}: dkimf_db_open(): No such file or directory`);
  }
  const {keytable, signingtable, setuppolicyscript, keyfile} = settings;
  if (keytable !== undefined && signingtable === undefined && setuppolicyscript === undefined) {
    return said('KeyTable requires either SigningTable or SetupPolicyScript');
  }
  if (signingtable !== undefined && keytable === undefined)
    return said('use of SigningTable requires KeyTable');
  // With tables the single key is not read.
  return keyfile === undefined || keytable !== undefined ? '' : await wrongKeyFile(machine, keyfile, said);
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

type Settings = Readonly<Record<string, string>>;

async function readSettings(machine: Machine, configFile: AbsolutePath): Promise<Settings | undefined> {
  const text = await machine.text(configFile);
  if (text === undefined) return undefined;
  return effective(definitions(configFile, file => (file === configFile ? text : undefined)));
}

/** Starts a signer on its socket. */
export async function startSigner(machine: Machine, options: SignerOptions): Promise<SignerStart> {
  const wrong = await checkConfiguration(machine, options.configFile);
  if (wrong !== '') return refused(78, wrong);
  const settings = (await readSettings(machine, options.configFile)) ?? {};
  const wanted = options.socket ?? settings['socket'];
  if (wanted === undefined) return refused(78, `${NAME}: milter socket must be specified`);
  const endpoint = parseSocket(wanted);
  if (endpoint === undefined) {
    return refused(69, `OpenDKIM Filter: unknown port name ${wanted.replace(/^inet6?:/i, '')}`);
  }
  const inMemory = await Tables.load(machine, options.configFile, settings);
  const connections = new Set<Socket>();
  const server = createServer(stream => {
    connections.add(stream);
    stream.on('close', () => connections.delete(stream)).on('error', () => stream.destroy());
    void inMemory
      .fresh()
      .then(tables =>
        serveMilter(stream, (step, session) =>
          step === 'end-of-message' ? judge(machine, tables, session) : {verdict: 'continue'},
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

  const pidFile = options.pidFile ?? settings['pidfile'];
  const pidPath = pidFile === undefined ? undefined : parseAbsolutePath(pidFile);
  const pid = machine.newPid();
  if (pidPath?.ok === true) {
    const {uid, gid} = machine.account('opendkim');
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
  return {running: true, stop, reload: () => inMemory.reload()};
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
  const {uid, gid} = machine.account('opendkim');
  const directory = await machine.files.stat(parentOf(socket));
  const setgid = directory !== undefined && (directory.mode & 0o2000) !== 0;
  const real = machine.real(socket);
  chmodSync(real, 0o777 & ~(parseUmask(settings['umask']) ?? 0o022));
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

/**
 * Configuration and tables as the daemon has them in memory; keys are read for each message
 * (daemons/opendkim.md#reload).
 */
interface InMemory {
  readonly settings: Settings;
  readonly keyTable: string;
  readonly signingTable: string;
  readonly internalHosts: readonly string[];
}

class Tables {
  readonly #machine: Machine;
  readonly #configFile: AbsolutePath;
  #tables: Promise<InMemory>;
  #isStale = false;

  private constructor(machine: Machine, configFile: AbsolutePath, tables: InMemory) {
    this.#machine = machine;
    this.#configFile = configFile;
    this.#tables = Promise.resolve(tables);
  }

  static async load(machine: Machine, configFile: AbsolutePath, settings: Settings): Promise<Tables> {
    return new Tables(machine, configFile, await readTables(machine, settings));
  }

  reload(): void {
    this.#isStale = true;
  }

  /** For a connection that has just come. All that come while the files are read wait for them, as in the daemon. */
  fresh(): Promise<InMemory> {
    if (this.#isStale) {
      this.#isStale = false;
      this.#tables = this.#tables.then(tables => this.#reread(tables));
    }
    return this.#tables;
  }

  /** Where the new configuration is wrong, the old one stays. */
  async #reread(old: InMemory): Promise<InMemory> {
    const wrong = (await this.#unreadable()) ?? (await checkConfiguration(this.#machine, this.#configFile));
    const settings = wrong === '' ? await readSettings(this.#machine, this.#configFile) : undefined;
    if (settings === undefined) {
      this.#machine.journal(NAME, wrong.replace(`${NAME}: `, ''));
      return old;
    }
    const tables = await readTables(this.#machine, settings);
    this.#machine.journal(NAME, `configuration reloaded from ${this.#configFile}`);
    return tables;
  }

  /** A reload happens as the daemon's user; a start as root. */
  async #unreadable(): Promise<string | undefined> {
    if (await this.#machine.mayAccess(ACCOUNT, this.#configFile, 4)) return undefined;
    return `${this.#configFile}: configuration error at line 0: error reading configuration file`;
  }
}

const readTables = async (machine: Machine, settings: Settings): Promise<InMemory> => ({
  settings,
  keyTable: await tableText(machine, settings['keytable'] ?? ''),
  signingTable: await tableText(machine, settings['signingtable'] ?? ''),
  internalHosts: await listOf(machine, settings['internalhosts'] ?? '127.0.0.1,::1'),
});

const CONTINUE: MilterAnswer = {verdict: 'accept'};

/** MinimumKeyBits. */
const LEAST_BITS = 1024;

/** The end of a message: sign it where host and author are ours. */
async function judge(machine: Machine, tables: InMemory, session: MilterSession): Promise<MilterAnswer> {
  const {settings} = tables;
  const queueId = session.macros['i'] ?? 'NOQUEUE';
  const log = (line: string): void => machine.journal(NAME, `${queueId}: ${line}`);
  const why = (line: string): void => {
    if (/^(yes|true|1)$/i.test(settings['logwhy'] ?? 'no')) log(line);
  };
  if (!/s/.test(settings['mode'] ?? 'sv') || settings['keytable'] === undefined) return CONTINUE;
  if (!isInternal(tables.internalHosts, session)) {
    why(`${session.client.host} [${session.client.address}] not internal`);
    why('not authenticated');
    return CONTINUE;
  }
  const from = session.headers.find(({name}) => name.toLowerCase() === 'from')?.value ?? '';
  const author = (/<([^<>]*)>\s*$/.exec(from)?.[1] ?? from).trim().toLowerCase();
  if (!/^[^@]+@[^@]+$/.test(author)) {
    log(`can't parse From: header value '${from}'`);
    return CONTINUE;
  }
  const row = signingRow(settings['signingtable'] ?? '', tables.signingTable, author);
  if (row === undefined) {
    why(`no signing table match for '${author}'`);
    return CONTINUE;
  }
  // `key:%` is no signer that fits any address: unsigned, and nothing is said (daemons/opendkim.md#tables).
  if (/:%$/.test(row.value)) return CONTINUE;
  const key = keyNamed(tables.keyTable, labelOf(row.value), author.slice(author.indexOf('@') + 1));
  if (typeof key === 'string') {
    for (const line of key.split('\n')) log(line);
    return {verdict: 'tempfail'};
  }
  return await sign(machine, settings, session, key, log);
}

interface SigningKey {
  readonly label: string;
  readonly domain: string;
  readonly selector: string;
  readonly path: string;
}

async function sign(
  machine: Machine,
  settings: Settings,
  session: MilterSession,
  row: SigningKey,
  log: (line: string) => void,
): Promise<MilterAnswer> {
  const loaded = await loadKey(machine, row.label, row.path);
  if (typeof loaded === 'string') {
    log(loaded);
    log(`error loading key '${row.label}'`);
    return {verdict: 'tempfail'};
  }
  const domain = parseDomain(row.domain);
  const selector = parseSelector(row.selector);
  if (!domain.ok || !selector.ok) return {verdict: 'tempfail'};
  const key = privateKey(loaded);
  if (typeof key === 'string') {
    log(`dkim_eom(): resource unavailable: ${key}`);
    return {verdict: {code: 451, text: '4.7.0 resource unavailable'}};
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < LEAST_BITS) {
    log(`signature generation error: private key too small (${bits} bits, need at least ${LEAST_BITS})`);
    return {verdict: {code: 550, text: '5.7.0 DKIM signing error'}};
  }
  const [header = 'simple', body = 'simple'] = (settings['canonicalization'] ?? 'simple/simple').split('/');
  const field = signMessageSync(messageOf(session), {
    domain: domain.value,
    selector: selector.value,
    key,
    canonicalization: {
      header: header === 'relaxed' ? 'relaxed' : 'simple',
      body: body === 'relaxed' ? 'relaxed' : 'simple',
    },
    oversign: (settings['oversignheaders'] ?? '').split(',').filter(name => name !== ''),
    timestamp: Math.floor(machine.clock.now().getTime() / 1000),
  });
  log(`DKIM-Signature field added (s=${row.selector}, d=${row.domain})`);
  const value = field
    .slice(field.indexOf(':') + 1)
    .replace(/^ /, '')
    .replaceAll('\r\n', '\n');
  return {verdict: 'accept', insert: [{name: 'DKIM-Signature', value}]};
}

/** The key, or what OpenSSL says of the file. */
function privateKey(pem: Uint8Array): KeyObject | string {
  try {
    const key = createPrivateKey(Buffer.from(pem));
    return key.asymmetricKeyType === 'rsa' ? key : 'EVP_PKEY_get1_RSA() failed';
  } catch {
    return 'd2i_PrivateKey_bio() failed';
  }
}

/**
 * Who is signed for: hosts of the list by address or name, and whoever has logged in
 * (daemons/opendkim.md#internal-hosts).
 */
function isInternal(internal: readonly string[], {client, macros}: MilterSession): boolean {
  if ((macros['{auth_type}'] ?? '') !== '') return true;
  if (coversHost(internal, client.address || '127.0.0.1')) return true;
  const name = client.host.toLowerCase();
  if (name.startsWith('[')) return false;
  return internal.some(entry => entry === name || (entry.startsWith('.') && name.endsWith(entry)));
}

function messageOf(session: MilterSession): Uint8Array {
  const head = session.headers
    .map(({name, value}) => `${name}: ${value.replace(/^ /, '').replaceAll(/\r?\n/g, '\r\n')}\r\n`)
    .join('');
  return Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), session.body]);
}

async function listOf(machine: Machine, value: string): Promise<readonly string[]> {
  const set = parseDataSet(value);
  if (set.kind === 'list') return set.entries;
  if (set.kind === 'unsupported') return [];
  return parseTable((await machine.text(set.path)) ?? '').map(({key}) => key);
}

async function tableText(machine: Machine, value: string): Promise<string> {
  const set = parseDataSet(value);
  return set.kind === 'file' || set.kind === 'refile' ? ((await machine.text(set.path)) ?? '') : '';
}

/** First row of the signing table whose pattern fits the author (daemons/opendkim.md#tables). */
function signingRow(dataSet: string, text: string, author: string): TableRow | undefined {
  const rows = parseTable(text);
  if (parseDataSet(dataSet).kind === 'refile') {
    return rows.find(({key}) => matchesWildcard(key.toLowerCase(), author));
  }
  // Tables without wildcards are asked for one name after the other, the most exact first.
  for (const name of lookups(author)) {
    const row = rows.find(({key}) => key.toLowerCase() === name);
    if (row !== undefined) return row;
  }
  return undefined;
}

/** `u@a.example.com`, `a.example.com`, `u@.example.com`, `.example.com`, …, `u@*`, `*`. */
function lookups(author: string): readonly string[] {
  const at = author.indexOf('@');
  const [user, host] = [author.slice(0, at), author.slice(at + 1)];
  const names = [author, host];
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
    names.push(`${user}@${host.slice(dot)}`, host.slice(dot));
  }
  return [...names, `${user}@*`, '*'];
}

/** The row of the key table, `%` put in its place; the log lines where there is none or it is broken. */
function keyNamed(text: string, label: string, from: string): SigningKey | string {
  const row = parseTable(text).find(({key}) => key === label);
  if (row === undefined) return `signing table references unknown key '${label}'`;
  const match = /^([^:]+):([^:]+):(.+)$/s.exec(row.value);
  if (match === null) return `KeyTable entry for '${label}' corrupt\nerror loading key '${label}'`;
  const [, domain = '', selector = '', path = ''] = match;
  return {
    ...{label, selector},
    domain: domain === '%' ? from : domain,
    path: path.replaceAll('%', from),
  };
}

/**
 * The key's PEM, or the log line with which OpenDKIM refuses it (RequireSafeKeys, daemons/opendkim.md#key-files).
 */
async function loadKey(machine: Machine, label: string, file: string): Promise<string | Uint8Array> {
  const place = parseAbsolutePath(file);
  const stat = place.ok ? await machine.files.stat(place.value) : undefined;
  if (!place.ok || stat === undefined) return `can't load key from ${file}: No such file or directory`;
  if (stat.kind !== 'file') return `can't load key from ${file}: Not a regular file`;
  const unsafe = await unsafety(machine, place.value);
  if (unsafe !== undefined) return `${label}: key data is not secure: ${unsafe}`;
  if (!(await machine.mayAccess('opendkim', place.value, 4))) {
    return `can't load key from ${file}: Permission denied`;
  }
  return (await machine.files.read(place.value)) ?? new Uint8Array();
}

/** RequireSafeKeys: why others could have read or changed a file, for it and every directory above it. */
async function unsafety(machine: Machine, file: AbsolutePath): Promise<string | undefined> {
  const {uid} = machine.account(ACCOUNT);
  const isForeign = (owner: number): boolean => owner !== uid && owner !== 0;
  const stat = await machine.files.stat(file);
  if (stat === undefined) return undefined;
  if ((stat.mode & 0o006) !== 0) return `${file} can be read or written by other users`;
  const shared = (stat.mode & 0o060) === 0 ? undefined : otherMember(stat.gid);
  if (shared !== undefined) {
    return `${file} is in group ${stat.gid} which has multiple users (e.g., "${shared}")`;
  }
  if (isForeign(stat.uid)) {
    return `${file} is not owned by the executing uid (${uid}) or the superuser`;
  }
  // The scratch root itself stands for `/`, which belongs to root and is closed to writing.
  for (let at = parentOf(file); at !== '/'; at = parentOf(at)) {
    const directory = await machine.files.stat(at);
    if (directory === undefined) return undefined;
    if ((directory.mode & 0o002) !== 0) return `${at} can be read or written by other users`;
    if ((directory.mode & 0o200) !== 0 && isForeign(directory.uid)) {
      return `${at} is writeable and owned by uid ${directory.uid} which is not the executing uid (${uid}) or the superuser`;
    }
    const member = (directory.mode & 0o020) === 0 ? undefined : otherMember(directory.gid);
    // OpenDKIM prints the name of its user here instead of the path.
    if (member !== undefined) {
      return `${ACCOUNT} is in group ${directory.gid} which has multiple users (e.g., "${member}")`;
    }
  }
  return undefined;
}

/** Somebody else than the daemon and root who is in the group. */
const otherMember = (gid: number): string | undefined =>
  ACCOUNTS.find(
    ({name, gid: primary, groups}) =>
      name !== ACCOUNT && name !== 'root' && (primary === gid || groups.includes(gid)),
  )?.name;
