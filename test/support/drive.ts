/** Drives a session in tests: waits for phases and answers as a person would. */
import {startSession} from '../../src/flow/run.ts';
import type {Mode, Phase, Session, State} from '../../src/flow/state.ts';
import {type FakeOperations, type FakeOptions, fakeClock, fakeOperations} from './fake-operations.ts';
import {PATIENCE_MS} from './patience.ts';

export const mode = (over: Partial<Mode> = {}): Mode => ({
  interactive: true,
  yes: false,
  dryRun: false,
  waitMs: undefined,
  sandbox: false,
  command: 'setup',
  ...over,
});

export interface Started {
  readonly session: Session;
  readonly operations: FakeOperations;
}

export function start(
  over: Partial<Mode> = {},
  given: Parameters<typeof startSession>[2] = {},
  options: FakeOptions = {},
): Started {
  const clock = options.clock ?? fakeClock();
  const operations = fakeOperations({...options, clock});
  return {session: startSession(operations, mode(over), given, clock), operations};
}

/** Waits until `holds` is true for the state; rejects after `withinMs` with what the state was. */
export function until(
  session: Session,
  holds: (state: State) => boolean,
  withinMs = PATIENCE_MS,
): Promise<State> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      stop();
      reject(new Error(`still at ${JSON.stringify(session.state().phase).slice(0, 400)}`));
    }, withinMs);
    const look = (state: State): void => {
      if (!holds(state)) return;
      clearTimeout(timer);
      stop();
      resolve(state);
    };
    const stop = session.subscribe(look);
    look(session.state());
  });
}

export const at = (session: Session, phase: Phase['at']): Promise<State> =>
  until(session, state => state.phase.at === phase);

/** At this question and ready for an answer. */
export const asked = (session: Session, question: string): Promise<State> =>
  until(session, ({phase}) => phase.at === 'asking' && phase.question === question && !phase.checking);

/** Answers the question that is shown with the text of its entry field, or with `text`. */
export function answer(session: Session, text?: string): void {
  const {phase} = session.state();
  if (phase.at !== 'asking') throw new Error(`no question at ${phase.at}`);
  session.send({type: 'answered', question: phase.question, text: text ?? phase.initial});
}

/** From the start to the record screen, every suggestion taken. */
export async function toRecord({session}: Started): Promise<State> {
  await at(session, 'host');
  session.send({type: 'continued'});
  for (const question of ['domains', 'selector', 'key', 'settings']) {
    await asked(session, question);
    answer(session);
  }
  return at(session, 'record');
}

export async function toPlan(started: Started): Promise<State> {
  await toRecord(started);
  started.session.send({type: 'continued'});
  return at(started.session, 'plan');
}
