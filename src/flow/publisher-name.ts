/** Who enters the record, as a view says it. */
import {nameOfPublisher} from '../dns/publish/index.ts';
import {visible} from '../domain/text.ts';
import type {Answers} from './answers.ts';

/** True where a program enters the record, not the person. */
export const publishesItself = ({publish}: Answers): boolean =>
  publish !== undefined && publish.by !== 'manual';

/** `nsupdate`, `lexicon at gandi`, `the hook /usr/local/sbin/dns`; harmless for a terminal. */
export const publisherName = ({publish}: Answers): string =>
  visible(publish === undefined ? 'you' : nameOfPublisher(publish));
