/** Runs the publisher that was chosen. What it says is only shown: whether the record is there, the servers tell. */
import {command} from '../../domain/command.ts';
import {type AbsolutePath, below} from '../../domain/paths.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {looseWay, repairOf} from '../../system/loose-way.ts';
import type {CommandResult, FileStat, Ports} from '../../system/ports.ts';
import type {Program, RecordChange} from './change.ts';
import type {PublishChoice} from './choice.ts';
import {programsFor} from './programs.ts';
import {whoMustAct} from './refusal.ts';

export type PublishPorts = Pick<Ports, 'commands' | 'files' | 'process' | 'users'>;

export interface PublishOptions {
  /** The environment of waxseal itself, where lexicon's credentials may be. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes the change. Problems: `publish.program-missing`, `publish.timeout`, `publish.failed`, and those of the files
 * that are checked beforehand: `publish.key-missing`, `publish.key-readable`, `publish.key-unsafe`, for lexicon's
 * directory `publish.config-` with the same ends, `publish.hook-missing`, `publish.hook-unsafe`.
 */
export async function publishRecord(
  ports: PublishPorts,
  choice: PublishChoice,
  change: RecordChange,
  options: PublishOptions = {},
): Promise<Result<true>> {
  const unfit = await checkFiles(ports, choice);
  if (unfit !== undefined) return fail(unfit);
  for (const program of programsFor(choice, change, options.environment)) {
    options.signal?.throwIfAborted();
    const result = await ports.commands.run(program.argv, {
      timeoutMs: program.timeoutMs,
      ...(program.input === undefined ? {} : {input: new TextEncoder().encode(program.input)}),
      ...(program.environment === undefined ? {} : {environment: program.environment}),
      ...(options.signal === undefined ? {} : {signal: options.signal}),
    });
    options.signal?.throwIfAborted();
    const why = failureOf(program, result, said => whoMustAct(choice, change, said));
    if (why !== undefined) return fail(why);
  }
  return ok(true);
}

/** Bits of a mode: others may read or write. */
const OTHERS = 0o007;
const OTHERS_WRITE = 0o022;

async function checkFiles(ports: PublishPorts, choice: PublishChoice): Promise<Problem | undefined> {
  switch (choice.by) {
    case 'manual':
      return undefined;
    case 'hook':
      return await checkHook(ports, choice.path);
    case 'lexicon':
      return choice.config === undefined
        ? undefined
        : await checkConfig(ports, choice.config, ['lexicon.yml', `lexicon_${choice.provider}.yml`]);
    case 'nsupdate':
    case 'knsupdate': {
      const key = choice.tsigKey;
      if (key === undefined) return undefined;
      const stat = await followed(ports, key);
      return stat === undefined
        ? problem('publish.key-missing', `There is no key file ${visible(key)}.`, 'Check --tsig-key.')
        : await checkSecret(ports, key, stat, 'key', '--tsig-key');
    }
  }
}

/** What a program run as root reads its credentials from: who changes it decides which zone is changed, and with what. */
async function checkSecret(
  ports: PublishPorts,
  path: AbsolutePath,
  stat: FileStat,
  what: 'key' | 'config',
  flag: string,
): Promise<Problem | undefined> {
  if (stat.kind !== 'file') {
    return problem(
      `publish.${what}-missing`,
      `${visible(path)} is not a regular file, so it is not used.`,
      `Check ${flag}.`,
    );
  }
  // Whoever reads it can change the zone.
  return (stat.mode & OTHERS) === 0
    ? await unsafe(ports, path, `publish.${what}-unsafe`, 'the program that enters records reads it as root')
    : problem(
        `publish.${what}-readable`,
        `Every user of this host can read the key ${visible(path)}.`,
        `Run: ${command('chmod', 'o=', path)}`,
      );
}

/** lexicon's directory with those of its files that are there. */
async function checkConfig(
  ports: PublishPorts,
  directory: AbsolutePath,
  names: readonly string[],
): Promise<Problem | undefined> {
  const flag = '--lexicon-config';
  const there = await followed(ports, directory);
  if (there?.kind !== 'directory') {
    return problem('publish.config-missing', `${visible(directory)} is not a directory.`, `Check ${flag}.`);
  }
  if ((there.mode & OTHERS_WRITE) !== 0) {
    return problem(
      'publish.config-unsafe',
      `Others than root can change ${visible(directory)}, and ${CONFIG_READ}.`,
      `Run: ${command('chmod', 'go-w', directory)}`,
    );
  }
  const inside = await unsafe(ports, directory, 'publish.config-unsafe', CONFIG_READ);
  if (inside !== undefined) return inside;
  for (const name of names) {
    const path = below(directory, name);
    const stat = await followed(ports, path);
    const wrong = stat === undefined ? undefined : await checkSecret(ports, path, stat, 'config', flag);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

const CONFIG_READ = 'lexicon reads it as root';

/** Who else could put something in the place of a path; undefined where nobody could. */
async function unsafe(
  ports: PublishPorts,
  path: AbsolutePath,
  id: string,
  why: string,
): Promise<Problem | undefined> {
  const isOwn = ({uid}: {readonly uid: number}): boolean => uid === 0 || uid === ports.process.uid;
  const loose = await looseWay(ports, path, isOwn);
  if (loose === undefined) return undefined;
  const by = loose.at === path ? '' : `, by ${visible(loose.at)}`;
  return problem(
    id,
    `Others than root can change ${visible(path)}${by}, and ${why}.`,
    `Run: ${repairOf(loose)}`,
  );
}

/** It is run as root: nobody else may be able to put something in its place. */
async function checkHook(ports: PublishPorts, path: AbsolutePath): Promise<Problem | undefined> {
  const stat = await followed(ports, path);
  if (stat?.kind !== 'file' || (stat.mode & 0o111) === 0) {
    return problem(
      'publish.hook-missing',
      stat === undefined ? `There is no program ${visible(path)}.` : `${visible(path)} cannot be run.`,
      'Check the path in --publish; the file must be executable and begin with the line of its interpreter.',
    );
  }
  return await unsafe(ports, path, 'publish.hook-unsafe', 'it would be run as root');
}

async function followed({files}: PublishPorts, path: AbsolutePath) {
  const resolved = await files.resolve(path);
  return resolved === undefined ? undefined : await files.stat(resolved);
}

/** Where those come from that are not there. */
const SOURCES: Readonly<Record<string, string>> = {
  nsupdate: 'on Debian: the package bind9-dnsutils',
  knsupdate: 'on Debian: the package knot-dnsutils',
  // Debian 13 has no package of it; without --global it would be in no directory that root's programs are looked for in.
  lexicon: 'on Debian 12: the package lexicon; on 13: pipx install --global dns-lexicon',
};

function failureOf(
  program: Program,
  result: CommandResult,
  repair: (said: string) => string | undefined,
): Problem | undefined {
  if (result.ended === 'exit' && result.status === 0) return undefined;
  const [name] = program.argv;
  const shown = visible(name);
  if (result.ended === 'missing') {
    const from = SOURCES[name];
    return problem(
      'publish.program-missing',
      `The program ${shown} is not on this host, or its interpreter is not.`,
      from === undefined ? 'Check its first line.' : `Install it (${from}).`,
    );
  }
  const said = lastWords(program, result);
  const hint =
    repair(result.ended === 'timeout' ? 'timed out' : `${result.stderr}\n${result.stdout}`) ??
    'Mend it, or enter the record yourself; the servers are asked in either case.';
  return result.ended === 'timeout'
    ? problem('publish.timeout', `${shown} did not end within ${program.timeoutMs / 1000} s${said}.`, hint)
    : problem(
        'publish.failed',
        `${shown} failed (${result.status === null ? 'ended by a signal' : `exit ${result.status}`})${said}.`,
        hint,
      );
}

const LAST_LINES = 3;
const LAST_CHARACTERS = 300;

/** The end of what it said, one line, harmless for a terminal, without the credentials that it was given. */
function lastWords({environment}: Program, {stdout, stderr}: CommandResult): string {
  const text = (stderr.trim() === '' ? stdout : stderr).trim();
  const lines = text.split(/\r?\n/).filter(line => line.trim() !== '');
  let end = lines.slice(-LAST_LINES).join(' / ');
  for (const [name, value] of Object.entries(environment ?? {})) {
    if (!name.startsWith('WAXSEAL_') && value.length >= 4) end = end.replaceAll(value, '(hidden)');
  }
  // Secrets of TSIG never come here, but a program may print what it was given in a file of its own.
  end = end.replace(/(secret|token|password|api[_-]?key)(["']?\s*[:=]\s*["']?)[^\s"']+/gi, '$1$2(hidden)');
  return end === '' ? '' : `: ${visible(end.slice(-LAST_CHARACTERS)).replace(/\.$/, '')}`;
}
