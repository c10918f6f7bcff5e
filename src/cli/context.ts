import {HostError, UsageError} from '../domain/errors.ts';
import {type AbsolutePath, parseAbsolutePath} from '../domain/paths.ts';
import {problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {Commands, DnsServer, Ports} from '../system/ports.ts';
import {
  argumentsFromFile,
  type FlagValues,
  type Invocation,
  isSet,
  listOf,
  parseArguments,
  textOf,
} from './arguments.ts';
import {type ChosenView, chooseView} from './choose-view.ts';
import type {CommandName} from './flags.ts';
import type {Streams} from './streams.ts';

/** What a command is given: the line that was typed, the streams, and the way to the outside world. */
export interface Context {
  readonly command: CommandName;
  readonly flags: FlagValues;
  readonly operands: readonly string[];
  readonly streams: Streams;
  readonly view: ChosenView;
  readonly color: boolean;
  /** UTF-8 cannot be shown (LANG, TERM=linux) or `--ascii`. */
  readonly ascii: boolean;
  /** Builds the ports of this host, `--root` and `--resolver` obeyed. Loads system/real. */
  ports(): Promise<Ports>;
  /** A line for a person, on standard error; nothing with --quiet. */
  say(line: string): void;
}

/** Makes the context of one run; reads `--config` where it is given and parses the line again with it in front. */
export async function createContext(
  argv: readonly string[],
  first: Invocation,
  streams: Streams,
): Promise<Context> {
  const config = textOf(first.flags, 'config');
  const invocation =
    config === undefined
      ? first
      : parseArguments([...argumentsFromFile(await readConfig(config), config), ...argv]);
  const {flags} = invocation;
  const view = chooseView(
    {json: isSet(flags, 'json'), plain: isSet(flags, 'plain'), noInput: isSet(flags, 'no-input')},
    {
      stdinIsTerminal: streams.stdin.isTTY === true,
      stdoutIsTerminal: streams.stdout.isTTY === true,
      term: process.env['TERM'],
      ci: (process.env['CI'] ?? '') !== '' && process.env['CI'] !== 'false',
    },
  );
  if (invocation.command === undefined && !view.interactive) {
    throw new UsageError(
      problem(
        'usage.no-command',
        'There is no terminal to open the wizard on, and no command was given.',
        'Name the command, as in: waxseal setup --domain example.org --yes --json',
      ),
    );
  }
  const quiet = isSet(flags, 'quiet');
  const log = await logger(textOf(flags, 'log-file'));
  const say = (line: string): void => {
    if (!quiet) streams.stderr.write(`${line}\n`);
    log(line);
  };
  return {
    command: invocation.command ?? 'setup',
    flags,
    operands: invocation.operands,
    streams,
    view,
    color: process.env['FORCE_COLOR'] !== '0',
    ascii: isSet(flags, 'ascii') || process.env['TERM'] === 'linux' || !localeIsUtf8(),
    ports: async () => realPorts(flags, isSet(flags, 'verbose') ? say : undefined),
    say,
  };
}

const localeIsUtf8 = (): boolean =>
  /utf-?8/i.test(process.env['LC_ALL'] || process.env['LC_CTYPE'] || process.env['LANG'] || 'C.UTF-8');

async function readConfig(file: string): Promise<string> {
  const {createFiles} = await import('../system/real/index.ts');
  const path = fromWorkingDirectory(file);
  const content = await createFiles({owners: 'real'}).read(path);
  if (content === undefined) {
    throw new UsageError(problem('usage.config', `There is no file ${visible(file)}.`, 'Check --config.'));
  }
  return new TextDecoder().decode(content);
}

/** A path as a person types it on the command line: relative to the working directory. */
export function fromWorkingDirectory(text: string): AbsolutePath {
  const parsed = parseAbsolutePath(text.startsWith('/') ? text : `${process.cwd()}/${text}`);
  if (!parsed.ok) {
    throw new UsageError(problem('usage.path', parsed.problem.message, parsed.problem.hint));
  }
  return parsed.value;
}

async function realPorts(flags: FlagValues, trace: ((line: string) => void) | undefined): Promise<Ports> {
  const {createRealPorts} = await import('../system/real/index.ts');
  const root = textOf(flags, 'root');
  const [resolver] = resolversOf(flags);
  const ports = createRealPorts({
    ...(root === undefined ? {} : {root: fromWorkingDirectory(root)}),
    ...(resolver === undefined ? {} : {resolver}),
  });
  return trace === undefined ? ports : {...ports, commands: traced(ports.commands, trace)};
}

/** `--verbose`: each command that is run, with its exit status. */
const traced = (commands: Commands, trace: (line: string) => void): Commands => ({
  async run(argv, options) {
    const result = await commands.run(argv, options);
    trace(`run: ${visible(argv.join(' '))} -> ${result.ended === 'exit' ? result.status : result.ended}`);
    return result;
  },
});

/** `--resolver`: an address, with a port as `192.0.2.1:5353` or `[2001:db8::1]:5353`. */
export function resolversOf(flags: FlagValues): readonly DnsServer[] {
  return listOf(flags, 'resolver').map(text => {
    const match =
      /^\[([0-9a-fA-F:.]+)\](?::(\d{1,5}))?$/.exec(text) ??
      /^(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?$/.exec(text) ??
      /^([0-9a-fA-F:.]*:[0-9a-fA-F:.]*)()$/.exec(text);
    const port = Number(match?.[2] || 53);
    if (match === null || match[1] === undefined || port < 1 || port > 65_535) {
      throw new UsageError(
        problem(
          'usage.resolver',
          `"${visible(text)}" is not the address of a resolver.`,
          'Give an IP address, as --resolver 192.0.2.53 or --resolver [2001:db8::53]:5353.',
        ),
      );
    }
    return {address: match[1], port};
  });
}

/** `--log-file`: every line that is said, with nothing secret in it, appended to a file of mode 0600. */
async function logger(file: string | undefined): Promise<(line: string) => void> {
  if (file === undefined) return () => {};
  const {createFiles, createClock} = await import('../system/real/index.ts');
  const files = createFiles({owners: 'real'});
  const clock = createClock();
  const path = fromWorkingDirectory(file);
  const attributes = {mode: 0o600, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0};
  const append = (line: string): Promise<void> =>
    files.append(path, new TextEncoder().encode(`${clock.now().toISOString()} ${line}\n`), attributes);
  try {
    await append('waxseal started');
  } catch (error) {
    throw new HostError(
      problem(
        'log-file',
        `The log file ${visible(file)} cannot be written: ${visible(error instanceof Error ? error.message : String(error))}`,
        'Check --log-file.',
      ),
    );
  }
  // One after the other, so that the lines stand in order; a full disk later must not stop the work itself.
  let last = Promise.resolve();
  return line => {
    last = last.then(() => append(line)).catch(() => {});
  };
}
