/** The JSON document of a command that is no wizard. */
import type {ExitCode} from '../domain/errors.ts';
import type {Report} from '../flow/report.ts';

export type Outcome = Pick<Report, 'exitCode'> &
  Partial<Omit<Report, 'schemaVersion' | 'command' | 'exitCode'>>;

const resultOf = (exitCode: ExitCode): Report['result'] =>
  exitCode === 0 ? 'ok' : exitCode === 3 ? 'pending' : exitCode === 4 ? 'problems' : 'failed';

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
