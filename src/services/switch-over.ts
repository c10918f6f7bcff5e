/** Switches the signing of others off, where waxseal knows the one line that does it. Their other work goes on. */
import {ok, type Problem, problem, type Result} from '../domain/result.ts';
import {listed, visible} from '../domain/text.ts';
import type {HostFacts, OtherSigner} from './facts.ts';
import {type PlanHost, textOf, textStep} from './files.ts';
import {COMMAND_MS} from './limits.ts';
import {serviceStep} from './manager.ts';
import {splitLines} from './opendkim/parse.ts';
import type {CheckStep, ServiceStep, Step} from './step.ts';

/** A milter entry whose only work is to sign. */
export const isOtherSigner = (entry: string): boolean =>
  /dkimpy|dkim-filter|dkim-milter/i.test(entry) || /^inet:(127\.0\.0\.1|localhost):8892$/i.test(entry);

/** Signers that are a milter and nothing else: taking the entry out of Postfix' lists is all that switches them off. */
const ONLY_MILTERS: ReadonlySet<OtherSigner['name']> = new Set(['dkimpy-milter', 'dkim-milter', 'opendkim']);

/** Programs beside OpenDKIM that sign the mail of this host, or may. */
export const rivals = (facts: Pick<HostFacts, 'rivals'>): readonly OtherSigner[] =>
  facts.rivals.filter(({signs}) => signs !== 'no');

/** Why no plan can switch off the signing of this one; undefined where it can. */
export function whyNotSwitched(signer: OtherSigner): string | undefined {
  if (ONLY_MILTERS.has(signer.name)) return undefined;
  if (WAYS[signer.name] === undefined) return `${signer.name} is not known well enough to be switched off`;
  if (signer.unit === undefined) return `${signer.name} is no running service of this host`;
  return signer.configFile === undefined
    ? `the line that switches the signing of ${signer.name} was not found`
    : undefined;
}

/**
 * Why the others cannot be switched off without a loss: whose mail they sign is not known, or not all of it is signed by
 * OpenDKIM afterwards. `signed` are the domains that it signs then, lower case.
 */
export function whoWouldLose(
  facts: Pick<HostFacts, 'rivals'>,
  signed: ReadonlySet<string>,
): Problem | undefined {
  for (const {name, domains} of rivals(facts)) {
    const unread = domains === undefined ? ['its configuration'] : domains.unread;
    const missing = (domains?.known ?? []).filter(domain => !signed.has(domain));
    if (missing.length > 0) {
      const flags = missing.slice(0, NAMED).map(domain => `--domain ${domain}`);
      return problem(
        'other-signer.domains',
        `${name} signs mail from ${namesOf(missing)}, too, which would leave this host unsigned.`,
        `Take them along: ${flags.join(' ')}. Or keep ${name}: --other-signer leave.`,
      );
    }
    if (unread.length > 0) {
      return problem(
        'other-signer.domains',
        `waxseal can't tell whose mail ${name} signs: ${namesOf(unread)} can't be read or names no domain.`,
        `Keep ${name}: --other-signer leave. Or turn its signing off yourself, once every domain is set up here.`,
      );
    }
  }
  return undefined;
}

const NAMED = 20;

const namesOf = (names: readonly string[]): string =>
  listed(
    names.map(name => visible(name)),
    NAMED,
  );

/** What it means that they go on signing: said with the plan, before anybody agrees to it. */
export function goOnSigning(facts: Pick<HostFacts, 'rivals'>): readonly Problem[] {
  const others = rivals(facts);
  if (others.length === 0) return [];
  const names = others.map(({name, evidence}) => `${name} (${visible(evidence)})`).join(' and ');
  const isSure = others.some(({signs}) => signs === 'yes');
  return [
    problem(
      'plan.two-signatures',
      isSure
        ? `${names} goes on signing: what both sign leaves with two signatures.`
        : `${names} may sign, too: what both sign leaves with two signatures.`,
      'Receivers check each by itself, and one good signature of the domain in From is enough for DMARC. Both keys need care: keep the record of the other one published, and rotate it, too.',
    ),
  ];
}

/** Steps that switch off whoever else signs; they come last, so that no message goes out unsigned meanwhile. */
export function switchOver(host: PlanHost): Result<readonly Step[]> {
  const steps: Step[] = [];
  for (const signer of rivals(host.facts)) {
    const way = WAYS[signer.name];
    if (way === undefined || signer.configFile === undefined || signer.unit === undefined) continue;
    const text = textOf(host.snapshot, signer.configFile);
    if (!text.ok) return text;
    const why = `Leave signing to OpenDKIM: ${signer.name} signs no more`;
    const file = textStep(host.snapshot, signer.configFile, way.edit(text.value), why);
    if (file.length === 0) continue;
    const service = serviceStep(host.facts.serviceManager, {
      unit: signer.unit,
      why: `Let ${signer.name} take the new configuration`,
      action: way.action,
      steadyMs: way.steadyMs,
      wasActive: true,
    });
    steps.push(...file, ...way.check, service);
  }
  return ok(steps);
}

interface Way {
  edit(text: string): string;
  readonly check: readonly CheckStep[];
  readonly action: ServiceStep['action'];
  /** rspamd takes a new configuration some seconds after its reload (daemons/rspamd.md#reload). */
  readonly steadyMs: number;
}

const WAYS: Readonly<Partial<Record<OtherSigner['name'], Way>>> = {
  rspamd: {
    edit: text => withLine(text, /^[ \t]*enabled[ \t]*=[ \t]*([^;\s#]+)/, 'false', 'enabled = false;'),
    check: [
      {
        kind: 'check',
        id: 'check:rspamd',
        why: 'Let rspamd check its configuration',
        argv: ['rspamadm', 'configtest'],
        timeoutMs: COMMAND_MS,
      },
    ],
    action: 'reload',
    steadyMs: 8000,
  },
  amavis: {
    edit: text => withLine(text, /^[ \t]*\$enable_dkim_signing[ \t]*=[ \t]*([^;\s#]+)/, '0', undefined),
    check: [],
    action: 'restart',
    steadyMs: 2000,
  },
};

/** Gives the last line that matches the value (its first group); adds `fresh` where no line does. */
function withLine(text: string, pattern: RegExp, value: string, fresh: string | undefined): string {
  const lines = splitLines(text);
  const at = lines.findLastIndex(line => pattern.test(line.raw));
  if (at < 0) {
    if (fresh === undefined) return text;
    return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${fresh}\n`;
  }
  return lines
    .map(({raw, end}, index) => {
      const match = index === at ? pattern.exec(raw) : null;
      if (match === null) return raw + end;
      const head = match[0].slice(0, match[0].length - (match[1] ?? '').length);
      return head + value + raw.slice(match[0].length) + end;
    })
    .join('');
}
