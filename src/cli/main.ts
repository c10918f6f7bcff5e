import type {ExitCode} from '../domain/errors.ts';
import {commandNamed, type Invocation, isSet, parseArguments} from './arguments.ts';
import {failureOf, failureReport, failureText} from './failure.ts';
import type {CommandName} from './flags.ts';
import {type Outside, realOutside} from './outside.ts';
import {listenForSignals} from './signals.ts';
import {guardStreams, type Streams} from './streams.ts';
import {writeOut} from './write-out.ts';

/**
 * Runs one command line to its end.
 * @returns the exit code; never throws, and never ends the process itself, so that every clean-up has run
 */
export async function main(
  argv: readonly string[],
  streams: Streams = process,
  outside: Outside = realOutside(),
): Promise<ExitCode> {
  guardStreams(streams);
  const ending = listenForSignals();
  let context: Context | undefined;
  try {
    const invocation = parseArguments(argv);
    if (isSet(invocation.flags, 'version')) {
      const {version} = await import('./version.ts');
      await writeOut(streams.stdout, `waxseal ${version()}\n`);
      return 0;
    }
    if (isSet(invocation.flags, 'help')) {
      const {helpText} = await import('./help.ts');
      await writeOut(streams.stdout, `${helpText(invocation.command)}\n`);
      return 0;
    }
    const {createContext} = await import('./context.ts');
    context = await createContext(argv, invocation, streams, outside, ending.signal);
    const command = await (opensHub(invocation) ? loadHub() : COMMANDS[context.command]());
    const exitCode = await command(context);
    context.log(`ended with exit code ${exitCode}`);
    return exitCode;
  } catch (error) {
    const failure = failureOf(error);
    streams.stderr.write(`waxseal: ${failureText(failure)}`);
    context?.log(`ended with exit code ${failure.exitCode}: ${failure.message}`);
    if (argv.includes('--json')) {
      const report = failureReport(context?.command ?? commandNamed(argv), failure);
      await writeOut(streams.stdout, `${JSON.stringify(report)}\n`);
    }
    return failure.exitCode;
  } finally {
    ending.release();
  }
}

/** `waxseal` and how it is to look, nothing else: the hub decides whether there is something to show. */
const LOOKS: ReadonlySet<string> = new Set(
  'plain ascii color no-color quiet verbose log-file root'.split(' '),
);

const opensHub = ({command, flags}: Invocation): boolean =>
  command === undefined && Object.keys(flags).every(name => LOOKS.has(name));

const loadHub = async (): Promise<Command> => (await import('./commands/hub.ts')).hub;

type Context = import('./context.ts').Context;
type Command = (context: Context) => Promise<ExitCode>;

// Each command is loaded only when it is run: start-up never reads what it does not use.
const COMMANDS: Readonly<Record<CommandName, () => Promise<Command>>> = {
  setup: async () => (await import('./commands/setup.ts')).setup,
  demo: async () => (await import('./commands/demo.ts')).demo,
  adopt: async () => (await import('./commands/adopt.ts')).adopt,
  status: async () => (await import('./commands/status.ts')).status,
  test: async () => (await import('./commands/test.ts')).test,
  check: async () => (await import('./commands/check.ts')).check,
  explain: async () => (await import('./commands/explain.ts')).explain,
  record: async () => (await import('./commands/record.ts')).record,
  sign: async () => (await import('./commands/sign.ts')).sign,
  verify: async () => (await import('./commands/verify.ts')).verify,
  undo: async () => (await import('./commands/undo.ts')).undo,
  rotate: async () => (await import('./commands/rotate.ts')).rotate,
  remove: async () => (await import('./commands/remove.ts')).remove,
  export: async () => (await import('./commands/export.ts')).exportState,
  import: async () => (await import('./commands/import.ts')).importState,
};
