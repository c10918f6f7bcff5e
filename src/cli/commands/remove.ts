import {ChangeFailed, Declined, type ExitCode, HostError, UsageError} from '../../domain/errors.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {milterReadiness} from '../../flow/work/carrying-out.ts';
import {recordStopped} from '../../flow/work/key-book.ts';
import {applyPlan, changeViews, makePlan} from '../../plan/index.ts';
import {lookAtHost} from '../../services/look.ts';
import {planRemoval} from '../../services/removal.ts';
import {readConfiguration} from '../../services/snapshot.ts';
import {isSet, listOf} from '../arguments.ts';
import {confirm} from '../confirm.ts';
import type {Context} from '../context.ts';
import {tell} from '../print.ts';
import {chosen, stateOf} from '../state-report.ts';

/** `waxseal remove --domain NAME`: stops signing first; the record stays until no mail needs it any more. */
export async function remove(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  if (listOf(context.flags, 'domain').length === 0) {
    throw new UsageError(problem('usage.missing', '--domain is missing.', 'waxseal remove --domain NAME'));
  }
  const lock = await ports.locks.acquire('waxseal remove');
  try {
    const facts = await lookAtHost(ports);
    const [blocker] = facts.blockers;
    if (blocker !== undefined) throw new HostError(blocker);
    const keys = chosen(context, await stateOf(ports)).filter(key => key.state === 'active');
    const domains = [...new Set(keys.map(({domain}) => domain))];
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
    const changes = changeViews(plan);
    const lines = changes.flatMap(({target, action, diff}) => [
      `${visible(action)}  ${visible(target)}`,
      ...(diff === '' ? [] : [visible(diff, {lines: true})]),
    ]);
    if (plan.steps.length === 0) return await tell(context, {exitCode: 0}, ['Nothing to remove.']);
    if (isSet(context.flags, 'dry-run')) return await tell(context, {exitCode: 0, changes}, lines);
    if (!isSet(context.flags, 'json')) for (const line of lines) context.say(line);
    if (
      !isSet(context.flags, 'yes') &&
      !(await confirm(context, `Stop signing for ${domains.join(', ')}?`))
    ) {
      throw new Declined(problem('declined', 'Nothing was changed.', 'Run it again when you want to.'));
    }
    const outcome = await applyPlan(
      ports,
      plan,
      {proof: async () => ({checks: [], passed: true}), ready: milterReadiness(ports), lockHeld: true},
      () => {},
      new AbortController().signal,
    );
    if (outcome.result === 'nothing')
      throw new ChangeFailed(problem('remove.nothing', 'Nothing was changed.', ''));
    if (outcome.result !== 'applied') throw outcome.error;
    await recordStopped(ports, keys, plan.id);
    return await tell(context, {exitCode: 0, changed: true, changes}, [
      `No longer signed: ${domains.join(', ')}`,
      'Keep the DNS records for a week, for mail that is on its way; then take them out.',
    ]);
  } finally {
    await lock.release();
  }
}
