/** A key record of which no key is at hand to hold it against: whether it works, and what is better mended. Pure. */
import {type LintFinding, lintKeyRecord} from '../dkim/index.ts';
import {type Problem, problem} from '../domain/result.ts';

export interface Audit {
  /** Why no receiver can verify with it; undefined where one can. */
  readonly useless: string | undefined;
  /** It works, but is better mended. */
  readonly remark: Problem | undefined;
}

const IDS: Readonly<Record<string, string>> = {
  'lint.key-size': 'dns.short-key',
  'lint.test-mode': 'dns.test-mode',
  'lint.obsolete-g': 'dns.obsolete-tag',
  'lint.spaces-in-key': 'dns.blanks-in-key',
  'lint.non-ascii': 'dns.odd-characters',
};

export function auditRecord(text: string): Audit {
  const findings = lintKeyRecord(text);
  const gravest = (wanted: LintFinding['severity']): LintFinding | undefined =>
    findings.find(({severity}) => severity === wanted);
  const warning = gravest('warning');
  return {
    useless: gravest('error')?.message,
    remark:
      warning === undefined
        ? undefined
        : problem(IDS[warning.id] ?? 'dns.other-tags', warning.message, warning.fix),
  };
}
