export {generateKey} from './generate.ts';
// importKey is in ./import.ts: it brings a whole ASN.1 library, which only an import should load.
export type {ImportedKey} from './import.ts';
export {
  describeContent,
  inspectKey,
  type KeyAlgorithm,
  privateFingerprint,
  recordFingerprint,
} from './inspect.ts';
export {selfTest} from './self-test.ts';
export {dropEmptyStage, dropStagedKey, readStagedKey, stageKey} from './stage.ts';
export {judgeOwn, makeStateDirectory, OWN_FILE, oddKind, sweepTemporary} from './state-directory.ts';
