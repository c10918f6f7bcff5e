/** Which keys of the state a signer of this host still uses, in words for a person. */
import type {DnsName} from '../domain/names.ts';
import {
  describeUse,
  lookAtSignerRows,
  type RowKey,
  type SignerRow,
  type UsesOf,
  usesOf,
} from '../host/index.ts';
import {recordFingerprint} from '../keys/index.ts';
import {
  activeEntry,
  entryName,
  type KeyEntry,
  type RotationFacts,
  type RotationState,
} from '../rotation/index.ts';
import {lookAtHost} from '../services/look.ts';
import type {Ports} from '../system/ports.ts';

type AskUses = (key: Pick<KeyEntry, 'record'>) => readonly SignerRow[];

/** How long a look at the signers counts within a run. Milliseconds. */
const LOOK_MS = 60_000;

/**
 * What was seen of the signers in one run: ten thousand rows are not read anew in every round. What is about to be
 * destroyed or published asks without it.
 */
export interface SeenUses {
  readonly keys: Map<string, RowKey>;
  look?: {readonly at: number; readonly ask: AskUses} | undefined;
}

/** Answers who uses a key now, from a look at every signer of this host. */
export async function lookAtUses(ports: Ports, signal: AbortSignal, seen?: SeenUses): Promise<AskUses> {
  const now = ports.clock.now().getTime();
  if (seen?.look !== undefined && now - seen.look.at < LOOK_MS) return seen.look.ask;
  const rows = await lookAtSignerRows(ports, await lookAtHost(ports, signal), seen?.keys);
  const uses: UsesOf = usesOf(rows);
  const ask: AskUses = ({record}) => uses(recordFingerprint(record.value));
  if (seen !== undefined) seen.look = {at: now, ask};
  return ask;
}

/** Of every key that is on its way out: whose record, and whose material, is still in use, by the name of its record. */
export async function keysInUse(
  ports: Ports,
  state: RotationState,
  signal: AbortSignal,
  seen?: SeenUses,
): Promise<Required<Pick<RotationFacts, 'inUse' | 'keyInUse'>>> {
  const [inUse, keyInUse] = [new Map<DnsName, string>(), new Map<DnsName, string>()];
  const leaving = state.keys.filter(key => key.state === 'retiring' || key.state === 'revoked');
  if (leaving.length === 0) return {inUse, keyInUse};
  const uses = await lookAtUses(ports, signal, seen);
  for (const key of leaving) {
    const rows = uses(key);
    const record = whatUses(
      key,
      state,
      rows.filter(row => needsRecord(row, key)),
    );
    if (record !== undefined) inUse.set(key.record.name, record);
    const material = whatUses(key, state, rows);
    if (material !== undefined) keyInUse.set(key.record.name, material);
  }
  return {inUse, keyInUse};
}

/**
 * Whether what a row signs is verified by the record of this key: the domain of a signature is part of the name that is
 * looked up (RFC 6376 §3.6.2.1). A row that signs as another domain needs that domain's record, even with the same key;
 * one of which the key or the domain is not known may need any.
 */
const needsRecord = (row: SignerRow, {domain}: Pick<KeyEntry, 'domain'>): boolean =>
  !row.key.known || row.domain === undefined || row.domain === domain;

/** The first of the rows in words, and how many more there are; undefined where there is none. */
export function whatUses(
  key: KeyEntry,
  state: RotationState,
  rows: readonly SignerRow[],
): string | undefined {
  const [first] = rows;
  if (first === undefined) return undefined;
  const next = activeEntry(state, key.domain, key.algorithm);
  const isOther = next !== undefined && next.selector !== key.selector;
  const text = describeUse(first, {domain: key.domain, successor: isOther ? entryName(next) : undefined});
  const more = rows.length - 1;
  return more === 0 ? text : `${text} (${more} more ${more === 1 ? 'row' : 'rows'} like it)`;
}
