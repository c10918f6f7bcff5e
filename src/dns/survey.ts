/** What the authoritative servers of a zone say about one record, server by server. Data and its judgement, no I/O. */
import type {DnsName} from '../domain/names.ts';
import type {Problem} from '../domain/result.ts';

export interface Zone {
  /** The zone's apex, found by the SOA walk. */
  readonly apex: DnsName;
  /** MNAME of the SOA. */
  readonly primary: DnsName;
  readonly serial: number;
  /** Seconds a negative answer may be cached: min(SOA TTL, SOA MINIMUM), RFC 2308 §5. */
  readonly negativeTtlSeconds: number;
  /** Every authoritative server on every address. */
  readonly servers: readonly AuthoritativeServer[];
  /** Name servers that have no address, or other oddities worth a line. */
  readonly remarks: readonly Problem[];
}

export interface AuthoritativeServer {
  readonly name: DnsName;
  readonly address: string;
  readonly port: number;
  /**
   * Where it is listed when not in both: `parent`, only in the delegation; `child`, only in the zone's own NS records;
   * `primary`, only as MNAME of the SOA (RFC 1912 §2.2), asked when the record is nowhere else.
   */
  readonly listed?: 'parent' | 'child' | 'primary';
}

/** `asking` before the first answer; while a later round runs, the status of the round before stays. */
export type ServerStatus =
  | 'asking'
  | 'matching'
  | 'absent'
  | 'wrong'
  | 'several'
  | 'timeout'
  | 'refused'
  | 'lame'
  | 'unreachable';

export interface ServerView {
  readonly server: AuthoritativeServer;
  readonly status: ServerStatus;
  /** SOA serial of this server at the time; undefined where it did not say. */
  readonly serial: number | undefined;
  /** TXT records found, strings joined; made harmless for a terminal only when shown. */
  readonly records: readonly string[];
  /**
   * Which mistake it is, where one can be named. A matching server may have one too: a remark on something that works
   * but is better mended.
   */
  readonly mistake: Problem | undefined;
  /** Where the name is a CNAME: its last target, at which the records were found. */
  readonly alias?: DnsName;
  /** Where the alias comes from a DNAME (RFC 6672): its owner, at or above the name. */
  readonly dname?: DnsName;
  /** TTL of the TXT records, seconds; undefined where there are none. */
  readonly ttlSeconds?: number;
}

/** The servers at the end of a CNAME: they hold the record, so they are shown, too. */
export interface AliasTarget {
  readonly name: DnsName;
  readonly zone: Zone;
  readonly servers: readonly ServerView[];
}

/** What some cache may still say although the servers agree; a view counts down to `until`. */
export interface CacheLimit {
  /** `negative`: that nothing is there (RFC 2308); `old`: the record that was there before. */
  readonly kind: 'negative' | 'old';
  /** `resolver`: this host's, which told the time itself. `anywhere`: any other that asked just before the change. */
  readonly where: 'resolver' | 'anywhere';
  /** ISO 8601, UTC. */
  readonly until: string;
}

/**
 * As the resolver tells it. `validated`: AD. `insecure`: not signed. `unchecked`: signed, but the resolver does not
 * validate. `bogus`: SERVFAIL, but an answer where validation is switched off; then no validating receiver reads the key.
 */
export interface DnssecView {
  readonly status: 'validated' | 'insecure' | 'unchecked' | 'bogus';
  /** When the signature of the record ends: ISO 8601, UTC. */
  readonly expiresAt?: string;
  /** Bogus, expired or about to expire. */
  readonly mistake?: Problem;
}

/**
 * `timeout`: no resolver answered or would answer. `failed`: it answered SERVFAIL although the servers agree, as with
 * broken DNSSEC; then verifiers cannot read the record either.
 */
export type ResolverStatus = 'not-asked' | 'matching' | 'absent' | 'wrong' | 'timeout' | 'failed';

export interface Survey {
  readonly name: DnsName;
  /** The value that should be published, strings joined. */
  readonly expected: string;
  readonly zone: Zone;
  readonly servers: readonly ServerView[];
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Every authoritative server that can be reached from here returns exactly the one record, and at least one is. */
  readonly agreed: boolean;
  /** Asked only after `agreed`: what the host's own resolver says. */
  readonly resolver: ResolverStatus;
  /** True where nothing more has to be awaited: agreed, and the resolver agrees or cannot be asked. */
  readonly settled: boolean;
  /** When the next round is due; ISO 8601. Undefined in a final survey. */
  readonly nextAt: string | undefined;
  /** Targets of CNAMEs and their servers, in the order in which they were found. */
  readonly targets?: readonly AliasTarget[];
  /** What caches may still hold; only after `agreed`, and only what has not passed. */
  readonly caches?: readonly CacheLimit[];
  /** Undefined until a resolver was asked. */
  readonly dnssec?: DnssecView;
  /**
   * Set where no authoritative server can be reached from here, so that only the resolver could be asked: `resolver` is
   * then all that is known, and this says what it is worth. `agreed` and `settled` stay false.
   */
  readonly weaker?: Problem;
  /**
   * Set by a rotation where every server has the record, but the key must not sign before this moment, since somebody may
   * still remember that nothing was there (docs/decisions/0004). `settled` stays false until then. ISO 8601, UTC.
   */
  readonly notBefore?: string;
}

/** One record in every form a person may need. All values are complete; strings are 255 octets at most. */
export interface RecordForms {
  readonly absoluteName: DnsName;
  readonly zone: DnsName;
  /** Name relative to the zone, as most panels want it: `202611._domainkey.mail`. */
  readonly relativeName: string;
  readonly value: string;
  /** The value cut into character-strings of 255 octets at most (RFC 1035 §3.3). */
  readonly strings: readonly string[];
  /** For a BIND or NSD zone: absolute owner, quoted strings on one line. */
  readonly zoneFile: string;
  /** The same over several short lines in parentheses, for reading. */
  readonly zoneFileWrapped: string;
  readonly json: string;
  readonly nsupdate: string;
  readonly provider:
    | {
        readonly name: string;
        readonly advice: readonly string[];
        /** What goes into the fields of its panel, to the letter. */
        readonly fields?: {readonly name: string; readonly value: string};
      }
    | undefined;
}
