/** Publishing by a program: what was chosen, what is run for it, and the running. */
export type {RecordChange} from './change.ts';
export {formatPublish, nameOfPublisher, type PublishChoice, parsePublish, publishArgv} from './choice.ts';
export {programsFor} from './programs.ts';
export {publishRecord} from './run.ts';
