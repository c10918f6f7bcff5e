/** Whether a run can still be undone without letting a key sign that nobody can look up any more. */
import {type Problem, problem} from '../domain/result.ts';
import type {KeyEntry, RotationState} from './entry.ts';

/** Problem `undo.revoked` where the key that signed before this run is withdrawn, revoked, removed or leaked. */
export function undoHazard(state: RotationState, run: string): Problem | undefined {
  for (const key of state.keys) {
    const switched = key.log.some(
      ({to, evidence}) => to === 'active' && evidence.kind === 'signing-proven' && evidence.run === run,
    );
    const before = switched ? state.keys.find(each => wasReplacedBy(each, key)) : undefined;
    const why = before === undefined ? undefined : whyNot(before);
    if (before === undefined || why === undefined) continue;
    return problem(
      'undo.revoked',
      `${before.record.name} signed before this run, and ${why}: mail signed with it would fail.`,
      `Rotate to a new key instead: waxseal rotate --domain ${key.domain}`,
    );
  }
  return undefined;
}

const wasReplacedBy = (entry: KeyEntry, by: KeyEntry): boolean =>
  entry.domain === by.domain &&
  entry.algorithm === by.algorithm &&
  entry.log.some(({evidence}) => evidence.kind === 'superseded' && evidence.by === by.selector);

function whyNot({state, withdrawal, leakedAt}: KeyEntry): string | undefined {
  if (leakedAt !== undefined) return 'it is leaked';
  if (state === 'revoked' || state === 'removed') return `it is ${state}`;
  return withdrawal === undefined ? undefined : 'its record is being withdrawn';
}
