/** One key and its life, as the state file keeps it. */
import type {PublishChoice} from '../dns/publish/index.ts';
import type {DnsName, DomainName, Selector} from '../domain/names.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import type {KeyAlgorithm} from '../keys/index.ts';
import type {TimeTrace} from './time.ts';

export const KEY_STATES = ['staged', 'pending', 'ready', 'active', 'retiring', 'revoked', 'removed'] as const;

/** Meaning of each: docs/explanation/key-life.md. */
export type KeyState = (typeof KEY_STATES)[number];

export interface PublishedRecord {
  readonly name: DnsName;
  readonly zone: DnsName;
  /** Name as a form of the zone's provider wants it: without the zone. */
  readonly relativeName: string;
  readonly value: string;
}

/** What a server said when it was asked; enough to believe it later. */
export interface ServerWord {
  readonly address: string;
  /** Serial of the zone there; absent where it was not asked. */
  readonly serial?: number;
}

/** Why a key may change its state. Each transition has its own kind; time alone is never one. */
export type Evidence =
  /** → staged: the key signs, and the signature verifies against the record that will be shown. */
  | {readonly kind: 'self-test'; readonly fingerprint: string}
  /** → staged…active: the key was there before waxseal. */
  | {readonly kind: 'adopted'; readonly from: string}
  /** staged → pending: somebody was shown the record and asked to publish it, or polling began. */
  | {readonly kind: 'record-shown'}
  /** pending → ready: every authoritative server returned exactly one matching record. */
  | {readonly kind: 'servers-agree'; readonly servers: readonly ServerWord[]}
  /** pending → ready: no server can be asked from here; the resolver has the record, and somebody said that is enough. */
  | {readonly kind: 'resolver-agrees'; readonly because: string}
  /** ready → pending: a server does not return it any more. */
  | {readonly kind: 'record-lost'; readonly servers: readonly ServerWord[]}
  /** ready → active: the run that switched, and the checks that passed after it. */
  | {readonly kind: 'signing-proven'; readonly run: string; readonly checks: readonly string[]}
  /** active → retiring: this selector signs now. */
  | {readonly kind: 'superseded'; readonly by: Selector}
  /** active → retiring: the domain does not sign any more. */
  | {readonly kind: 'signing-stopped'; readonly run: string}
  /** active → ready, retiring → active: the run that switched was undone. */
  | {readonly kind: 'undone'; readonly run: string}
  /** retiring → revoked: no message is left that needs it, and every server returns `p=` empty. */
  | {
      readonly kind: 'revocation-seen';
      readonly servers: readonly ServerWord[];
      readonly oldestQueuedAt?: string;
    }
  /** revoked → removed: no server returns a record any more. */
  | {
      readonly kind: 'record-gone';
      readonly servers: readonly ServerWord[];
      /** `kept`: left where it is; `missing`: it was not there any more, and waxseal had not destroyed it. */
      readonly key: 'shredded' | 'published' | 'kept' | 'missing';
    }
  /** staged, pending, ready → removed: never signed and will not. */
  | {readonly kind: 'abandoned'; readonly why: string};

export interface Transition {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly from: KeyState | 'none';
  readonly to: KeyState;
  readonly evidence: Evidence;
}

export interface KeyEntry {
  readonly domain: DomainName;
  readonly selector: Selector;
  readonly algorithm: KeyAlgorithm;
  readonly bits: number;
  readonly state: KeyState;
  readonly record: PublishedRecord;
  /** Where the key waits for its plan; absent for an adopted one. */
  readonly stagedPath?: AbsolutePath;
  /** Where the signer reads it; absent until a plan has put it there. */
  readonly keyPath?: AbsolutePath;
  /** Seconds that resolvers may still believe that there is no record (SOA minimum, RFC 2308), from the last survey. */
  readonly cacheSeconds?: number;
  readonly createdAt: string;
  /** When every authoritative server had it for the first time. */
  readonly publishedAt?: string;
  readonly activatedAt?: string;
  /** When a live test last passed for it, other than the one at its switch, which the log has. ISO 8601, UTC. */
  readonly provenAt?: string;
  /** Seconds that the record may be cached, as last seen at the authoritative servers. */
  readonly ttlSeconds?: number;
  /** Published in advance: signs only when the active key is due or leaked. */
  readonly standby?: true;
  /** The private key is known to others since then; its record is withdrawn without waiting. ISO 8601, UTC. */
  readonly leakedAt?: string;
  /** Retiring: since then no message in the queue is signed with it. ISO 8601, UTC. */
  readonly clearSince?: string;
  /** Retiring: when a row of a signer was last seen to use it; its time to stay counts from then. ISO 8601, UTC. */
  readonly usedAt?: string;
  /** Its record was asked to be withdrawn; noted before anybody is asked. */
  readonly withdrawal?: Withdrawal;
  /** Appended, never changed. */
  readonly log: readonly Transition[];
}

/** Why a record may be withdrawn, as it was known at that time. */
export interface Withdrawal {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly because: 'not-needed' | 'leaked';
  /** When the oldest message of the queue had come in; absent where there was none. */
  readonly oldestQueuedAt?: string;
}

/** A key of another host for a domain that this one may sign for, too. Known, never touched. */
export interface ForeignKey {
  readonly host: string;
  readonly domain: DomainName;
  readonly selector: Selector;
  readonly algorithm: KeyAlgorithm;
  readonly state: KeyState;
  readonly record: PublishedRecord;
}

/** Which program enters and withdraws the records of a domain. Names files and a provider, never a secret. */
export interface Publisher {
  readonly domain: DomainName;
  readonly publish: PublishChoice;
}

export const SCHEMA_VERSION = 1;

/** Every key that waxseal knows of on this host. Removed ones stay: a selector is never used again. */
export interface RotationState {
  readonly keys: readonly KeyEntry[];
  /** What earlier runs saw of the clock. */
  readonly time?: TimeTrace;
  /** Keys of other hosts, by `waxseal import`. */
  readonly elsewhere?: readonly ForeignKey[];
  /** Programs that entered records, remembered so that a rotation can have them withdrawn; absent: the person does. */
  readonly publishers?: readonly Publisher[];
  /** What a person was told and is not settled: nobody is told the same every hour. */
  readonly told?: readonly Told[];
}

export interface Told {
  /** The name of a record, or what else it was about. */
  readonly about: string;
  /** Of the words. */
  readonly digest: string;
  /** ISO 8601, UTC. */
  readonly at: string;
}
