/**
 * The contract of a program that signs: what it signs, and how it decides about one message. Plain data and pure
 * questions; how a signer calls its own settings stands in `Decision` only.
 */

import type {SocketEndpoint} from '../domain/endpoint.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import type {Decision, Source} from '../domain/source.ts';
import type {Hint, SignerFault} from '../proof/fault.ts';
import type {QueriedSigner} from '../proof/kept.ts';

export interface KnownKey {
  /** Name in the key table; '' for the single Domain/Selector/KeyFile form. */
  readonly label: string;
  readonly domain: string;
  readonly selector: string;
  readonly path: string;
}

/** How signing hangs on the way of a message: a milter that the MTA asks, or the MTA itself as it delivers. */
export type Attachment = {readonly by: 'milter'; readonly endpoint: SocketEndpoint} | {readonly by: 'mta'};

/** What every signer says of itself; each adds what it alone reads, inside its own folder. */
export interface SignerFacts {
  /** Name of its folder below services/. */
  readonly kind: string;
  /** As its makers write it. */
  readonly program: string;
  readonly version: string;
  readonly unit: string;
  readonly active: boolean;
  /** The account that signs. */
  readonly user: string;
  readonly group: string;
  /** Today; undefined where it is not set up. */
  readonly attachment: Attachment | undefined;
  readonly keys: readonly KnownKey[];
  /** Domains that are signed today. */
  readonly signedDomains: readonly string[];
}

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
  /** Parts of its configuration that waxseal cannot read: an answer may be `unknown` for them. */
  readonly unread: readonly Decision[];
  /** Pure; linear in the length of the address at most. */
  wouldSign(question: SigningQuestion): SigningAnswer;
}

/** Where a signer answers as a milter; undefined where it does not. */
export const milterEndpoint = (
  signer: Pick<SignerFacts, 'attachment'> | undefined,
): SocketEndpoint | undefined =>
  signer?.attachment?.by === 'milter' ? signer.attachment.endpoint : undefined;

/** What sentences of others call a signer and its settings. */
export interface SignerWords extends QueriedSigner {
  /** The setting of its socket, with its file. */
  readonly socketSetting: string;
  /** The setting of the clients whose mail it signs. */
  readonly clientsSetting: string;
  /** Why it refuses a message for good, most often: `with ... the key is too small`. */
  readonly refusal: string;
}

export type SignerHints = Readonly<Record<SignerFault, Hint>>;
