import {Box, useApp, useInput, useStdout} from 'ink';
import {Component, type ReactNode, useCallback, useEffect, useMemo, useState} from 'react';
import type {Event, Phase, Session} from '../../flow/state.ts';
import {type Ui, UiContext} from './components/ui.tsx';
import {InputGate} from './input/input-gate.tsx';
import type {KeyPump} from './input/key-pump.ts';
import {keyOf, letterOf} from './input/keys.ts';
import {HelpScreen} from './screens/help.tsx';
import {Host} from './screens/host.tsx';
import {Leaving} from './screens/leaving.tsx';
import {Looking, Planning} from './screens/looking.tsx';
import {MakingKey} from './screens/making-key.tsx';
import {PlanScreen} from './screens/plan.tsx';
import {PropagationScreen} from './screens/propagation.tsx';
import {Question} from './screens/question.tsx';
import {RecordScreen} from './screens/record.tsx';
import {Summary} from './screens/summary.tsx';
import {Work} from './screens/work.tsx';
import {above, clipboardSequence, type Resizable} from './terminal.ts';
import {type Theme, ThemeContext} from './theme.tsx';
import {useSessionState} from './use-session-state.ts';
import {useTerminalSize} from './use-terminal-size.ts';

export interface AppProps {
  readonly session: Session;
  readonly pump: KeyPump;
  /** The terminal, for its size. */
  readonly output: Resizable;
  readonly theme: Theme;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Aborted where the summary must not wait for a key. */
  readonly signal: AbortSignal;
  /** A fault of the view itself. */
  readonly onFault: (error: unknown) => void;
}

/** The wizard in its shell: keys one at a time, the theme, and a boundary for faults of a screen. */
export function App(props: AppProps): ReactNode {
  return (
    <InputGate pump={props.pump}>
      <ThemeContext value={props.theme}>
        <FaultBoundary onFault={props.onFault}>
          <Wizard {...props} />
        </FaultBoundary>
      </ThemeContext>
    </InputGate>
  );
}

function Wizard({session, pump, output, now, signal}: AppProps): ReactNode {
  const state = useSessionState(session);
  const size = useTerminalSize(output);
  const {exit} = useApp();
  const {write} = useStdout();
  const [helpOpen, setHelpOpen] = useState(false);
  const [closed, setClosed] = useState(false);
  const {phase} = state;
  const base = phase.at === 'leaving' ? phase.from : phase;
  const overlaid = helpOpen || phase.at === 'leaving';

  // The one subscription that is never off: without any, the terminal would fall back to echoing keys (H11).
  useInput((input, inkKey) => {
    const key = keyOf(input, inkKey);
    if (key?.name === 'interrupt') {
      setHelpOpen(false);
      session.send({type: 'leave'});
    } else if (key !== undefined && letterOf(key) === '?' && !overlaid && !ownsQuestionMark(base)) {
      setHelpOpen(true);
    }
  });

  const close = useCallback(() => setClosed(true), []);
  useEffect(() => {
    if (phase.at !== 'finished') return;
    setHelpOpen(false);
    if (signal.aborted || endsAtOnce(phase.report.exitCode)) close();
    signal.addEventListener('abort', close);
    return () => signal.removeEventListener('abort', close);
  }, [phase, signal, close]);
  // An empty frame is drawn first, so that nothing of the wizard stays where the last words are written.
  useEffect(() => {
    if (closed) exit();
  }, [closed, exit]);

  const services = useMemo(
    () => ({
      send: (event: Event) => session.send(event),
      print: (text: string) => write(above(text)),
      copy: (text: string): boolean => {
        const sequence = clipboardSequence(text);
        if (sequence !== undefined) write(sequence);
        return sequence !== undefined;
      },
      drain: () => pump.drain(),
      openHelp: () => setHelpOpen(true),
      now,
    }),
    [session, pump, write, now],
  );
  if (closed) return null;
  const ui: Ui = {...services, size, state, active: true};
  const below: Ui = overlaid ? {...ui, state: {...state, phase: base}, active: false} : ui;
  return (
    <>
      <UiContext value={below}>
        <Box flexDirection="column" display={overlaid ? 'none' : 'flex'}>
          <Screen key={screenKey(base)} phase={base} onClose={close} />
        </Box>
      </UiContext>
      {overlaid && (
        <UiContext value={ui}>
          {phase.at === 'leaving' ? <Leaving /> : <HelpScreen onClose={() => setHelpOpen(false)} />}
        </UiContext>
      )}
    </>
  );
}

/** Screens with an entry field decide themselves whether `?` is text. */
const ownsQuestionMark = (phase: Phase): boolean => phase.at === 'asking';

/** Who has just said that they leave, or was stopped, need not press one key more. */
const endsAtOnce = (exitCode: number): boolean => [3, 9, 130, 143].includes(exitCode);

/** A new screen for a new question, the same one while its question is checked or refused. */
const screenKey = (phase: Phase): string => (phase.at === 'asking' ? `asking:${phase.question}` : phase.at);

function Screen({phase, onClose}: {readonly phase: Phase; readonly onClose: () => void}): ReactNode {
  switch (phase.at) {
    case 'looking':
      return <Looking />;
    case 'host':
      return <Host phase={phase} />;
    case 'asking':
      return <Question phase={phase} />;
    case 'making-key':
      return <MakingKey phase={phase} />;
    case 'record':
      return <RecordScreen phase={phase} />;
    case 'propagation':
      return <PropagationScreen phase={phase} />;
    case 'planning':
      return <Planning />;
    case 'plan':
      return <PlanScreen />;
    case 'recovering':
    case 'installing':
    case 'applying':
    case 'testing':
    case 'rolling-back':
      return <Work phase={phase} />;
    case 'leaving':
      return <Leaving />;
    case 'finished':
      return <Summary report={phase.report} onClose={onClose} />;
  }
}

/** Ink would print its own overview with source lines and end; our work has to be put back first (H20). */
class FaultBoundary extends Component<
  {readonly onFault: (error: unknown) => void; readonly children: ReactNode},
  {readonly failed: boolean}
> {
  override state = {failed: false};

  static getDerivedStateFromError(): {failed: boolean} {
    return {failed: true};
  }

  override componentDidCatch(error: unknown): void {
    this.props.onFault(error);
  }

  override render(): ReactNode {
    return this.state.failed ? null : this.props.children;
  }
}
