import {proveUnsigned} from '../../doctor/removal.ts';
import {ChangeFailed, Declined, type ExitCode, HostError, UsageError} from '../../domain/errors.ts';
import type {DomainName} from '../../domain/names.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {milterReadiness} from '../../flow/real/carrying-out.ts';
import {recordStopped} from '../../flow/real/key-book.ts';
import {type ApplyOutcome, applyPlan, changeViews, makePlan} from '../../plan/index.ts';
import type {Plan} from '../../plan/plan.ts';
import type {HostFacts} from '../../services/facts.ts';
import {lookAtHost} from '../../services/look.ts';
import {parseSocket} from '../../services/opendkim/socket.ts';
import {planRemoval} from '../../services/removal.ts';
import {readConfiguration} from '../../services/snapshot.ts';
import type {Ports} from '../../system/ports.ts';
import {isSet} from '../arguments.ts';
import {confirm} from '../confirm.ts';
import {type Context, mustBeRoot} from '../context.ts';
import {changeLines, tell} from '../print.ts';
import {domainsOf, stateOf} from '../state-report.ts';
import {withdrawRecords} from './remove-records.ts';

/** `waxseal remove --domain NAME`: stops signing first; the record stays until no mail needs it any more. */
export async function remove(context: Context): Promise<ExitCode> {
  const domains = domainsOf(context);
  if (domains === undefined) {
    throw new UsageError(problem('usage.missing', '--domain is missing.', 'waxseal remove --domain NAME'));
  }
  const ports = await context.ports();
  mustBeRoot(ports, 'A removal changes the mail configuration, and needs root.');
  const lock = await ports.locks.acquire('waxseal remove');
  try {
    return await removeDomains(context, ports, domains);
  } finally {
    await lock.release();
  }
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
  const keys = state.keys.filter(key => key.state === 'active' && domains.includes(key.domain));
  const change = planRemoval(facts, await readConfiguration(ports, facts, keys), domains);
  if (!change.ok) throw new HostError(change.problem);
  const plan = makePlan({
    purpose: 'remove',
    title: `No DKIM for ${domains.join(', ')}`,
    domains: keys.map(({domain, selector}) => ({domain, selector})),
    steps: change.value.steps,
    clock: ports.clock,
    random: ports.random,
  });
  if (plan.steps.length === 0) {
    const nothing = `Nothing to remove: ${domains.join(', ')} is not signed here.`;
    if (isSet(context.flags, 'dry-run')) return await tell(context, {exitCode: 0}, [nothing]);
    const after = await withdrawRecords(context, ports, domains);
    return await tell(context, {exitCode: 0, ...after.outcome}, [nothing, ...after.lines]);
  }
  const changes = changeViews(plan);
  const lines = changes.flatMap(changeLines);
  if (isSet(context.flags, 'dry-run')) return await tell(context, {exitCode: 0, changes}, lines);
  if (!isSet(context.flags, 'json')) for (const line of lines) context.say(line);
  await agree(context, domains);
  const outcome = await carryOut(context, ports, facts, plan, domains);
  await recordStopped(ports, keys, plan.id);
  const after = await withdrawRecords(context, ports, domains);
  return await tell(
    context,
    {exitCode: 0, changes, checks: outcome.proof.checks, ...after.outcome, changed: true},
    [`No longer signed: ${domains.join(', ')}`, ...after.lines],
  );
}

async function agree(context: Context, domains: readonly DomainName[]): Promise<void> {
  if (isSet(context.flags, 'yes')) return;
  if (await confirm(context, `Stop signing for ${domains.join(', ')}?`)) return;
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
  const {opendkim} = facts;
  const socket = opendkim === undefined ? undefined : opendkim.socketOverride || opendkim.settings['socket'];
  const endpoint = parseSocket(socket ?? '');
  const outcome = await applyPlan(
    ports,
    plan,
    {
      proof: async () =>
        opendkim === undefined || endpoint === undefined
          ? {checks: [], passed: true}
          : await proveUnsigned(ports, {endpoint, opendkim}, domains, context.signal),
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
