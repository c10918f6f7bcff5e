/** Stops signing for domains: rows leave the tables, keys stay where they are. */
import type {DomainName} from '../domain/names.ts';
import {fail, ok, type Problem, problem, type Result} from '../domain/result.ts';
import type {HostFacts} from './facts.ts';
import {type KnownHost, textStep} from './files.ts';
import {currentTables, hasTables} from './opendkim/plan-tables.ts';
import {parseSocket} from './opendkim/socket.ts';
import {startSteps} from './opendkim/steps.ts';
import {
  domainOfPattern,
  keyRows,
  labelOf,
  parseTable,
  removeLines,
  type TableRow,
} from './opendkim/tables.ts';
import {noMta, unsupported} from './signing.ts';
import type {ConfigurationSnapshot} from './snapshot.ts';
import type {Step} from './step.ts';

export interface RemovalChange {
  /** In order; empty where no table names the domains. */
  readonly steps: readonly Step[];
  readonly remarks: readonly Problem[];
}

/**
 * Plans that mail of `domains` is no longer signed. Takes out the signing rows whose key signs as one of the domains
 * and those that stand for one, then the key rows that nothing refers to any more. Private keys are left in place:
 * mail under way still needs their records.
 */
export function planRemoval(
  facts: HostFacts,
  snapshot: ConfigurationSnapshot,
  domains: readonly DomainName[],
): Result<RemovalChange> {
  const {layout, opendkim, postfix} = facts;
  if (layout === undefined) return fail(unsupported(facts));
  if (postfix === undefined) return fail(noMta());
  if (opendkim === undefined) return ok({steps: [], remarks: []});
  const host: KnownHost = {facts, snapshot, layout, opendkim, postfix};
  if (!hasTables(host)) return withoutTables(host, domains);
  const tables = currentTables(host);
  if (!tables.ok) return tables;
  const next = withoutDomains(tables.value.keys.text, tables.value.signing.text, new Set<string>(domains));
  const files = [
    ...textStep(snapshot, tables.value.signing.path, next.signing, 'Sign mail of these domains no more'),
    ...textStep(snapshot, tables.value.keys.path, next.keys, 'Take their keys out of use'),
  ];
  const endpoint = parseSocket(opendkim.socketOverride || (opendkim.settings['socket'] ?? ''));
  return ok({
    steps: files.length === 0 ? [] : [...files, ...startSteps(host, endpoint)],
    remarks: tables.value.remarks,
  });
}

function withoutTables(host: KnownHost, domains: readonly DomainName[]): Result<RemovalChange> {
  const signed = host.opendkim.signedDomains.filter(domain => domains.some(wanted => wanted === domain));
  if (signed.length === 0) return ok({steps: [], remarks: []});
  return fail(
    problem(
      'opendkim.single-key',
      `${signed.join(', ')} is signed by Domain, Selector and KeyFile in ${host.opendkim.configFile}, not by tables.`,
      'Comment out these three lines, then: systemctl restart opendkim.',
    ),
  );
}

function withoutDomains(
  keyText: string,
  signingText: string,
  domains: ReadonlySet<string>,
): {readonly keys: string; readonly signing: string} {
  const keys = keyRows(parseTable(keyText));
  const doomedLabels = new Set(
    keys.filter(row => domains.has(row.domain.toLowerCase())).map(row => row.label),
  );
  const signing = parseTable(signingText);
  const isDoomed = (row: TableRow): boolean =>
    doomedLabels.has(labelOf(row.value)) || domains.has(domainOfPattern(row.key));
  const kept = new Set(signing.filter(row => !isDoomed(row)).map(row => labelOf(row.value)));
  return {
    signing: removeLines(signingText, new Set(signing.filter(isDoomed).map(row => row.line))),
    keys: removeLines(
      keyText,
      new Set(keys.filter(row => doomedLabels.has(row.label) && !kept.has(row.label)).map(row => row.line)),
    ),
  };
}
