/**
 * What went wrong in a proof, as an id with its evidence. The cause and the remedy name programs, settings and logs, which
 * this room does not know: the signer and the mail server of the host bring them as hints.
 */
import type {DomainName, Selector} from '../domain/names.ts';
import type {SocketEndpoint} from '../system/ports.ts';
import type {Finding} from './finding.ts';

/** Faults for which the signer has the words. */
export type SignerFault =
  /** The socket: there is none, it may not be used, or nothing listens on it. */
  | 'socket.missing'
  | 'socket.denied'
  | 'socket.refused'
  /** The account of the mail server may not write to the socket. */
  | 'socket.no-access'
  /** The conversation: no answer in time, cut off, or against the milter protocol. */
  | 'milter.timeout'
  | 'milter.closed'
  | 'milter.protocol'
  /** What it answers instead of letting the message pass. */
  | 'reply.tempfail'
  | 'reply.discard'
  | 'reply.refused'
  /** What it put on the message. */
  | 'signature.none'
  | 'signature.other-signer'
  | 'signature.other-domain'
  | 'signature.other-selector'
  | 'signature.other-key'
  | 'signature.mismatch'
  | 'signature.invalid';

/** Faults for which the mail server has the words. */
export type MtaFault = 'signature.several';

export type ProbeFault = SignerFault | MtaFault;

/** What was probed when the fault came up. */
export interface FaultContext {
  readonly domain: DomainName;
  /** The domain in From; absent where it is `domain`. */
  readonly sender?: DomainName;
  readonly selector: Selector;
  readonly endpoint: SocketEndpoint;
  /** Programs beside the signer that sign here, or may. */
  readonly others?: readonly {readonly program: string}[];
}

/** The cause of a fault and what to do, for a person. */
export type Hint = (context: FaultContext) => Pick<Finding, 'cause' | 'fix'>;

export type Hints = Readonly<Record<ProbeFault, Hint>>;

/** A failure whose words depend on the programs of the host; evidence is harmless for a terminal. */
export interface Fault {
  readonly fault: ProbeFault;
  readonly evidence: string;
}

export const faultOf = (fault: ProbeFault, evidence: string): Fault => ({fault, evidence});

/** A finding as it is; a fault as a failure in the words of the host's programs. */
export const toFinding = (found: Finding | Fault, hints: Hints, context: FaultContext): Finding =>
  'fault' in found ? {status: 'fail', evidence: found.evidence, ...hints[found.fault](context)} : found;

/** Names of other signers in a sentence. */
export const namesOf = ({others = []}: Pick<FaultContext, 'others'>): string =>
  others.map(({program}) => program).join(', ');
