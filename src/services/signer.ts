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
import type {Files, Ports} from '../system/ports.ts';
import type {HostFacts, Rival, SignerFacts} from './facts.ts';
import type {PlanHost} from './files.ts';
import type {SignerChange, SigningIntent} from './intent.ts';
import type {KeyFact} from './key-fact.ts';
import type {KeyReader, SignerRow} from './key-rows.ts';
import type {Found, LookContext} from './look-context.ts';
import type {Entrance, MtaWords, Reach} from './mta.ts';
import type {Reads} from './snapshot.ts';
import type {CheckStep, ServiceStep} from './step.ts';
import type {Trial} from './trial.ts';
import type {SignerWords} from './words.ts';

export type {SignerWords};

/** One message, as a signer is told of it. */
export interface SigningQuestion {
  /** Address in the From field as the signer sees it, lower case domain. */
  readonly from: string;
  /** Address in the Sender field, where there is one. */
  readonly sender?: string;
  /** Sender of the envelope, '' for a bounce; where it is absent, that of From. */
  readonly envelope?: string;
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
  /** Of `refused`: the signer does not answer, but dies of the message. */
  readonly dies?: true;
  /** Why no receiver takes its signatures for valid. */
  readonly invalid?: Decision;
  /** Signatures that the message has already are taken out. */
  readonly removesOlder?: true;
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
  /** Key files that its rows name, by the path in the row, as far as they were read to know how it decides. */
  readonly keys?: ReadonlyMap<AbsolutePath, KeyFact>;
  /** Whether it is the content filter that the MTA hands mail to by these words; absent for what is none. */
  takes?(to: string): boolean;
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

/** What is known already when others than the signer that waxseal serves are looked for. */
export interface RivalContext extends LookContext {
  /** Every way in of the mail server; none where there is none. */
  readonly entrances: readonly Entrance[];
  /** The signer that waxseal serves. */
  readonly signer: SignerFacts | undefined;
  /** Of the units that the programs name, those that are active. */
  readonly active: ReadonlySet<string>;
}

export interface KeyRowReads {
  readonly files: Pick<Files, 'inspect' | 'list' | 'resolve' | 'readLink'>;
  readonly keys: KeyReader;
}

/** How the signing of a program ends while its other work goes on. */
export type SwitchOff =
  /** It is a milter and nothing else: its entry leaves the lists of the mail server. */
  | {readonly by: 'milter'; isEntry(entry: string): boolean}
  | {
      readonly by: 'configuration';
      /** The text of `Rival.configFile`; unchanged where it says so already, or has no such line. */
      edit(text: string): string;
      readonly check: readonly CheckStep[];
      readonly action: ServiceStep['action'];
      /** Until the new configuration holds. Milliseconds. */
      readonly steadyMs: number;
    };

/** A program that may sign, be it the one that waxseal sets up or another. */
export interface SigningProgram {
  /** Name of its folder below services/, or in services/by-name. */
  readonly kind: string;
  /** Under which it may run. */
  readonly units: readonly string[];
  /** Undefined where it is not on this host, or is the signer that waxseal serves. */
  rival(context: RivalContext): Promise<Rival | undefined>;
  /** Every row that it signs by. What cannot be read is a row of its own, which counts as a use of any key. */
  keyRows(reads: KeyRowReads, facts: HostFacts): Promise<readonly SignerRow[]>;
  /** Absent where waxseal does not know it. */
  readonly switchOff?: SwitchOff;
  /** Every instance of it on this host, as the picture asks it; absent where its configuration is not read. */
  views?(
    ports: Pick<Ports, 'files' | 'commands' | 'users'>,
    facts: HostFacts,
    signal?: AbortSignal,
  ): Promise<readonly SignerView[]>;
}

/** One program that waxseal can set up for signing. Only `plan` is pure; what else takes ports reads the host. */
export interface Signer<F extends SignerFacts = SignerFacts> extends SigningProgram {
  readonly kind: F['kind'];
  readonly words: SignerWords;
  /** The packages that a layout has for it. */
  packages(layout: Layout): readonly string[];
  hints(mta: MtaWords): SignerHints;
  /** Undefined where its program is not installed. */
  detect(context: LookContext & {readonly layout: Layout}): Promise<Found<F> | undefined>;
  views: NonNullable<SigningProgram['views']>;
  /** What the snapshot of a plan must hold. */
  reads(
    ports: Pick<Ports, 'files' | 'users' | 'commands'>,
    facts: HostFacts,
    wanted: readonly WantedKey[],
  ): Promise<Reads>;
  plan(host: PlanHost, reach: Reach, intent: SigningIntent): Result<SignerChange>;
  /** Its configuration as it is now, to be asked in place of the live one; undefined where it cannot be read. */
  currentTrial(host: PlanHost): Trial | undefined;
  /** Directories where a rotation writes. */
  places(facts: HostFacts): readonly AbsolutePath[];
  /** Files that decide whose mail it signs, or how: its configuration, and the tables that this names. */
  decidingFiles(facts: HostFacts): readonly AbsolutePath[];
  /** Why an installation of `version` cannot take a key of this kind; undefined where it can. */
  algorithmRefusal(algorithm: KeyAlgorithm, version: string | undefined): Problem | undefined;
}
