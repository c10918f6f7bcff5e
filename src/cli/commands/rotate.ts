import {type ExitCode, UsageError} from '../../domain/errors.ts';
import {problem} from '../../domain/result.ts';
import {createOperations} from '../../flow/work/index.ts';
import {proposeSelector} from '../../rotation/index.ts';
import {textOf} from '../arguments.ts';
import {type Context, resolversOf} from '../context.ts';
import {runFlow} from '../session.ts';
import {chosen, stateOf} from '../state-report.ts';

/**
 * `waxseal rotate`: the main job again with a new selector, for domains that sign already. The old key stays published
 * and is retired by the same switch that lets the new one sign.
 */
export async function rotate(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  const lock = ports.process.privileged ? await ports.locks.acquire('waxseal rotate') : undefined;
  try {
    const state = await stateOf(ports);
    const keys = chosen(context, state);
    const domains = [...new Set(keys.filter(key => key.state === 'active').map(({domain}) => domain))];
    if (domains.length === 0) {
      throw new UsageError(
        problem('rotate.none', 'No domain has a key that signs.', 'Begin with: waxseal setup'),
      );
    }
    const used = new Set(state.keys.map(({selector}) => selector));
    // A rotation that was begun goes on with its own selector.
    const begun = keys.find(key => ['staged', 'pending', 'ready'].includes(key.state))?.selector;
    const selector =
      textOf(context.flags, 'selector') ??
      begun ??
      proposeSelector(ports.clock.now(), name => used.has(name));
    const resolvers = resolversOf(context.flags);
    const operations = createOperations(ports, {resolvers: resolvers.length === 0 ? undefined : resolvers});
    return await runFlow(
      context,
      {operations, clock: ports.clock, sandbox: false},
      {
        ...context.flags,
        domain: domains,
        selector,
      },
    );
  } finally {
    await lock?.release();
  }
}
