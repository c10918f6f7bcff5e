/** Runs the publisher that was chosen. What it says is only shown: whether the record is there, the servers tell. */
import {command} from '../../domain/command.ts';
import type {AbsolutePath} from '../../domain/paths.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {looseWay, repairOf} from '../../system/loose-way.ts';
import type {CommandResult, Ports} from '../../system/ports.ts';
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
 * that are checked beforehand: `publish.key-missing`, `publish.key-readable`, `publish.hook-missing`,
 * `publish.hook-unsafe`.
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

async function checkFiles(ports: PublishPorts, choice: PublishChoice): Promise<Problem | undefined> {
  if (choice.by === 'hook') return await checkHook(ports, choice.path);
  const key = choice.by === 'nsupdate' || choice.by === 'knsupdate' ? choice.tsigKey : undefined;
  if (key === undefined) return undefined;
  const stat = await followed(ports, key);
  if (stat?.kind !== 'file') {
    return problem('publish.key-missing', `There is no key file ${visible(key)}.`, 'Check --tsig-key.');
  }
  // Whoever reads it can change the zone.
  return (stat.mode & OTHERS) === 0
    ? undefined
    : problem(
        'publish.key-readable',
        `Every user of this host can read the key ${visible(key)}.`,
        `Run: ${command('chmod', 'o=', key)}`,
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
  const isOwn = ({uid}: {readonly uid: number}): boolean => uid === 0 || uid === ports.process.uid;
  const unsafe = await looseWay(ports, path, isOwn);
  if (unsafe === undefined) return undefined;
  const by = unsafe.at === path ? '' : `, by ${visible(unsafe.at)}`;
  return problem(
    'publish.hook-unsafe',
    `Others than root can change ${visible(path)}${by}, and it would be run as root.`,
    `Run: ${repairOf(unsafe)}`,
  );
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
