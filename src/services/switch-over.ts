/** Switches the signing of others off, where waxseal knows the one line that does it. Their other work goes on. */
import {ok, type Problem, problem, type Result} from '../domain/result.ts';
import {listed, visible} from '../domain/text.ts';
import type {HostFacts, Rival} from './facts.ts';
import {type PlanHost, textOf, textStep} from './files.ts';
import {serviceStep} from './manager.ts';
import {PROGRAMS} from './registry.ts';
import type {SwitchOff} from './signer.ts';
import type {Step} from './step.ts';

/** A milter entry whose only work is to sign. */
export const isOnlySigner = (entry: string): boolean =>
  PROGRAMS.some(({switchOff}) => switchOff?.by === 'milter' && switchOff.isEntry(entry));

const switchOffOf = ({kind}: Rival): SwitchOff | undefined =>
  PROGRAMS.find(program => program.kind === kind)?.switchOff;

/** Programs beside the signer that waxseal serves that sign the mail of this host, or may. */
export const rivals = (facts: Pick<HostFacts, 'rivals'>): readonly Rival[] =>
  facts.rivals.filter(({signs}) => signs !== 'no');

/** Why no plan can switch off the signing of this one; undefined where it can. */
export function whyNotSwitched(rival: Rival): string | undefined {
  const {program, unit, configFile} = rival;
  const off = switchOffOf(rival);
  if (off?.by === 'milter') return undefined;
  if (off === undefined) return `${program} is not known well enough to be switched off`;
  if (unit === undefined) return `${program} is no running service of this host`;
  return configFile === undefined
    ? `the line that switches the signing of ${program} was not found`
    : undefined;
}

/**
 * Why the others cannot be switched off without a loss: whose mail they sign is not known, or not all of it is signed by
 * the served signer afterwards. `signed` are the domains that it signs then, lower case.
 */
export function whoWouldLose(
  facts: Pick<HostFacts, 'rivals'>,
  signed: ReadonlySet<string>,
): Problem | undefined {
  for (const {program, domains} of rivals(facts)) {
    const unread = domains === undefined ? ['its configuration'] : domains.unread;
    const missing = (domains?.known ?? []).filter(domain => !signed.has(domain));
    if (missing.length > 0) {
      const flags = missing.slice(0, NAMED).map(domain => `--domain ${domain}`);
      return problem(
        'other-signer.domains',
        `${program} signs mail from ${namesOf(missing)}, too, which would leave this host unsigned.`,
        `Take them along: ${flags.join(' ')}. Or keep ${program}: --other-signer leave.`,
      );
    }
    if (unread.length > 0) {
      return problem(
        'other-signer.domains',
        `waxseal can't tell whose mail ${program} signs: ${namesOf(unread)} can't be read or names no domain.`,
        `Keep ${program}: --other-signer leave. Or turn its signing off yourself, once every domain is set up here.`,
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
  const names = others.map(({program, evidence}) => `${program} (${visible(evidence)})`).join(' and ');
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
  for (const rival of rivals(host.facts)) {
    const {program, configFile, unit} = rival;
    const off = switchOffOf(rival);
    if (off?.by !== 'configuration' || configFile === undefined || unit === undefined) continue;
    const text = textOf(host.snapshot, configFile);
    if (!text.ok) return text;
    const why = `Leave signing to ${host.facts.signer?.program ?? ''}: ${program} signs no more`;
    const file = textStep(host.snapshot, configFile, off.edit(text.value), why);
    if (file.length === 0) continue;
    const service = serviceStep(host.facts.serviceManager, {
      unit,
      why: `Let ${program} take the new configuration`,
      action: off.action,
      steadyMs: off.steadyMs,
      wasActive: true,
    });
    steps.push(...file, ...off.check, service);
  }
  return ok(steps);
}
