import {useEffect, useState} from 'react';
import type {Phase, Session, State} from '../../flow/state.ts';

/** Work can report many times a second; a person reads a few. */
const CALM_MS = 250;

const REPORTING: readonly Phase['at'][] = [
  'making-key',
  'propagation',
  'installing',
  'recovering',
  'applying',
  'testing',
  'rolling-back',
];

/** The state of the session. A new phase is drawn at once, news of the same work four times a second at most. */
export function useSessionState(session: Session): State {
  const [state, setState] = useState(() => session.state());
  useEffect(() => {
    let timer: NodeJS.Timeout | undefined;
    let phase = session.state().phase.at;
    const show = (): void => {
      clearTimeout(timer);
      timer = undefined;
      setState(session.state());
    };
    const onChange = (next: State): void => {
      const same = next.phase.at === phase;
      phase = next.phase.at;
      if (!same || !REPORTING.includes(phase)) show();
      else timer ??= setTimeout(show, CALM_MS);
    };
    show();
    const unsubscribe = session.subscribe(onChange);
    return () => {
      clearTimeout(timer);
      unsubscribe();
    };
  }, [session]);
  return state;
}
