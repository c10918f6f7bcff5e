/**
 * The contract of a program that signs: what it signs, how it decides about one message, and how it is set up. Plain data
 * and pure questions; how a signer calls its own settings stands in `Decision` only.
 */

import type {SocketEndpoint} from '../domain/endpoint.ts';
import type {DomainSelector} from '../domain/names.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import type {Problem, Result} from '../domain/result.ts';
import type {Decision, Source} from '../domain/source.ts';
import type {KeyAlgorithm} from '../keys/index.ts';
import type {Layout} from '../layouts/layout.ts';
import type {Hint, SignerFault} from '../proof/fault.ts';
import type {Ports} from '../system/ports.ts';
import type {Candidate} from './candidate.ts';
import type {HostFacts, SignerFacts} from './facts.ts';
import type {PlanHost} from './files.ts';
import type {SignerChange, SigningIntent} from './intent.ts';
import type {Found, LookContext} from './look-context.ts';
import type {MtaWords, Reach} from './mta.ts';
import type {SigningProgram} from './rival.ts';
import type {Reads} from './snapshot.ts';
import type {Trial} from './trial.ts';
import type {SignerWords} from './words.ts';

export type {SignerWords};

/** One message, as a signer is told of it. */
export interface SigningQuestion {
  /** Address in the From field as the signer sees it, lower case domain. */
  readonly from: string;
  /** Address in the Sender field, where there is one. */
  readonly sender?: string;
  readonly client: {readonly name: string; readonly address: string};
  /** Macros by name as they are sent: `{auth_type}`, `{daemon_name}`, `i`. What is not sent is not in it. */
  readonly macros: ReadonlyMap<string, string>;
  readonly recipients: readonly string[];
}

/** One row of a configuration that makes the signer sign. */
export interface SigningRow {
  /** As it is written, made harmless: `*@example.org`. */
  readonly pattern: string;
  /** d=, lower case; undefined where it follows the sender's domain. */
  readonly domain: string | undefined;
  readonly selector: string;
  /** Where the private key lies, as named; undefined where the row names no key that exists. */
  readonly keyPath: AbsolutePath | undefined;
  readonly source: Source;
}

export interface SignedBy {
  /** d= and s=, lower case. */
  readonly domain: string;
  readonly selector: string;
  readonly keyPath: AbsolutePath | undefined;
  readonly row: SigningRow;
}

/** `refused`: the signer stops the mail (a key it cannot use). `unknown`: `decisions` ends with what cannot be read. */
export interface SigningAnswer {
  readonly outcome: 'signed' | 'unsigned' | 'refused' | 'unknown';
  /** Empty unless signed. */
  readonly by: readonly SignedBy[];
  /** Every decision that was taken, in the signer's own order; the last one decided. */
  readonly decisions: readonly Decision[];
}

/** One program that signs, or could. */
export interface SignerView {
  readonly kind: string;
  /** As its makers write it. */
  readonly program: string;
  readonly unit: string;
  readonly isRunning: boolean;
  /** Where it listens; empty for a program that signs by itself. */
  readonly endpoints: readonly {readonly endpoint: SocketEndpoint; readonly source: Source}[];
  readonly rows: readonly SigningRow[];
  /**
   * Macros that it asks the MTA for at the end of the headers, in place of the MTA's own list for that step; absent
   * where it takes what the MTA sends. What is sent last is what counts.
   */
  readonly asksFor?: readonly string[];
  /** Hosts, networks, names and patterns by which it tells clients apart, as they are written. */
  readonly clients?: readonly string[];
  /** Parts of its configuration that waxseal cannot read: an answer may be `unknown` for them. */
  readonly unread: readonly Decision[];
  /** What is written there and has no effect, though it looks as if it had. */
  readonly idle: readonly Decision[];
  /** Pure; linear in the length of the address at most. */
  wouldSign(question: SigningQuestion): SigningAnswer;
}

export type SignerHints = Readonly<Record<SignerFault, Hint>>;

/** A key that is to sign; `shared`: with several domains. */
export type WantedKey = DomainSelector & {readonly shared?: boolean};

/** One program that waxseal can set up for signing. Only `detect`, `reads` and `views` read the host; `plan` is pure. */
export interface Signer<F extends SignerFacts = SignerFacts> extends SigningProgram {
  readonly kind: F['kind'];
  readonly words: SignerWords;
  /** The packages that a layout has for it. */
  packages(layout: Layout): readonly string[];
  hints(mta: MtaWords): SignerHints;
  /** Undefined where its program is not installed. */
  detect(context: LookContext & {readonly layout: Layout}): Promise<Found<F> | undefined>;
  /** What the snapshot of a plan must hold. */
  reads(
    ports: Pick<Ports, 'files' | 'users' | 'commands'>,
    facts: HostFacts,
    wanted: readonly WantedKey[],
  ): Promise<Reads>;
  plan(host: PlanHost, reach: Reach, intent: SigningIntent): Result<SignerChange>;
  trial(candidate: Candidate, facts: HostFacts): Trial;
  /** Every instance of it on this host, as the picture asks it. */
  views(
    ports: Pick<Ports, 'files' | 'commands' | 'users'>,
    facts: HostFacts,
    signal?: AbortSignal,
  ): Promise<readonly SignerView[]>;
  /** Directories where a rotation writes. */
  places(facts: HostFacts): readonly AbsolutePath[];
  /** Files that decide whose mail it signs, or how: its configuration, and the tables that this names. */
  decidingFiles(facts: HostFacts): readonly AbsolutePath[];
  /** Why an installation of `version` cannot take a key of this kind; undefined where it can. */
  algorithmRefusal(algorithm: KeyAlgorithm, version: string | undefined): Problem | undefined;
}
