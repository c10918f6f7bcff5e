/** Postfix, as a mail server of the registry. */
import type {Mta} from '../mta.ts';
import type {PostfixFacts} from './facts.ts';
import {POSTFIX, postfixHints} from './hints.ts';
import {proveByMail} from './prove/prove.ts';
import {readQueues} from './queue.ts';

export const postfix: Mta<PostfixFacts> = {
  kind: 'postfix',
  words: POSTFIX,
  hints: postfixHints,
  queue: readQueues,
  prove: (ports, {configDirectory}, submission, signal) =>
    proveByMail(ports, configDirectory, submission, signal),
};
