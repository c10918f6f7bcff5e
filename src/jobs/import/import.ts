/** Takes up what another host has exported: its keys become known here, and those that came with their private key can sign. */
import {createHash} from 'node:crypto';
import {HostError, UsageError} from '../../domain/errors.ts';
import {stagedKeyPath} from '../../domain/places.ts';
import {problem} from '../../domain/result.ts';
import {setupStart} from '../../flow/setup-rule.ts';
import type {SignerRow} from '../../host/index.ts';
import {inspectKey, selfTest, stageKey} from '../../keys/index.ts';
import {
  addEntry,
  type ForeignKey,
  findEntry,
  type KeyEntry,
  newEntry,
  parseForeignKeys,
  type RotationState,
  saveState,
} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {must, readKeys} from '../key-book.ts';
import {lookAtUses} from '../key-uses.ts';

/** A file that `waxseal export` has written. */
export interface Export {
  readonly host: string;
  readonly keys: readonly ForeignKey[];
  readonly secret: ReadonlyMap<string, string>;
}

/** A key that came with its private half and was not known here. */
export interface TakenKey {
  readonly key: ForeignKey;
  /** How this host would begin to sign with it. */
  readonly start: ReturnType<typeof setupStart>['start'];
  /** Rows of this host that sign with it already. */
  readonly rows: readonly SignerRow[];
}

/**
 * Writes down the keys of `read`, and keeps the private ones that came along; nothing with `dryRun`. The lock is the
 * caller's. Rejects with HostError where a private key does not belong to its record.
 */
export async function importKeys(
  ports: Ports,
  read: Export,
  {dryRun}: {readonly dryRun: boolean},
  signal: AbortSignal,
): Promise<readonly TakenKey[]> {
  const before = await readKeys(ports);
  const others = (before.elsewhere ?? []).filter(({host}) => host !== read.host);
  let state: RotationState = {...before, elsewhere: [...others, ...read.keys]};
  const taken: (Omit<TakenKey, 'rows'> & {readonly pem: string})[] = [];
  for (const key of read.keys) {
    const pem = read.secret.get(key.record.name);
    if (pem === undefined || findEntry(state, key.domain, key.selector) !== undefined) continue;
    state = must(addEntry(state, await entryOf(key, pem, ports.clock.now())));
    const same = state.keys.filter(({domain}) => domain === key.domain);
    taken.push({key, pem, start: setupStart(same, key.selector).start});
  }
  const uses = taken.length === 0 ? undefined : await lookAtUses(ports, signal);
  if (!dryRun) {
    // Only when all of them are known to be good: a half import would leave private keys that nothing names.
    for (const {key, pem} of taken) {
      must(await stageKey(ports, {domain: key.domain, selector: key.selector, pem}));
    }
    await saveState(ports.files, state);
  }
  return taken.map(({key, start}) => ({key, start, rows: (uses?.(key) ?? []).filter(row => row.key.known)}));
}

/** A key enters as one that waits: it has been tested here. */
async function entryOf({domain, selector, record}: ForeignKey, pem: string, now: Date): Promise<KeyEntry> {
  const tested = await selfTest(pem, record.value);
  if (!tested.ok) throw new HostError(tested.problem);
  const {algorithm, bits} = must(inspectKey(pem));
  const fingerprint = createHash('sha256').update(pem, 'utf8').digest('hex');
  const stagedPath = stagedKeyPath(domain, selector);
  return newEntry(
    {domain, selector, algorithm, bits, record, stagedPath},
    {kind: 'self-test', fingerprint},
    now,
  );
}

/** Throws UsageError `import.damaged` for anything that is no export. */
export function readExport(text: string): Export {
  const damaged = (): UsageError =>
    new UsageError(
      problem(
        'import.damaged',
        'This is no export of waxseal.',
        'Make one on the other host: waxseal export',
      ),
    );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged();
  }
  if (typeof value !== 'object' || value === null) throw damaged();
  const fields: Readonly<Record<string, unknown>> = Object.fromEntries(Object.entries(value));
  const {waxseal, version, host, keys, private: secret} = fields;
  if (waxseal !== 'export' || version !== 1 || typeof host !== 'string' || !Array.isArray(keys)) {
    throw damaged();
  }
  const pairs = typeof secret === 'object' && secret !== null ? Object.entries(secret) : [];
  return {
    host,
    // Whatever it says of single keys: they are those of the host that the file is of.
    keys: must(parseForeignKeys(keys)).map(key => ({...key, host})),
    secret: new Map(pairs.flatMap(([name, pem]) => (typeof pem === 'string' ? [[name, pem] as const] : []))),
  };
}
