/** Postfix, as a mail server of the registry. */

import type {PlanHost} from '../files.ts';
import type {Mta} from '../mta.ts';
import {bindAddresses} from './bind-addresses.ts';
import {detectPostfix} from './detect.ts';
import {type PostfixFacts, postfixOf} from './facts.ts';
import {POSTFIX, postfixHints} from './hints.ts';
import {proveByMail} from './prove/prove.ts';
import {readQueues} from './queue.ts';
import {postfixReach} from './reach.ts';
import {postfixReads} from './reads.ts';
import {type PostfixHost, planPostfix} from './steps.ts';

export const postfix: Mta<PostfixFacts> = {
  kind: 'postfix',
  words: POSTFIX,
  hints: postfixHints,
  packages: layout => layout.packages.postfix,
  detect: detectPostfix,
  reads: async (ports, facts, signers) => {
    const postfix = postfixOf(facts);
    return postfix === undefined ? undefined : await postfixReads(ports, postfix, facts, signers);
  },
  reach: host => postfixReach(hostOf(host)),
  plan: (host, link) => planPostfix(hostOf(host), link),
  sendsFrom: bindAddresses,
  places: facts => [postfixOf(facts)?.queueDirectory].flatMap(path => path ?? []),
  queue: readQueues,
  prove: (ports, {configDirectory}, submission, signal) =>
    proveByMail(ports, configDirectory, submission, signal),
};

function hostOf(host: PlanHost): PostfixHost {
  const postfix = postfixOf(host.facts);
  if (postfix === undefined) throw new TypeError('no Postfix');
  return {...host, postfix};
}
