export {earliestArrival} from './arrival.ts';
export {type Draft, type DraftValue, dropDraft, loadDraft, saveDraft} from './draft.ts';
export type {
  Evidence,
  ForeignKey,
  KeyEntry,
  KeyState,
  PublishedRecord,
  Publisher,
  RotationState,
  ServerWord,
  Told,
  Transition,
  Withdrawal,
} from './entry.ts';
export {formerRecords} from './former.ts';
export {compareHosts, foreignOf} from './hosts.ts';
export {
  activate,
  activeEntry,
  addEntry,
  comingEntry,
  entryFinder,
  entryName,
  findEntry,
  isComing,
  lastEntered,
  type NextStep,
  newEntry,
  nextStep,
  putEntry,
  transition,
} from './lifecycle.ts';
export {foreignKey, parseForeignKeys, parseState} from './parse.ts';
export {publisherOf, withPublisher} from './publishers.ts';
export {
  type Act,
  ageOf,
  type Due,
  due,
  keepMs,
  type RecordFacts,
  type RotationFacts,
  revokedValue,
  type SeenAs,
  type SilentFacts,
  type WaitsFor,
} from './schedule.ts';
export {proposeSelector} from './selector.ts';
export {DEFAULT_SETTINGS, longDuration, parseSettings, type RotationSettings} from './settings.ts';
export {EMPTY_STATE, formatState, loadState, saveState} from './state.ts';
export {type ClockJump, elapsedSince, noteTime, type TimeReading, type TimeTrace} from './time.ts';
export {undoHazard} from './undo-hazard.ts';
