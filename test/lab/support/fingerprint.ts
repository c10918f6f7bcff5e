/**
 * What a host is, byte for byte: every file that differs from the pristine image (content, owner, mode, link target),
 * the state of its services, what waxseal or OpenDKIM have under /run, and which programs are running.
 *
 * The overlay makes this complete and quick: whatever has been written, created or deleted anywhere on the host is in
 * its upper layer, so the whole file system is covered without reading it.
 */
import {createHash} from 'node:crypto';
import {lstat, readdir, readFile, readlink} from 'node:fs/promises';
import path from 'node:path';
import type {Host} from './host.ts';
import {run} from './process.ts';

export interface Fingerprint {
  /** By absolute path; `absent` for something that the image has and the host has not. */
  readonly files: ReadonlyMap<string, string>;
  /** Access lists and extended attributes of the same paths, where they are not those of the image. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly services: ReadonlyMap<string, string>;
  readonly run: ReadonlyMap<string, string>;
  readonly processes: ReadonlyMap<string, string>;
}

/** waxseal's own memory: drafts, staged keys, journals, the undo list. */
export const STATE_DIRECTORY = '/var/lib/waxseal';

/** What a running host changes by itself: logs, queue, daemons' scratch files. Everything else counts. */
const VOLATILE: readonly RegExp[] = [
  /^\/(dev|proc|run|sys|tmp|var\/tmp)(\/|$)/,
  /^\/var\/log(\/|$)/,
  /^\/var\/lib\/systemd(\/|$)/,
  /^\/var\/lib\/postfix\//,
  /^\/var\/spool\/postfix\/(active|bounce|corrupt|defer|deferred|flush|hold|incoming|maildrop|pid|private|public|saved|trace)\//,
  /^\/(etc|var)\/\.updated$/,
  // Not on disk for good: terminals and histories of those who look at the host.
  /^\/root\/\.(bash_history|viminfo)$/,
];

const isVolatile = (name: string): boolean => VOLATILE.some(pattern => pattern.test(name));

async function describe(file: string): Promise<string | undefined> {
  const stat = await lstat(file).catch(() => undefined);
  if (stat === undefined) return undefined;
  const attributes = `${stat.uid}:${stat.gid} ${(stat.mode & 0o7777).toString(8).padStart(4, '0')}`;
  if (stat.isSymbolicLink()) return `link ${stat.uid}:${stat.gid} -> ${await readlink(file)}`;
  if (stat.isDirectory()) return `directory ${attributes}`;
  if (stat.isSocket()) return `socket ${attributes}`;
  if (stat.isFIFO()) return `pipe ${attributes}`;
  if (stat.isFile()) {
    const digest = createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
    return `file ${attributes} ${stat.size} ${digest}`;
  }
  return `device ${attributes} ${stat.rdev}`;
}

interface Found {
  readonly found: Map<string, string>;
  /** Whatever is in the upper layer, changed or not. */
  readonly touched: readonly string[];
}

async function files(host: Host): Promise<Found> {
  const found = new Map<string, string>();
  const touched: string[] = [];
  const visit = async (name: string): Promise<void> => {
    const changed = await readdir(path.join(host.changes, name)).catch(() => []);
    const below = await readdir(path.join(host.image, name)).catch(() => []);
    const above = new Set(await readdir(path.join(host.root, name)).catch(() => []));
    for (const entry of new Set([...changed, ...below.filter(entry => !above.has(entry))])) {
      const child = path.posix.join(name, entry);
      if (isVolatile(child)) continue;
      const now = await describe(path.join(host.root, child));
      const original = await describe(path.join(host.image, child));
      // Copied up without a change, for instance by opening it for writing: still what it was.
      if (now !== original) found.set(child, now ?? 'absent');
      if (now !== undefined) touched.push(child);
      if (now?.startsWith('directory') === true) await visit(child);
    }
  };
  await visit('/');
  return {found, touched};
}

/** What getfattr(1) finds at each path below a root: access lists of every kind, labels, capabilities of files. */
async function attributesBelow(root: string, paths: readonly string[]): Promise<Map<string, string>> {
  const outcome = await run(
    [
      'xargs',
      '-0',
      '-r',
      'getfattr',
      '-h',
      '-d',
      '-e',
      'hex',
      '--absolute-names',
      '-m',
      '^(user|security|system)\\.',
    ],
    {input: paths.map(each => `${root}${each}\0`).join('')},
  );
  const found = new Map<string, string>();
  for (const entry of outcome.stdout.split('\n\n').filter(Boolean)) {
    const [head = '', ...lines] = entry.trim().split('\n');
    found.set(head.slice(`# file: ${root}`.length), lines.sort().join(' '));
  }
  return found;
}

async function attributes(host: Host, paths: readonly string[]): Promise<Map<string, string>> {
  const original = await attributesBelow(host.image, paths);
  const now = await attributesBelow(host.root, paths);
  return new Map([...now].filter(([name, text]) => original.get(name) !== text));
}

const UNIT_PROPERTIES = [
  'LoadState',
  'ActiveState',
  'SubState',
  'UnitFileState',
  'DropInPaths',
  'NeedDaemonReload',
];

async function services(host: Host): Promise<Map<string, string>> {
  const states = new Map<string, string>();
  for (const unit of new Set(['opendkim.service', 'postfix.service', host.release.postfixUnit])) {
    const shown = await host.must(['systemctl', 'show', unit, `--property=${UNIT_PROPERTIES.join(',')}`]);
    states.set(unit, shown.trim().split('\n').sort().join(' '));
  }
  const status = await host.exec(['postfix', 'status']);
  states.set('postfix status', String(status.status));
  const failed = await host.must(['systemctl', 'list-units', '--failed', '--plain', '--no-legend']);
  states.set('failed units', failed.trim());
  return states;
}

async function runtime(host: Host): Promise<Map<string, string>> {
  const listing = await host.must([
    'find',
    '/run',
    '/tmp',
    '/var/tmp',
    '/dev/shm',
    // Daemons come and go below /run meanwhile.
    '-ignore_readdir_race',
    '(',
    '-path',
    '/run/opendkim*',
    '-o',
    '-iname',
    '*waxseal*',
    '-o',
    '-path',
    '/tmp/*',
    '-o',
    '-path',
    '/var/tmp/*',
    ')',
    '-not',
    '-path',
    '*/systemd-private-*',
    '-not',
    '-path',
    '/tmp/tmux-*',
    '-printf',
    '%p\\t%y %U:%G %m\\n',
  ]);
  return new Map(
    listing
      .split('\n')
      .filter(Boolean)
      .map(line => {
        const [name = '', description = ''] = line.split('\t');
        return [name, description] as const;
      }),
  );
}

/** How many there are of each program that waxseal may start, or that it is. */
async function processes(host: Host): Promise<Map<string, string>> {
  const listing = await host.must(['ps', '-e', '-o', 'comm=']);
  const counts = new Map<string, number>();
  for (const name of listing.split('\n').map(line => line.trim())) {
    if (/^(opendkim|master|qmgr|node|waxseal|MainThread|apt|apt-get|dpkg|systemctl)/.test(name)) {
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  return new Map([...counts].map(([name, count]) => [name, String(count)] as const));
}

export async function fingerprint(host: Host): Promise<Fingerprint> {
  await host.settled();
  const {found, touched} = await files(host);
  return {
    files: found,
    attributes: await attributes(host, touched),
    services: await services(host),
    run: await runtime(host),
    processes: await processes(host),
  };
}

export interface CompareOptions {
  /** True where waxseal may have kept its memory: a staged key, the history of an undo. */
  readonly allowState?: boolean;
  /** False where waxseal itself is still running. */
  readonly processes?: boolean;
  /** Paths that this scenario knows to be different, each with its reason in the scenario. */
  readonly except?: readonly RegExp[];
}

/** The differences, one line each; empty where the host is what it was. */
export function differences(
  before: Fingerprint,
  after: Fingerprint,
  options: CompareOptions = {},
): readonly string[] {
  const lines: string[] = [];
  const compare = (
    kind: string,
    left: ReadonlyMap<string, string>,
    right: ReadonlyMap<string, string>,
    unchanged: string,
  ): void => {
    for (const key of [...new Set([...left.keys(), ...right.keys()])].sort()) {
      const was = left.get(key) ?? unchanged;
      const is = right.get(key) ?? unchanged;
      if (was === is) continue;
      if (options.allowState === true && (key === STATE_DIRECTORY || key.startsWith(`${STATE_DIRECTORY}/`)))
        continue;
      if (options.except?.some(pattern => pattern.test(key)) === true) continue;
      lines.push(`${kind} ${key}: was ${was}; is ${is}`);
    }
  };
  compare('file', before.files, after.files, 'as in the image');
  compare('attributes', before.attributes, after.attributes, 'as in the image');
  compare('service', before.services, after.services, 'unknown');
  // Its lock is there as long as it runs.
  const held = options.processes === false ? /^\/run\/waxseal\.lock/ : /^$/;
  const idle = new Map([...after.run].filter(([name]) => !held.test(name)));
  compare('run', before.run, idle, 'absent');
  if (options.processes !== false) compare('processes', before.processes, after.processes, '0');
  return lines;
}

/** Private keys on the host that someone else than root or the daemon could read: there must be none, ever. */
export async function exposedKeys(host: Host): Promise<readonly string[]> {
  const found: string[] = [];
  const readers = new Set(['root', 'opendkim']);
  const listing = await host.exec([
    'bash',
    '-c',
    "grep -rlE -- '-----BEGIN ([A-Z]+ )?PRIVATE KEY-----' /etc/[!s]* /var/lib /var/spool /var/backups /root /home /run /tmp 2>/dev/null | " +
      "xargs -r stat -c '%n %U %G %a'",
  ]);
  for (const line of listing.stdout.split('\n').filter(Boolean)) {
    const [, owner = '', group = '', mode = ''] = line.match(/ (\S+) (\S+) (\d+)$/) ?? [];
    const bits = Number.parseInt(mode, 8);
    const groupReads = (bits & 0o070) !== 0 && !readers.has(group);
    if ((bits & 0o007) !== 0 || groupReads || !readers.has(owner)) found.push(line);
  }
  return found;
}
