/** Staged keys in the state file: entered, and looked at again before anything rests on them. */
import {publicKeyOf} from '../../dkim/index.ts';
import type {DomainName, Selector} from '../../domain/names.ts';
import type {AbsolutePath} from '../../domain/paths.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import type {StagedDomain} from '../../flow/operations.ts';
import {dropStagedKey} from '../../keys/index.ts';
import {
  addEntry,
  entryFinder,
  entryName,
  findEntry,
  isComing,
  type KeyEntry,
  newEntry,
  putEntry,
  type RotationState,
  saveState,
  transition,
} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {changeEach, must, readKeys, recordOf} from '../key-book.ts';
import type {KeyWish} from './choose-key.ts';

/** Writes the keys into the state file. What was on its way for the same domain before is given up. */
export async function enterKeys(
  ports: Ports,
  staged: readonly StagedDomain[],
  {known, replaces}: Pick<KeyWish, 'replaces'> & {readonly known: RotationState | undefined},
): Promise<Result<readonly StagedDomain[]>> {
  const now = ports.clock.now();
  const before = await readKeys(ports);
  const others = known === undefined ? undefined : await otherRun(ports, before, staged, known, replaces);
  if (others !== undefined) return fail(others);
  const done: StagedDomain[] = [];
  const forsaken: AbsolutePath[] = [];
  const state = changeEach(before, staged, (own, each) => {
    let next = own;
    // A key that signs already gives up nothing: one that stands by goes on standing by.
    const isNew = findEntry(own, each.domain, each.selector)?.state !== 'active';
    for (const old of isNew ? own.keys : []) {
      if (old.selector === each.selector || !isComing(old) || old.algorithm !== each.algorithm) continue;
      next = must(putEntry(next, abandoned(old, each.selector, now)));
      if (old.stagedPath !== undefined) forsaken.push(old.stagedPath);
    }
    const entry = findEntry(next, each.domain, each.selector);
    next = entry === undefined ? must(addEntry(next, entryOf(each, now))) : again(next, entry, each, now);
    const known = findEntry(next, each.domain, each.selector)?.state;
    const isFarther = known === 'pending' || known === 'ready' || known === 'active';
    done.push({...each, state: isFarther ? known : 'staged'});
    return next;
  });
  if (state !== before) await saveState(ports.files, state);
  // Only now: a state file must never name a key that is gone.
  for (const path of forsaken) await dropStagedKey(ports.files, path);
  return ok(done);
}

/** What another run has done with these domains since this one began, where this one cannot continue then. */
async function otherRun(
  ports: Pick<Ports, 'files'>,
  {keys}: RotationState,
  staged: readonly StagedDomain[],
  known: RotationState,
  replaces: readonly StagedDomain[],
): Promise<Problem | undefined> {
  const seen = entryFinder(known);
  const own = new Set([...staged, ...replaces].map(entryName));
  const domains = new Set(staged.map(({domain}) => domain));
  const theirs = keys.find(
    key =>
      domains.has(key.domain) &&
      (isComing(key) || key.state === 'active') &&
      !own.has(entryName(key)) &&
      seen(key) === undefined,
  );
  if (theirs !== undefined) {
    return problem(
      'key.other-run',
      `Another run of waxseal made the key ${theirs.selector}._domainkey.${theirs.domain} since this one began.`,
      'Run the same command again without --selector: it continues with that key.',
    );
  }
  for (const {domain, selector, stagedPath} of staged) {
    if ((await ports.files.stat(stagedPath)) === undefined) return replaced(domain, selector);
  }
  return undefined;
}

const replaced = (domain: DomainName, selector: Selector): Problem =>
  problem(
    'key.other-run',
    `Another run of waxseal replaced or gave up the key ${selector}._domainkey.${domain} since this one began.`,
    'Nothing was changed by this run. Run the same command again: it sees what there is now.',
  );

/**
 * Whether staged keys are still what they were when this run made them: looked at again under the lock, before anything
 * rests on them. A key that the state does not know is one of a dry run.
 */
export async function checkStaged(
  ports: Pick<Ports, 'files'>,
  staged: readonly StagedDomain[],
): Promise<Result<true>> {
  const find = entryFinder(await readKeys(ports));
  for (const {domain, selector, record, stagedPath} of staged) {
    const entry = find({domain, selector});
    const isSame =
      entry === undefined
        ? (await ports.files.stat(stagedPath)) !== undefined
        : (isComing(entry) || entry.state === 'active') &&
          publicKeyOf(entry.record.value) === publicKeyOf(record.value);
    if (!isSame) return fail(replaced(domain, selector));
  }
  return ok(true);
}

/** A key that is known: where its record is another one now, its way to the servers begins anew. */
function again(state: RotationState, entry: KeyEntry, each: StagedDomain, now: Date): RotationState {
  if (entry.state === 'active' || entry.record.value === each.record.value) return state;
  const fresh = entryOf(each, now);
  const log = fresh.log.map(line => ({...line, from: entry.state}));
  return must(putEntry(state, {...fresh, createdAt: entry.createdAt, log: [...entry.log, ...log]}));
}

const entryOf = (each: StagedDomain, now: Date): KeyEntry =>
  newEntry(
    {
      domain: each.domain,
      selector: each.selector,
      algorithm: each.algorithm,
      bits: each.bits,
      record: recordOf(each),
      stagedPath: each.stagedPath,
      cacheSeconds: each.zone.negativeTtlSeconds,
    },
    {kind: 'self-test', fingerprint: each.sha256},
    now,
  );

function abandoned(entry: KeyEntry, by: Selector, now: Date): KeyEntry {
  const {stagedPath: _gone, ...rest} = must(
    transition(
      entry,
      'removed',
      {kind: 'abandoned', why: `a setup with the selector ${by} took its place`},
      now,
    ),
  );
  return rest;
}
