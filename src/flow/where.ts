/** Where a person stands: the screen, and which of how many. */
import {questionOf} from './questions.ts';
import {type Phase, SCREENS, type ScreenId, type State} from './state.ts';

// A dry run publishes nothing and applies nothing.
const DRY_RUN: readonly ScreenId[] = ['look', 'domain', 'selector', 'key', 'plan', 'summary'];

export interface Place {
  readonly screen: ScreenId;
  /** From 1: `Step 4 of 10`. */
  readonly index: number;
  readonly of: number;
}

/** Which screen this is, and of how many. */
export function where(state: State): Place {
  const screens: readonly ScreenId[] = state.mode.dryRun ? DRY_RUN : SCREENS;
  const screen = screenOf(state.phase);
  return {screen, index: Math.max(1, screens.indexOf(screen) + 1), of: screens.length};
}

function screenOf(phase: Phase): ScreenId {
  switch (phase.at) {
    case 'looking':
    case 'host':
    case 'recovering':
    case 'installing':
      return 'look';
    case 'asking':
      return questionOf(phase.question).screen;
    case 'making-key':
      return 'key';
    case 'record':
      return 'record';
    case 'propagation':
      return 'propagation';
    case 'planning':
    case 'plan':
      return 'plan';
    case 'applying':
    case 'rolling-back':
      return 'apply';
    case 'testing':
      return 'test';
    case 'leaving':
      return screenOf(phase.from);
    case 'finished':
      return 'summary';
  }
}
