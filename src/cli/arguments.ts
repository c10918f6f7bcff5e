import {type ParseArgsConfig, parseArgs} from 'node:util';
import {visible} from '../domain/text.ts';
import {COMMANDS, type CommandName, FLAGS, type Flag, takes} from './flags.ts';
import {usage} from './usage.ts';

/** Flags as text; repeatable ones as lists, switches as true. */
export type FlagValues = Readonly<Record<string, string | true | readonly string[]>>;

export interface Invocation {
  /** Absent where none was named: the wizard or the hub. */
  readonly command: CommandName | undefined;
  readonly flags: FlagValues;
  readonly operands: readonly string[];
}

const isCommand = (word: string): word is CommandName => Object.hasOwn(COMMANDS, word);

/**
 * Parses the command line. Throws UsageError that names the flag and, for a misspelt one, the nearest that exists.
 * The command may stand anywhere among the flags that take no value.
 */
export function parseArguments(argv: readonly string[]): Invocation {
  const options: NonNullable<ParseArgsConfig['options']> = Object.fromEntries(
    FLAGS.map(flag => [
      flag.name,
      flag.value === undefined
        ? {type: 'boolean' as const}
        : {type: 'string' as const, multiple: flag.repeatable === true},
    ]),
  );
  const alias = argv.map(word => (word === '-h' ? '--help' : word === '-V' ? '--version' : word));
  const parsed = guarded(() =>
    parseArgs({args: alias, options, strict: true, allowPositionals: true, tokens: true}),
  );
  // `waxseal help setup`, as many programs have it, is `waxseal setup --help`.
  const asksHelp = parsed.positionals[0] === 'help';
  const [first, ...rest] = asksHelp ? parsed.positionals.slice(1) : parsed.positionals;
  if (first !== undefined && !isCommand(first)) {
    throw usage(
      'usage.command',
      `There is no command "${visible(first)}".`,
      suggest(first, Object.keys(COMMANDS)) ?? 'Run waxseal --help for the list.',
    );
  }
  const flags: Record<string, string | true | readonly string[]> = asksHelp ? {help: true} : {};
  for (const [name, value] of Object.entries(parsed.values)) {
    const flag = FLAGS.find(known => known.name === name);
    if (flag === undefined || value === undefined || value === false) continue;
    refuseForeign(flag, first ?? 'setup');
    flags[name] = Array.isArray(value) ? value.map(String) : value === true ? true : String(value);
  }
  return {command: first, flags, operands: rest};
}

function refuseForeign(flag: Flag, command: CommandName): void {
  if (takes(flag, command)) return;
  const where = flag.commands === 'all' ? [] : flag.commands;
  throw usage(
    'usage.flag',
    `--${flag.name} does not belong to "${command}".`,
    `It is a flag of: ${where.join(', ')}. Run waxseal ${command} --help.`,
  );
}

function guarded<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
    const name = /'(?:-\w, )?(--?[^' =]+)/.exec(error.message)?.[1] ?? '';
    if (error.code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
      const known = FLAGS.map(flag => `--${flag.name}`);
      throw usage(
        'usage.flag',
        `There is no flag ${visible(name)}.`,
        suggest(name, known) ?? 'Run waxseal --help for the list.',
      );
    }
    const flag = FLAGS.find(candidate => `--${candidate.name}` === name);
    throw usage(
      'usage.value',
      flag?.value === undefined ? `${visible(name)} takes no value.` : `${visible(name)} needs a value.`,
      flag?.value === undefined ? `Write it as ${visible(name)}.` : `Write it as ${name} ${flag.value}.`,
    );
  }
}

/**
 * The command that a line asks for, also where the line is wrong: for the error document. The first word that is no
 * flag and no value of one.
 */
export function commandNamed(argv: readonly string[]): string {
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (word === '--') return visible(argv[at + 1] ?? 'setup');
    if (!word.startsWith('-')) return visible(word);
    if (FLAGS.some(flag => `--${flag.name}` === word && flag.value !== undefined)) at += 1;
  }
  return 'setup';
}

/** "Did you mean …?" for the nearest word within two edits. */
export function suggest(word: string, known: readonly string[]): string | undefined {
  const near = known
    .map(candidate => ({candidate, edits: edits(word, candidate)}))
    .filter(({edits: count}) => count <= 2)
    .sort((one, two) => one.edits - two.edits)[0];
  return near === undefined ? undefined : `Did you mean ${near.candidate}?`;
}

/** Levenshtein distance. */
function edits(one: string, two: string): number {
  let row = Array.from({length: two.length + 1}, (_, index) => index);
  for (const [i, letter] of [...one].entries()) {
    const next = [i + 1];
    for (let j = 1; j <= two.length; j++) {
      const change = (row[j - 1] ?? 0) + (letter === two[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[two.length] ?? 0;
}

/** The text of a flag that takes one value; undefined where it was not given. */
export function textOf(flags: FlagValues, name: string): string | undefined {
  const value = flags[name];
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.join(',');
  return undefined;
}

export const listOf = (flags: FlagValues, name: string): readonly string[] => {
  const value = flags[name];
  return typeof value === 'string' ? [value] : value === true || value === undefined ? [] : value;
};

export const isSet = (flags: FlagValues, name: string): boolean => flags[name] !== undefined;

/**
 * Reads a file of flags (`--config`): lines `name = value` or `name` alone for a switch; `#` begins a comment line.
 * @returns arguments to be put before those of the command line, so that the latter win
 */
export function argumentsFromFile(text: string, file: string): readonly string[] {
  const out: string[] = [];
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const match = /^(?:--)?([a-z][a-z-]*)(?:\s*=(.*))?$/.exec(line);
    const flag = FLAGS.find(candidate => candidate.name === match?.[1]);
    if (match === null || flag === undefined || flag.name === 'config') {
      throw usage(
        'usage.config',
        `Line ${index + 1} of ${visible(file)} is not a flag: ${JSON.stringify(line.slice(0, 60))}.`,
        'Write each as "name = value", as in: domain = example.org',
      );
    }
    const value = match[2]?.trim().replace(/^(["'])(.*)\1$/, '$2');
    if (flag.value === undefined) {
      if (value === undefined || /^(yes|true|on|1)$/i.test(value)) out.push(`--${flag.name}`);
    } else out.push(`--${flag.name}=${value ?? ''}`);
  }
  return out;
}
