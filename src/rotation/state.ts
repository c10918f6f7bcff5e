import {formatPublish} from '../dns/publish/index.ts';
import {HostError} from '../domain/errors.ts';
import {STATE_DIRECTORY, STATE_FILE} from '../domain/places.ts';
import {fail, ok, problem, type Result} from '../domain/result.ts';
import {makeStateDirectory, OWN_FILE, oddKind} from '../keys/index.ts';
import type {Files} from '../system/ports.ts';
import {type RotationState, SCHEMA_VERSION} from './entry.ts';
import {parseState, whyUnreadable} from './parse.ts';

export const EMPTY_STATE: RotationState = {keys: []};

/**
 * The state file; empty where there is none. Problem `state.damaged`, `state.kind` or `state.newer` where it cannot be
 * used: it is never repaired or overwritten silently. Whether it is root's alone is a question of whoever changes something. Rejects with HostError where it cannot be read (not root).
 */
export async function loadState(files: Files): Promise<Result<RotationState>> {
  const odd = await oddKind(files, STATE_FILE);
  if (odd !== undefined) return fail(odd);
  const content = await files.read(STATE_FILE, {follow: false});
  if (content === undefined) return ok(EMPTY_STATE);
  return parseState(Buffer.from(content).toString('utf8'));
}

/** Replaces the state file in one step: after a crash it is the old or the new one. */
export async function saveState(files: Files, state: RotationState): Promise<void> {
  // What could not be read back would be lost: better no write.
  const why = whyUnreadable(state, formatState({...state, keys: []}));
  if (why !== undefined) {
    throw new HostError(problem('state.unwritable', `The state cannot be kept: ${why.message}`, why.hint));
  }
  await makeStateDirectory(files, STATE_DIRECTORY);
  await files.replace(STATE_FILE, Buffer.from(formatState(state), 'utf8'), OWN_FILE);
}

/**
 * Fields stand in the order of their names, keys and what happened to them in the order in which they came: whatever
 * changes is a difference of its own lines and of no others.
 */
export function formatState({keys, time, elsewhere, publishers, told}: RotationState): string {
  const kept = publishers?.map(({domain, publish}) => ({domain, publish: formatPublish(publish)}));
  const fields = {schemaVersion: SCHEMA_VERSION, keys, time, elsewhere, publishers: kept, told};
  return `${JSON.stringify(fields, sorted, 2)}\n`;
}

/** A replacer for JSON.stringify: objects with their fields in the order of their names. */
const sorted = (_name: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)))
    : value;
