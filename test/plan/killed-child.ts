/** Run in a process of its own: applies the set-up plan in the scratch root ARGV[2] and dies by SIGKILL at call ARGV[3]. */
import {applyPlan} from '../../src/plan/index.ts';
import {tamper} from './tamper.ts';
import {openWorld, setupPlan} from './world.ts';

const [, , root = '', at = '0'] = process.argv;
const world = openWorld(root);
const lock = await world.ports.locks.acquire('test');
const plan = await setupPlan(world.ports.files, world.ports);
// No clean-up of any kind runs after this; not even pending writes of this process.
const {ports, calls} = tamper(world.ports, Number(at), 'cut-after', () =>
  process.kill(process.pid, 'SIGKILL'),
);
const outcome = await applyPlan(ports, plan, world.hooks, () => undefined, new AbortController().signal);
await lock.release();
console.log(JSON.stringify({result: outcome.result, calls: calls.length}));
