import {type ExitCode, UsageError} from '../../domain/errors.ts';
import {problem} from '../../domain/result.ts';
import {createOperations} from '../../flow/work/index.ts';
import {isComing} from '../../flow/work/key-book.ts';
import {textOf} from '../arguments.ts';
import {type Context, mustBeRoot, resolversOf} from '../context.ts';
import {runFlow} from '../session.ts';
import {chosen, stateOf} from '../state-report.ts';

/**
 * `waxseal rotate`: the main job again with a new selector, for domains that sign already. The old key stays published
 * and is retired by the same switch that lets the new one sign. A rotation that was begun goes on with its own key.
 */
export async function rotate(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  mustBeRoot(ports, 'A rotation changes the mail configuration, and needs root.');
  const lock = await ports.locks.acquire('waxseal rotate');
  try {
    const keys = chosen(context, await stateOf(ports));
    const domains = [...new Set(keys.filter(key => key.state === 'active').map(({domain}) => domain))];
    if (domains.length === 0) {
      throw new UsageError(
        problem('rotate.none', 'No domain has a key that signs.', 'Begin with: waxseal setup'),
      );
    }
    const begun = keys.find(key => isComing(key) && domains.includes(key.domain))?.selector;
    const selector = textOf(context.flags, 'selector') ?? begun;
    const resolvers = resolversOf(context.flags);
    const operations = createOperations(ports, {
      resolvers: resolvers.length === 0 ? undefined : resolvers,
      namedFiles: await context.namedFiles(),
      newSelector: true,
    });
    return await runFlow(
      context,
      {operations, clock: ports.clock, sandbox: false},
      {...context.flags, domain: domains, ...(selector === undefined ? {} : {selector})},
    );
  } finally {
    await lock.release();
  }
}
