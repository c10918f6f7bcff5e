import {proveUnsigned, takenOver} from '../../doctor/removal.ts';
import {ChangeFailed, Declined, type ExitCode, HostError, UsageError} from '../../domain/errors.ts';
import {type DomainName, parseDomain} from '../../domain/names.ts';
import {problem} from '../../domain/result.ts';
import {listed, visible} from '../../domain/text.ts';
import {beforeChange, milterReadiness} from '../../jobs/change.ts';
import {isComing, recordStopped} from '../../jobs/key-book.ts';
import {type ApplyOutcome, applyPlan, changeViews, makePlan} from '../../plan/index.ts';
import type {Plan} from '../../plan/plan.ts';
import {keptCheck, withCheck} from '../../proof/kept.ts';
import type {KeyEntry, RotationState} from '../../rotation/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import {lookAtHost} from '../../services/look.ts';
import {planRemoval} from '../../services/removal.ts';
import {milterEndpoint} from '../../services/signer.ts';
import {readConfiguration} from '../../services/snapshot.ts';
import type {Ports} from '../../system/ports.ts';
import {isSet} from '../arguments.ts';
import {changing} from '../changing.ts';
import {confirm} from '../confirm.ts';
import {type Context, mustBeRoot} from '../context.ts';
import {changeLines, tell} from '../print.ts';
import {domainTexts} from '../session.ts';
import {stateOf} from '../state-report.ts';
import {recordLines, withdrawRecords} from './remove-records.ts';

/** `waxseal remove --domain NAME`: stops signing first; the record stays until no mail needs it any more. */
export async function remove(context: Context): Promise<ExitCode> {
  const domains = await domainsToRemove(context);
  const ports = await context.ports();
  mustBeRoot(ports, 'A removal changes the mail configuration, and needs root.');
  return await changing(ports, 'remove', () => removeDomains(context, ports, domains));
}

/** Those of `--domain` and `--domains-file`, each once. */
async function domainsToRemove(context: Context): Promise<readonly DomainName[]> {
  const {texts} = await domainTexts(context);
  const parsed = texts
    .flatMap(text => text.split(','))
    .map(text => {
      const domain = parseDomain(text);
      if (!domain.ok) throw new UsageError(domain.problem);
      return domain.value;
    });
  if (parsed.length > 0) return [...new Set(parsed)];
  throw new UsageError(
    problem(
      'usage.missing',
      '--domain is missing.',
      'Give the domain with --domain, or a list with --domains-file.',
    ),
  );
}

async function removeDomains(
  context: Context,
  ports: Ports,
  domains: readonly DomainName[],
): Promise<ExitCode> {
  const facts = await lookAtHost(ports, context.signal);
  const [blocker] = facts.blockers;
  if (blocker !== undefined) throw new HostError(blocker);
  const state = await stateOf(ports);
  mustBeKnown(domains, state, facts);
  const wanted = new Set<string>(domains);
  const own = state.keys.filter(key => wanted.has(key.domain));
  const keys = own.filter(key => key.state === 'active');
  // What is on its way for them has nowhere to go any more.
  const coming = own.filter(isComing);
  const change = planRemoval(facts, await readConfiguration(ports, facts, keys), domains);
  if (!change.ok) throw new HostError(change.problem);
  const plan = makePlan({
    purpose: 'remove',
    title: `No DKIM for ${listed(domains)}`,
    domains: keys.map(({domain, selector}) => ({domain, selector})),
    steps: change.value.steps,
    clock: ports.clock,
    random: ports.random,
  });
  if (plan.steps.length === 0 && coming.length === 0) {
    const nothing = `Nothing to remove: ${listed(domains)} ${domains.length === 1 ? 'is' : 'are'} not signed here.`;
    if (isSet(context.flags, 'dry-run')) return await tell(context, {exitCode: 0}, [nothing]);
    const after = await withdrawRecords(context, ports, domains);
    return await tell(context, {exitCode: 0, ...after.outcome}, [nothing, ...after.lines]);
  }
  const changes = changeViews(plan);
  const lines = [
    ...changes.flatMap(changeLines),
    ...coming.map(comingLine),
    ...recordLines(context, state, domains),
  ];
  if (isSet(context.flags, 'dry-run')) return await tell(context, {exitCode: 0, changes}, lines);
  if (!isSet(context.flags, 'json')) for (const line of lines) context.say(line);
  await agree(context, domains);
  if (plan.steps.length === 0) {
    const after = await withdrawRecords(context, ports, domains);
    const given = `Given up: the setup of ${listed(domains)}`;
    return await tell(context, {exitCode: 0, ...after.outcome}, [given, ...after.lines]);
  }
  const outcome = await carryOut(context, ports, facts, plan, domains);
  await recordStopped(ports, keys, plan.id);
  const after = await withdrawRecords(context, ports, domains);
  return await tell(
    context,
    {exitCode: 0, changes, checks: outcome.proof.checks, ...after.outcome, changed: true},
    [
      `No longer signed: ${listed(domains)}`,
      ...outcome.proof.checks.flatMap(check => {
        const how = takenOver(check);
        return how === undefined ? [] : [`${check.title}: signed ${how}`];
      }),
      ...lastWord(facts, wanted),
      ...after.lines,
    ],
  );
}

/** A name that nobody here knows is a mistake in typing: nothing is done for the others either. */
function mustBeKnown(domains: readonly DomainName[], state: RotationState, facts: HostFacts): void {
  const {signer: opendkim} = facts;
  const signed = [...(opendkim?.signedDomains ?? []), ...(opendkim?.keys ?? []).map(({domain}) => domain)];
  const known = new Set<string>([
    ...state.keys.map(({domain}) => domain),
    ...signed.map(name => name.toLowerCase()),
  ]);
  const unknown = domains.filter(domain => !known.has(domain));
  if (unknown.length === 0) return;
  const names = [...known].filter(name => name.includes('.')).sort();
  throw new UsageError(
    problem(
      'domain.unknown',
      `${listed(unknown)} ${unknown.length === 1 ? 'is' : 'are'} not known on this host; nothing was changed.`,
      names.length === 0
        ? 'No domain is signed here; waxseal status shows what there is.'
        : `Known are: ${visible(listed(names))}. waxseal status shows them all.`,
    ),
  );
}

const comingLine = ({domain, selector}: KeyEntry): string =>
  `give up  ${selector}._domainkey.${domain}, which was on its way and does not sign yet`;

/** Said where nothing is left to sign: the signer stays where it is, so that one undo takes the removal back. */
function lastWord(facts: HostFacts, removed: ReadonlySet<string>): readonly string[] {
  const left = (facts.signer?.signedDomains ?? []).filter(name => !removed.has(name.toLowerCase()));
  return left.length > 0
    ? []
    : [
        'No domain is signed here any more. OpenDKIM runs on and leaves mail as it is; Postfix still asks it.',
      ];
}

async function agree(context: Context, domains: readonly DomainName[]): Promise<void> {
  if (isSet(context.flags, 'yes')) return;
  if (await confirm(context, `Stop signing for ${listed(domains)}?`)) return;
  throw new Declined(problem('declined', 'Nothing was changed.', 'Run it again when you want to.'));
}

/** Applies and proves that the signer leaves the mail alone; anything else puts the tables back. */
async function carryOut(
  context: Context,
  ports: Ports,
  facts: HostFacts,
  plan: Plan,
  domains: readonly DomainName[],
): Promise<Extract<ApplyOutcome, {result: 'applied'}>> {
  const {signer: opendkim} = facts;
  const endpoint = milterEndpoint(opendkim);
  const before = await beforeChange(ports, plan, context.signal);
  const meant = domains.map(domain => ({domain, selector: undefined}));
  const outcome = await applyPlan(
    ports,
    plan,
    {
      proof: async () => {
        if (opendkim === undefined || endpoint === undefined) return {checks: [], passed: true};
        const unsigned = await proveUnsigned(ports, {endpoint, opendkim}, domains, context.signal);
        if (!unsigned.passed || before === undefined) return unsigned;
        const {rivals: otherSigners} = facts;
        return withCheck(
          unsigned,
          await keptCheck(ports, {before, endpoint, meant, otherSigners}, context.signal),
        );
      },
      ready: milterReadiness(ports),
      lockHeld: true,
    },
    event => {
      if (event.type === 'step-undone') context.say(`put back: ${visible(event.step)}`);
    },
    context.signal,
  );
  if (outcome.result === 'applied') return outcome;
  throw outcome.result === 'nothing'
    ? new ChangeFailed(problem('remove.nothing', 'Nothing was changed.', ''))
    : outcome.error;
}
