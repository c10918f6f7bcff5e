/** The outcome of a command as the JSON contract shows it (docs/reference/json.md). Views only print it. */
import type {ExitCode} from '../domain/errors.ts';
import type {ChangeView} from '../plan/plan.ts';
import type {Check} from '../proof/proof.ts';

export interface DomainReport {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: 'rsa' | 'ed25519';
  readonly bits: number;
  readonly state: 'staged' | 'pending' | 'ready' | 'active' | 'retiring' | 'revoked' | 'removed';
  readonly keyPath: string | null;
  readonly record: {
    readonly name: string;
    readonly zone: string;
    readonly relativeName: string;
    readonly value: string;
    readonly strings: readonly string[];
  };
  readonly servers: readonly {
    readonly name: string;
    readonly address: string;
    readonly status: string;
    readonly serial: number | null;
  }[];
  readonly publishedAt: string | null;
  readonly activatedAt: string | null;
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
  readonly error: {readonly id: string; readonly message: string; readonly hint: string} | null;
}
