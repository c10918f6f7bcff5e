export {type Draft, type DraftValue, dropDraft, loadDraft, saveDraft} from './draft.ts';
export type {
  Evidence,
  KeyEntry,
  KeyState,
  PublishedRecord,
  RotationState,
  ServerWord,
  Transition,
} from './entry.ts';
export {
  activate,
  activeEntry,
  addEntry,
  comingEntry,
  findEntry,
  type NextStep,
  newEntry,
  nextStep,
  putEntry,
  transition,
} from './lifecycle.ts';
export {parseState} from './parse.ts';
export {proposeSelector} from './selector.ts';
export {EMPTY_STATE, formatState, loadState, saveState} from './state.ts';
