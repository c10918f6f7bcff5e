/** The only file that names the implementations of the contracts. */
import type {Hints} from '../proof/fault.ts';
import type {Ports} from '../system/ports.ts';
import {amavis} from './amavis/index.ts';
import {dkimMilter, dkimproxy} from './by-name/signers.ts';
import {dkimpy} from './dkimpy/index.ts';
import type {HostFacts} from './facts.ts';
import type {Mta, QueuedMail} from './mta.ts';
import {openDkim} from './opendkim/index.ts';
import {postfixOf} from './postfix/facts.ts';
import {postfix} from './postfix/index.ts';
import {readQueueFile} from './postfix/queued.ts';
import {rspamd} from './rspamd/index.ts';
import type {Signer, SignerView, SigningProgram} from './signer.ts';

/** Text that can be the id of a queued message: no address has this form. */
export {isQueueId} from './postfix/queued.ts';

export const MTAS: readonly [Mta, ...Mta[]] = [postfix];

export const SIGNERS: readonly [Signer, ...Signer[]] = [openDkim];

/** Every program that may sign. */
export const PROGRAMS: readonly SigningProgram[] = [
  rspamd,
  amavis,
  dkimpy,
  dkimMilter,
  dkimproxy,
  ...SIGNERS,
];

/** The signer that is set up. */
export const SIGNER: Signer = SIGNERS[0];

/** The mail server of this host; undefined where it has none that is known. */
export const mtaOf = (facts: Pick<HostFacts, 'mta'>): Mta | undefined =>
  MTAS.find(({kind}) => kind === facts.mta?.kind);

/** The words for every fault, of the signer and of the mail server that hands mail to it. */
export const hintsFor = (mta: Mta = MTAS[0]): Hints => ({...SIGNER.hints(mta.words), ...mta.hints});

type LookPorts = Pick<Ports, 'files' | 'commands' | 'users'>;

/** Every program of this host that signs, or could. */
export const hostSigners = async (
  ports: LookPorts,
  facts: HostFacts,
  signal?: AbortSignal,
): Promise<readonly SignerView[]> =>
  (await Promise.all(PROGRAMS.map(program => program.views?.(ports, facts, signal)))).flatMap(
    views => views ?? [],
  );

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
  facts: HostFacts,
  id: string,
): Promise<QueuedMail | undefined> => {
  const mta = postfixOf(facts);
  return mta === undefined ? undefined : await readQueueFile(ports, mta.configDirectory, id);
};
