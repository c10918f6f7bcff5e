/**
 * The sandbox's signer: reads the same configuration files as OpenDKIM and answers as it does (messages and exit
 * statuses as Debian's 2.11 gives them), with waxseal's own engine and milter server.
 */
import {createPrivateKey} from 'node:crypto';
import {chmodSync, rmSync, statSync} from 'node:fs';
import {createServer, type Server} from 'node:net';
import {signMessageSync} from '../dkim/index.ts';
import {parseDomain, parseSelector} from '../domain/names.ts';
import {type AbsolutePath, parentOf, parseAbsolutePath} from '../domain/paths.ts';
import {type MilterAnswer, type MilterSession, serveMilter} from '../milter/server.ts';
import {definitions, effective, parseDataSet} from '../services/opendkim/parse.ts';
import {parseSocket, parseUmask} from '../services/opendkim/socket.ts';
import {coversHost, keyRows, labelOf, parseTable} from '../services/opendkim/tables.ts';
import type {Machine} from './machine.ts';

export interface SignerOptions {
  readonly configFile: AbsolutePath;
  /** `-p` and `-P`. */
  readonly socket?: string;
  readonly pidFile?: string;
}

/** The signer runs, or ended with a status of sysexits(3) and a line on standard error. */
export type SignerStart =
  | {readonly running: true; stop(): Promise<void>}
  | {readonly running: false; readonly status: number; readonly message: string};

const NAME = 'opendkim';

const refused = (status: number, message: string): SignerStart => ({running: false, status, message});

/** Reads the configuration; the text that `opendkim -n` would print where it is wrong, '' where it is right. */
export async function checkConfiguration(machine: Machine, configFile: AbsolutePath): Promise<string> {
  const settings = await readSettings(machine, configFile);
  if (settings === undefined) return `${NAME}: ${configFile}: open(): No such file or directory`;
  for (const name of ['keytable', 'signingtable', 'internalhosts', 'externalignorelist']) {
    const value = settings[name];
    if (value === undefined) continue;
    const set = parseDataSet(value);
    if (set.kind !== 'file' && set.kind !== 'refile') continue;
    if ((await machine.files.read(set.path)) === undefined) {
      return `${NAME}: ${configFile}: ${set.path}: dkimf_db_open(): No such file or directory`;
    }
  }
  if (settings['keytable'] !== undefined && settings['signingtable'] === undefined) {
    return `${NAME}: ${configFile}: KeyTable requires either SigningTable or SetupPolicyScript`;
  }
  if (settings['signingtable'] !== undefined && settings['keytable'] === undefined) {
    return `${NAME}: ${configFile}: use of SigningTable requires KeyTable`;
  }
  return '';
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
  if (endpoint === undefined) return refused(69, `OpenDKIM Filter: unknown port name ${wanted}`);

  const server = createServer(stream => {
    void serveMilter(stream, (step, session) =>
      step === 'end-of-message' ? judge(machine, settings, session) : {verdict: 'continue'},
    );
  });
  const place = endpoint.kind === 'tcp' ? {port: 0, host: '127.0.0.1'} : {path: machine.real(endpoint.path)};
  if (endpoint.kind === 'unix') {
    const directory = await machine.files.stat(parentOf(endpoint.path));
    if (directory === undefined) {
      return refused(69, `OpenDKIM Filter: Unable to bind to port ${wanted}: No such file or directory`);
    }
    rmSync(machine.real(endpoint.path), {force: true});
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
    await new Promise<void>(resolve => {
      server.close(() => resolve());
    });
    if (endpoint.kind === 'unix') rmSync(machine.real(endpoint.path), {force: true});
    else machine.closePort(endpoint.port);
  };
  machine.processes.set(pid, stop);
  machine.journal('opendkim', 'OpenDKIM Filter v2.11.0 starting');
  return {running: true, stop};
}

function listen(
  server: Server,
  place: {port: number; host: string} | {path: string},
): Promise<string | undefined> {
  return new Promise(resolve => {
    server.once('error', error => resolve(error.message));
    server.listen(place, () => resolve(undefined));
  });
}

/** The socket belongs to the signer; a setgid directory hands its group on (FACTS 2.5). */
async function own(machine: Machine, socket: AbsolutePath, settings: Settings): Promise<void> {
  const {uid, gid} = machine.account('opendkim');
  const directory = await machine.files.stat(parentOf(socket));
  const setgid = directory !== undefined && (directory.mode & 0o2000) !== 0;
  const real = machine.real(socket);
  chmodSync(real, 0o777 & ~(parseUmask(settings['umask']) ?? 0o022));
  const {dev, ino} = statSync(real);
  machine.ledger.record(dev, ino, {uid, gid: setgid ? directory.gid : gid});
}

const CONTINUE: MilterAnswer = {verdict: 'accept'};

/** The end of a message: sign it where host and author are ours. */
async function judge(machine: Machine, settings: Settings, session: MilterSession): Promise<MilterAnswer> {
  const queueId = session.macros['i'] ?? 'NOQUEUE';
  const log = (line: string): void => machine.journal('opendkim', `${queueId}: ${line}`);
  if (!/s/.test(settings['mode'] ?? 'sv') || settings['keytable'] === undefined) return CONTINUE;
  const internal = await listOf(machine, settings['internalhosts'] ?? '127.0.0.1,::1');
  const authenticated = (session.macros['{auth_type}'] ?? '') !== '';
  if (!authenticated && !coversHost(internal, session.client.address || '127.0.0.1')) {
    log(`${session.client.host} [${session.client.address}] not internal`);
    return CONTINUE;
  }
  const from = session.headers.find(({name}) => name.toLowerCase() === 'from')?.value ?? '';
  const author = /<([^<>]*)>\s*$/.exec(from)?.[1] ?? from.trim();
  const label = await signingLabel(machine, settings['signingtable'] ?? '', author.toLowerCase());
  if (label === undefined) {
    log(`no signing table match for '${author}'`);
    return CONTINUE;
  }
  const rows = keyRows(parseTable(await tableText(machine, settings['keytable'])));
  const row = rows.find(candidate => candidate.label === label);
  if (row === undefined) {
    log(`signing table references unknown key '${label}'`);
    return {verdict: 'tempfail'};
  }
  const loaded = await loadKey(machine, label, row.path);
  if (typeof loaded === 'string') {
    log(loaded);
    log(`error loading key '${label}'`);
    return {verdict: 'tempfail'};
  }
  const domain = parseDomain(row.domain);
  const selector = parseSelector(row.selector);
  if (!domain.ok || !selector.ok) return {verdict: 'tempfail'};
  const [header = 'simple', body = 'simple'] = (settings['canonicalization'] ?? 'simple/simple').split('/');
  const field = signMessageSync(messageOf(session), {
    domain: domain.value,
    selector: selector.value,
    key: createPrivateKey(Buffer.from(loaded)),
    canonicalization: {
      header: header === 'relaxed' ? 'relaxed' : 'simple',
      body: body === 'relaxed' ? 'relaxed' : 'simple',
    },
    timestamp: Math.floor(machine.clock.now().getTime() / 1000),
  });
  log(`DKIM-Signature field added (s=${row.selector}, d=${row.domain})`);
  const value = field
    .slice(field.indexOf(':') + 1)
    .replace(/^ /, '')
    .replaceAll('\r\n', '\n');
  return {verdict: 'accept', insert: [{name: 'DKIM-Signature', value}]};
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

/** First row of the signing table whose pattern fits the author (FACTS 2.3). */
async function signingLabel(machine: Machine, value: string, author: string): Promise<string | undefined> {
  const wildcards = parseDataSet(value).kind === 'refile';
  const rows = parseTable(await tableText(machine, value));
  const host = author.slice(author.lastIndexOf('@') + 1);
  const fits = (pattern: string): boolean => {
    if (wildcards) return glob(pattern.toLowerCase()).test(author);
    if (pattern === author || pattern === host) return true;
    return pattern.startsWith('.') && host.endsWith(pattern);
  };
  const row = rows.find(({key}) => fits(key));
  return row === undefined ? undefined : labelOf(row.value);
}

const glob = (pattern: string): RegExp =>
  new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`);

/** The key's PEM, or the log line with which OpenDKIM refuses it (RequireSafeKeys, FACTS 2.1). */
async function loadKey(machine: Machine, label: string, file: string): Promise<string | Uint8Array> {
  const place = parseAbsolutePath(file);
  const stat = place.ok ? await machine.files.stat(place.value) : undefined;
  if (!place.ok || stat === undefined) return `can't load key from ${file}: No such file or directory`;
  const {uid} = machine.account('opendkim');
  if ((stat.mode & 0o006) !== 0) {
    return `${label}: key data is not secure: ${file} can be read or written by other users`;
  }
  if (stat.uid !== uid && stat.uid !== 0) {
    return `${label}: key data is not secure: ${file} is not owned by the executing uid (${uid}) or the superuser`;
  }
  if (!(await machine.mayAccess('opendkim', place.value, 4))) {
    return `can't load key from ${file}: Permission denied`;
  }
  return (await machine.files.read(place.value)) ?? new Uint8Array();
}
