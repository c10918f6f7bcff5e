import {render} from 'ink';
import type {Session} from '../../flow/state.ts';
import {App} from './app.tsx';
import {KeyPump} from './input/key-pump.ts';
import {lastWords} from './summary-text.ts';
import {inkOptions, PASTE_MARKS_OFF, PASTE_MARKS_ON, watchTerminal} from './terminal.ts';
import {makeTheme} from './theme.tsx';

export interface TuiOptions {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly color: boolean;
  /** Only characters that every console font has. */
  readonly ascii: boolean;
  readonly screenReader?: boolean;
  /** Milliseconds since the epoch, for the clock on the waiting screen. */
  readonly now: () => number;
  /** Aborted where nobody may press a key any more (a signal): the summary then closes by itself. */
  readonly signal?: AbortSignal;
}

/**
 * Shows a session on a terminal until it has ended and the terminal is as it was; the result and, where they are still
 * to be published, the records are then written once more as plain text. Both ends must be a terminal (chooseView).
 * Where the terminal goes away, the session is told as by SIGHUP and waited for.
 *
 * @throws whatever fault the view itself had, after the session has ended
 */
export async function runTui(session: Session, options: TuiOptions): Promise<void> {
  const {stdin, stdout, stderr} = options;
  const closing = new AbortController();
  let fault: {readonly error: unknown} | undefined;
  let lost = false;
  const onFault = (error: unknown): void => {
    if (fault !== undefined) return;
    fault = {error};
    // What is under way is put back before anybody hears of the fault.
    session.send({type: 'interrupted', signal: 'SIGTERM'});
    queueMicrotask(() => app.unmount());
  };
  const pump = new KeyPump(stdin, onFault);

  const marksOff = (): void => {
    if (!lost) stdout.write(PASTE_MARKS_OFF);
  };
  const forgetTerminal = watchTerminal({input: stdin, outputs: [stdout, stderr]}, () => {
    lost = true;
    closing.abort();
    app.unmount();
    session.send({type: 'interrupted', signal: 'SIGHUP'});
  });
  stdout.write(PASTE_MARKS_ON);
  process.once('exit', marksOff);

  const app = render(
    <App
      session={session}
      pump={pump}
      output={stdout}
      theme={makeTheme(options)}
      now={options.now}
      signal={anyOf(closing.signal, options.signal)}
      onFault={onFault}
    />,
    {
      ...inkOptions(pump, options),
      ...(options.screenReader === undefined ? {} : {isScreenReaderEnabled: options.screenReader}),
    },
  );
  try {
    await app.waitUntilExit();
  } finally {
    process.off('exit', marksOff);
    marksOff();
  }
  const report = await session.done();
  if (!lost) stdout.write(lastWords(session.state(), report));
  forgetTerminal();
  if (fault !== undefined) throw fault.error;
}

const anyOf = (first: AbortSignal, second: AbortSignal | undefined): AbortSignal =>
  second === undefined ? first : AbortSignal.any([first, second]);
