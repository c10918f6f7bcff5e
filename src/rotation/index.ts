export {earliestArrival} from './arrival.ts';
export {dropDraft, loadDraft, saveDraft} from './draft.ts';
export type {
  Evidence,
  ForeignKey,
  KeyEntry,
  KeyState,
  PublishedRecord,
  RotationState,
  ServerWord,
  Told,
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
  lastProven,
  newEntry,
  nextStep,
  putEntry,
  transition,
} from './lifecycle.ts';
export {parseForeignKeys, parseState} from './parse.ts';
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
} from './schedule.ts';
export {proposeSelector} from './selector.ts';
export {DEFAULT_SETTINGS, parseSettings, type RotationSettings} from './settings.ts';
export {EMPTY_STATE, formatState, loadState, saveState} from './state.ts';
export {elapsedSince, noteTime, type TimeReading} from './time.ts';
export {undoHazard} from './undo-hazard.ts';
