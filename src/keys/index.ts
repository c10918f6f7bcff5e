export {type GeneratedKey, generateKey} from './generate.ts';
// importKey is in ./import.ts: it brings a whole ASN.1 library, which only an import should load.
export type {ImportedKey} from './import.ts';
export {
  describeContent,
  describeKey,
  inspectKey,
  type KeyAlgorithm,
  type KeyDescription,
  privateFingerprint,
  recordFingerprint,
} from './inspect.ts';
export {type SelfTestName, selfTest} from './self-test.ts';
export {dropEmptyStage, readStagedKey, type StagedKey, stageKey} from './stage.ts';
export {
  judgeOwn,
  makeStateDirectory,
  OWN_DIRECTORY,
  OWN_FILE,
  oddKind,
  sweepTemporary,
} from './state-directory.ts';
