/** What one look found, before it becomes a check: a check may stand for many domains. */
import type {DomainName} from '../domain/names.ts';
import type {Check, CheckStatus, ProofReport} from './proof.ts';

export interface Finding {
  readonly status: CheckStatus;
  readonly evidence: string;
  readonly cause: string;
  readonly fix: string;
}

export const passed = (evidence: string): Finding => ({status: 'pass', evidence, cause: '', fix: ''});

export const failed = (evidence: string, cause: string, fix: string): Finding => ({
  status: 'fail',
  evidence,
  cause,
  fix,
});

export const warned = (evidence: string, cause: string, fix: string): Finding => ({
  status: 'warn',
  evidence,
  cause,
  fix,
});

export const skipped = (evidence: string, cause: string): Finding => ({
  status: 'skip',
  evidence,
  cause,
  fix: '',
});

export const checkFrom = (id: string, title: string, finding: Finding): Check => ({id, title, ...finding});

/** Longest list of domains spelt out in the evidence of one check. */
const SHOWN = 3;

/**
 * One check for the same look at several domains: the worst finding decides, and its cause and fix are shown; the
 * evidence names the domains it concerns.
 */
export function checkFromAll(
  id: string,
  title: string,
  findings: readonly {readonly domain: DomainName; readonly finding: Finding}[],
  total = findings.length,
): Check {
  const order: readonly CheckStatus[] = ['fail', 'warn', 'pass', 'skip'];
  const worst = order.find(status => findings.some(each => each.finding.status === status)) ?? 'skip';
  const concerned = findings.filter(each => each.finding.status === worst);
  const [first] = concerned;
  if (first === undefined) return checkFrom(id, title, skipped('no domain', 'There is nothing to look at.'));
  if (total === 1) return checkFrom(id, title, first.finding);
  const looked = findings.length === total ? `${total} domains` : `${findings.length} of ${total} domains`;
  const named = concerned.slice(0, SHOWN).map(each => `${each.domain}: ${each.finding.evidence}`);
  const more = concerned.length > SHOWN ? `; and ${concerned.length - SHOWN} more` : '';
  const evidence = `${looked} looked at; ${concerned.length} ${worst}: ${named.join('; ')}${more}`;
  return checkFrom(id, title, {...first.finding, evidence});
}

/** A report with one check more. */
export const withCheck = (report: ProofReport, check: Check | undefined): ProofReport =>
  check === undefined
    ? report
    : {checks: [...report.checks, check], passed: report.passed && check.status !== 'fail'};

export const reportOf = (checks: readonly Check[]): ProofReport => ({
  checks,
  passed: checks.every(check => check.status !== 'fail') && checks.some(check => check.status === 'pass'),
});
