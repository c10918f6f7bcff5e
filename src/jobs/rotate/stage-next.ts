/** The next keys, made before the old ones end. */
import type {DnsName} from '../../domain/names.ts';
import {type Due, entryFinder, findEntry, type KeyEntry, putEntry} from '../../rotation/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import {lookAtHost} from '../../services/look.ts';
import {changeKeys, must} from '../key-book.ts';
import {attempt, type Look, markOf, problemOf, type Run, underLock} from './run.ts';
import {groupsOf, makeKeys, type NextKey, prepareKeys} from './stage.ts';

interface Item {
  readonly step: Due;
  readonly old: KeyEntry;
}

/** The next keys: in groups, so that the state is not written once for each; one by one where a group fails. */
export async function stageAll(run: Run, look: Look, steps: readonly Due[]): Promise<void> {
  if (steps.length === 0) return;
  const host = await lookAtHost(run.ports, run.signal);
  const find = entryFinder(look.state);
  const items = steps.flatMap(step => {
    const old = find(step);
    return old === undefined ? [] : [{step, old}];
  });
  for (const group of groupsOf(items)) {
    run.signal.throwIfAborted();
    if (group.length > 1 && (await stageTogether(run, look, host, group))) continue;
    for (const item of group) {
      run.signal.throwIfAborted();
      await attempt(run, [item.step], () => stageGroup(run, look, host, [item]));
    }
  }
}

/** False where one of them stands in the way of the others. */
async function stageTogether(
  run: Run,
  look: Look,
  host: HostFacts,
  group: readonly Item[],
): Promise<boolean> {
  for (const {step} of group) run.tried.add(markOf(step));
  try {
    await stageGroup(run, look, host, group);
    return true;
  } catch (error) {
    problemOf(run, error);
    return false;
  }
}

async function stageGroup(run: Run, look: Look, host: HostFacts, group: readonly Item[]): Promise<void> {
  const olds = group.map(({old}) => old);
  const prepared = await prepareKeys(run.ports, run.options, host, look.state, olds, run.signal);
  const byName = new Map(prepared.map(next => [next.old.record.name, next]));
  await underLock(
    run,
    look,
    group.map(({step}) => step),
    async ({state, steps, signal}) => {
      const find = entryFinder(state);
      const next = steps.flatMap(step => byName.get(find(step)?.record.name ?? ('' as DnsName)) ?? []);
      await makeKeys(run.ports, next, signal);
      const standby = steps.filter(({act}) => act?.do === 'stage' && act.standby);
      if (standby.length > 0) await standBy(run, next, standby);
      for (const step of steps) run.done.push(step.text);
    },
  );
}

async function standBy(run: Run, made: readonly NextKey[], steps: readonly Due[]): Promise<void> {
  const domains = new Set(steps.map(({domain}) => domain));
  const items = made.flatMap(({old: {domain}, selector}) =>
    domains.has(domain) ? [{domain, selector}] : [],
  );
  await changeKeys(run.ports, items, (own, {domain, selector}) => {
    const key = findEntry(own, domain, selector);
    return key === undefined ? own : must(putEntry(own, {...key, standby: true}));
  });
}
