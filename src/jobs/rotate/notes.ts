/** Acts that only the state file knows of: a state that follows from evidence, and what was seen. */
import {
  type Act,
  findEntry,
  type KeyEntry,
  putEntry,
  type RotationFacts,
  saveState,
  transition,
} from '../../rotation/index.ts';
import {changeEach, must} from '../key-book.ts';
import {markOf, type Now, type Run} from './run.ts';

/** Acts that only the state file knows of. */
export const NOTES: ReadonlySet<Act['do']> = new Set(['move', 'note', 'note-use', 'publish', 'withdraw']);

/** The key after such an act. */
function noted(key: KeyEntry, act: Act, {now, records}: RotationFacts): KeyEntry {
  switch (act.do) {
    case 'move': {
      const moved = must(transition(key, act.to, act.evidence, now));
      const record = act.to === 'ready' ? records.get(key.record.name) : undefined;
      return record === undefined ? moved : {...moved, cacheSeconds: record.negativeSeconds};
    }
    case 'publish':
      return must(transition(key, 'pending', {kind: 'record-shown'}, now));
    case 'withdraw': {
      const queued = act.oldestQueuedAt === undefined ? {} : {oldestQueuedAt: act.oldestQueuedAt};
      return {...key, withdrawal: {at: now.toISOString(), because: act.because, ...queued}};
    }
    case 'note': {
      const {clearSince: _old, ...rest} = key;
      return act.clearSince === undefined ? rest : {...rest, clearSince: act.clearSince};
    }
    case 'note-use': {
      const {clearSince: _old, ...rest} = key;
      return {...rest, usedAt: act.at};
    }
    case 'stage':
    case 'switch':
    case 'destroy':
      return key;
  }
}

/** Writes the steps down, all at once. */
export async function noteSteps(run: Run, {state, facts, steps}: Now): Promise<void> {
  const after = changeEach(state, steps, (own, step) => {
    const {act} = step;
    const key = findEntry(own, step.domain, step.selector);
    if (key === undefined || act === undefined) return own;
    const next = noted(key, act, facts);
    const seen = run.seen.get(key.record.name);
    if (act.do !== 'note' && act.do !== 'note-use') {
      run.done.push(step.text);
      run.seen.delete(key.record.name);
    } else if (seen !== undefined) {
      run.seen.set(key.record.name, {...seen, key: next});
    }
    run.tried.delete(markOf(step));
    return must(putEntry(own, next));
  });
  await saveState(run.ports.files, after);
}
