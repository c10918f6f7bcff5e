import {parseResolver} from '../dns/resolver-address.ts';
import {HostError, ToolError} from '../domain/errors.ts';
import {type AbsolutePath, parseAbsolutePath} from '../domain/paths.ts';
import {problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {createNamedFiles, type NamedFiles} from '../jobs/named-files.ts';
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
import {checkFlags} from './check-flags.ts';
import {type ChosenView, chooseView} from './choose-view.ts';
import type {CommandName} from './flags.ts';
import type {Outside} from './outside.ts';
import type {Streams} from './streams.ts';
import {present, taken, usage} from './usage.ts';

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
  readonly outside: Outside;
  /** Aborts on SIGINT, SIGTERM and a hang-up; its reason carries the exit code. */
  readonly signal: AbortSignal;
  /** Chosen in the hub: leaving leads back there. */
  readonly fromHub?: true;
  /** The ports of this host, `--root` and `--resolver` obeyed; made once. */
  ports(): Promise<Ports>;
  /** Files named on the command line or on a screen. */
  namedFiles(): Promise<NamedFiles>;
  /** A path as a person types it: relative to the working directory. */
  pathOf(text: string): AbsolutePath;
  /** A line for a person, on standard error (nothing with --quiet), and in the log file. */
  say(line: string): void;
  /** A line in the log file only. */
  log(line: string): void;
}

/** Makes the context of one run; reads `--config` where it is given and parses the line again with it in front. */
export async function createContext(
  argv: readonly string[],
  first: Invocation,
  streams: Streams,
  outside: Outside,
  signal: AbortSignal,
): Promise<Context> {
  const config = textOf(first.flags, 'config');
  const invocation =
    config === undefined
      ? first
      : parseArguments([...argumentsFromFile(await readConfig(outside, config), config), ...argv]);
  const {flags, operands} = invocation;
  const {environment} = outside;
  const view = chooseView(
    {json: isSet(flags, 'json'), plain: isSet(flags, 'plain'), noInput: isSet(flags, 'no-input')},
    {
      stdinIsTerminal: streams.stdin.isTTY === true,
      stdoutIsTerminal: streams.stdout.isTTY === true,
      term: environment['TERM'],
      ci: (environment['CI'] ?? '') !== '' && environment['CI'] !== 'false',
    },
  );
  if (invocation.command === undefined && !view.interactive) {
    throw usage(
      'usage.no-command',
      'There is no terminal to open the wizard on, and no command was given.',
      'Name the command, as in: waxseal setup --domain example.org --yes --json',
    );
  }
  const command = invocation.command ?? 'setup';
  checkFlags(command, flags, operands);
  const quiet = isSet(flags, 'quiet');
  const log = await logger(outside, textOf(flags, 'log-file'));
  log(`waxseal ${command} started`);
  const say = (line: string): void => {
    if (!quiet) streams.stderr.write(`${line}\n`);
    log(line);
  };
  let connected: Promise<Ports> | undefined;
  return {
    command,
    flags,
    operands,
    streams,
    view,
    color: environment['FORCE_COLOR'] !== '0',
    ascii: isSet(flags, 'ascii') || environment['TERM'] === 'linux' || !localeIsUtf8(environment),
    outside,
    signal,
    ports() {
      connected ??= connect(outside, flags, isSet(flags, 'verbose') ? say : undefined);
      return connected;
    },
    namedFiles: async () => createNamedFiles(await outside.files(), outside.person),
    pathOf: text => fromWorkingDirectory(outside, text),
    say,
    log,
  };
}

const localeIsUtf8 = (environment: Outside['environment']): boolean =>
  /utf-?8/i.test(environment['LC_ALL'] || environment['LC_CTYPE'] || environment['LANG'] || 'C.UTF-8');

async function readConfig(outside: Outside, file: string): Promise<string> {
  const named = createNamedFiles(await outside.files(), outside.person);
  const reading = named.readDeciding(fromWorkingDirectory(outside, file));
  return new TextDecoder().decode(await present(reading, file, 'usage.config', 'Check --config.'));
}

function fromWorkingDirectory(outside: Outside, text: string): AbsolutePath {
  const path = text.startsWith('/') ? text : `${outside.workingDirectory}/${text}`;
  return taken(parseAbsolutePath(path), {id: 'usage.path'});
}

async function connect(
  outside: Outside,
  flags: FlagValues,
  trace: ((line: string) => void) | undefined,
): Promise<Ports> {
  const root = textOf(flags, 'root');
  const resolvers = resolversOf(flags);
  const ports = await outside.connect({
    root: root === undefined ? undefined : fromWorkingDirectory(outside, root),
    resolvers,
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

/**
 * `--resolver`: those to ask instead of the host's own, as parseResolver takes them (UDP, TCP or TLS); undefined where none
 * was named. UsageError names the flag.
 */
export function resolversOf(flags: FlagValues): readonly DnsServer[] | undefined {
  const given = listOf(flags, 'resolver').map(text => {
    const server = parseResolver(text);
    if (server.ok) return server.value;
    const {id, message} = server.problem;
    throw usage(id, `--resolver: ${message}`, RESOLVER_HINT);
  });
  return given.length === 0 ? undefined : given;
}

const RESOLVER_HINT =
  'Write it as --resolver 192.0.2.53, --resolver [2001:db8::53]:5353, --resolver tcp:192.0.2.53 or --resolver tls:192.0.2.53#dns.example.net.';

/** `--log-file`: every line that is said, with nothing secret in it, appended to a file of mode 0600. */
async function logger(outside: Outside, file: string | undefined): Promise<(line: string) => void> {
  if (file === undefined) return () => {};
  const files = await outside.files();
  const clock = await outside.clock();
  const path = fromWorkingDirectory(outside, file);
  const attributes = {mode: 0o600, ...outside.person};
  const append = (line: string): Promise<void> =>
    files.append(path, new TextEncoder().encode(`${clock.now().toISOString()} ${line}\n`), attributes);
  try {
    await append('---');
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    throw new HostError(problem('log-file', `--log-file ${visible(file)}: ${error.message}`, error.hint));
  }
  // One after the other, so that the lines stand in order; a full disk later must not stop the work itself.
  let last = Promise.resolve();
  return line => {
    last = last.then(() => append(visible(line))).catch(() => {});
  };
}

/** Changing a host, and reading what only root may read, needs root: exit 5 before anything else is tried. */
export async function rootPorts(context: Pick<Context, 'ports'>, why: string): Promise<Ports> {
  const ports = await context.ports();
  if (ports.process.privileged) return ports;
  throw new HostError(problem('host.not-root', why, 'Run it again with sudo.'));
}
