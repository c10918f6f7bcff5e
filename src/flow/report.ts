/** The outcome of a command as the JSON contract shows it (docs/reference/json.md). Views only print it. */
import type {ExitCode} from '../domain/errors.ts';
import type {ChangeView} from '../plan/plan.ts';
import type {Check} from '../proof/proof.ts';

export interface ServerReport {
  readonly name: string;
  readonly address: string;
  readonly status: string;
  readonly serial: number | null;
}

export interface ProblemReport {
  readonly id: string;
  readonly message: string;
  readonly hint: string;
}

/** The last survey of the record, foreign text made harmless. Times are ISO 8601, UTC. */
export interface DnsReport {
  readonly at: string;
  /** Every server that can be reached returns exactly the record. */
  readonly agreed: boolean;
  readonly settled: boolean;
  /** `not-asked`, `matching`, `absent`, `wrong`, `timeout` or `failed`. */
  readonly resolver: string;
  readonly negativeTtlSeconds: number;
  /** Where the name leads by CNAME or DNAME, each with its own servers. */
  readonly targets: readonly {
    readonly name: string;
    readonly zone: string;
    readonly servers: readonly ServerReport[];
  }[];
  /** Owner of the DNAME that the name falls under. */
  readonly dname: string | null;
  readonly caches: readonly {readonly kind: string; readonly where: string; readonly until: string}[];
  readonly dnssec: {readonly status: string; readonly expiresAt: string | null} | null;
  /** Set where no name server can be asked from this host: what the word of the resolver is worth. */
  readonly weaker: ProblemReport | null;
  /** Mistakes of the record, each with the addresses of the servers that show it. */
  readonly mistakes: readonly (ProblemReport & {readonly servers: readonly string[]})[];
  /** Of the zone and its delegation. */
  readonly remarks: readonly ProblemReport[];
}

export interface DomainReport {
  readonly domain: string;
  readonly selector: string;
  /** null where the key cannot be read. */
  readonly algorithm: 'rsa' | 'ed25519' | null;
  readonly bits: number | null;
  /** `by-hand`: signs here, and waxseal has no note of it. */
  readonly state: 'by-hand' | 'staged' | 'pending' | 'ready' | 'active' | 'retiring' | 'revoked' | 'removed';
  readonly keyPath: string | null;
  readonly record: {
    readonly name: string;
    readonly zone: string;
    readonly relativeName: string;
    readonly value: string;
    readonly strings: readonly string[];
  };
  readonly servers: readonly ServerReport[];
  /** What is known of the record beside its servers; null where nobody has asked yet. */
  readonly dns: DnsReport | null;
  readonly publishedAt: string | null;
  readonly activatedAt: string | null;
  /** When a live test last passed for it. */
  readonly provenAt: string | null;
  readonly nextStep: string;
}

export interface Report {
  readonly schemaVersion: 1;
  readonly command: string;
  readonly result: 'ok' | 'pending' | 'problems' | 'failed';
  readonly exitCode: ExitCode;
  readonly changed: boolean;
  readonly domains: readonly DomainReport[];
  readonly changes: readonly ChangeView[];
  readonly checks: readonly Check[];
  /** Beside DKIM: SPF, DMARC, MX, PTR, each with its evidence. Never fails, and changes no exit code. */
  readonly advice: readonly Check[];
  readonly error: {readonly id: string; readonly message: string; readonly hint: string} | null;
}

/** What of a report is not always the same. */
export type Outcome = Pick<Report, 'exitCode'> &
  Partial<Omit<Report, 'schemaVersion' | 'command' | 'exitCode'>>;

const resultOf = (exitCode: ExitCode): Report['result'] =>
  exitCode === 0 ? 'ok' : exitCode === 3 ? 'pending' : exitCode === 4 ? 'problems' : 'failed';

/** The document of a command that has ended so. */
export const reportOf = (command: string, outcome: Outcome): Report => ({
  schemaVersion: 1,
  command,
  result: outcome.result ?? resultOf(outcome.exitCode),
  exitCode: outcome.exitCode,
  changed: outcome.changed ?? false,
  domains: outcome.domains ?? [],
  changes: outcome.changes ?? [],
  checks: outcome.checks ?? [],
  advice: outcome.advice ?? [],
  error: outcome.error ?? null,
});
