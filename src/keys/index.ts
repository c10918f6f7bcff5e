export {type GeneratedKey, generateKey} from './generate.ts';
export {type ImportedKey, importKey} from './import.ts';
export {describeKey, inspectKey, type KeyAlgorithm, type KeyDescription} from './inspect.ts';
export {type SelfTestName, selfTest} from './self-test.ts';
export {readStagedKey, type StagedKey, stageKey} from './stage.ts';
export {makeStateDirectory, OWN_DIRECTORY, OWN_FILE, sweepTemporary} from './state-directory.ts';
export {signerSupports} from './support.ts';
