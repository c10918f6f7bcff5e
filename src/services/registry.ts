/** The only file that names the implementations of the contracts. */
import type {Hints} from '../proof/fault.ts';
import type {Senders} from '../proof/kept.ts';
import type {Ports} from '../system/ports.ts';
import type {Candidate} from './candidate.ts';
import type {HostFacts} from './facts.ts';
import type {Entrance, Mta, MtaWords, QueuedMail} from './mta.ts';
import {sendersToCompare} from './opendkim/compared.ts';
import {openDkimSigners} from './opendkim/decide/read.ts';
import {OPENDKIM, openDkimHints} from './opendkim/hints.ts';
import {openDkimTrial} from './opendkim/trial.ts';
import {postfix} from './postfix/index.ts';
import {QUEUE_ID, readQueueFile} from './postfix/queued.ts';
import {readWays} from './postfix/ways/read.ts';
import type {SignerHints, SignerView, SignerWords} from './signer.ts';
import type {Step} from './step.ts';
import type {Trial} from './trial.ts';

export const MTAS: readonly [Mta, ...Mta[]] = [postfix];

/** The signer that is set up: what it is called, its words for faults, and what the proofs need of it. */
export const SIGNER: {
  readonly words: SignerWords;
  hints(mta: MtaWords): SignerHints;
  trial(candidate: Candidate, facts: HostFacts): Trial;
  /** Whose mail it signs now; those of rows that `steps` touch are marked. */
  senders(ports: Pick<Ports, 'files'>, facts: HostFacts, steps: readonly Step[]): Promise<Senders>;
} = {
  words: OPENDKIM,
  hints: openDkimHints,
  trial: (candidate, facts) => openDkimTrial(candidate, facts.signer ?? {user: 'opendkim'}),
  senders: async (ports, {signer}, steps) =>
    signer === undefined
      ? {all: [], unread: [], isTouched: () => false}
      : await sendersToCompare(ports, signer, steps),
};

/** The mail server of this host; undefined where it has none that is known. */
export const mtaOf = (facts: HostFacts): Mta | undefined => MTAS.find(({kind}) => kind === facts.mta?.kind);

/** The words for every fault, of the signer and of the mail server that hands mail to it. */
export const hintsFor = (mta: Mta = MTAS[0]): Hints => ({...SIGNER.hints(mta.words), ...mta.hints});

type LookPorts = Pick<Ports, 'files' | 'commands' | 'users'>;

/** Every way in, of every instance of the mail server of this host; none where it has no mail server that is known. */
export const hostEntrances = async (
  ports: LookPorts,
  {mta}: HostFacts,
  signal?: AbortSignal,
): Promise<readonly Entrance[]> =>
  mta === undefined ? [] : await readWays({ports, signal}, mta.configDirectory);

/** Every program of this host that signs, or could. */
export const hostSigners = async (
  ports: LookPorts,
  facts: HostFacts,
  signal?: AbortSignal,
): Promise<readonly SignerView[]> => await openDkimSigners(ports, facts, signal);

/** Remarks of a look that the picture of the host answers more exactly: each way of mail with the line that decides. */
export const ANSWERED_BY_PICTURE: ReadonlySet<string> = new Set([
  'postfix.override',
  'postfix.milters-off',
  'postfix.milter-maps',
  'postfix.content-filter',
  'postfix.rewrites-later',
  'opendkim.dead-rows',
  'opendkim.default-socket',
]);

/** A message in the queue of the mail server, by its id; undefined where there is none. */
export const queuedMail = async (
  ports: Pick<Ports, 'commands'>,
  {mta}: HostFacts,
  id: string,
): Promise<QueuedMail | undefined> =>
  mta === undefined ? undefined : await readQueueFile(ports, mta.configDirectory, id);

/** Text that can be the id of a queued message: no address has this form. */
export const isQueueId = (text: string): boolean => QUEUE_ID.test(text);
