/** The records of a host against its keys: few are each looked at thoroughly, of many those that are not plainly right. */
import type {DnsPorts} from '../../dns/client.ts';
import {recordTags} from '../../dns/compare.ts';
import {createServerBook} from '../../dns/many/servers.ts';
import {nothingLearned, type ResolverOptions, resolveOnlyText} from '../../dns/resolver.ts';
import {givingUpSilent} from '../../dns/silence.ts';
import {checkRecord, type RecordToCheck} from '../../doctor/records.ts';
import {keyRecordName, parseDomain, parseSelector} from '../../domain/names.ts';
import {type HostPicture, recordKey, type SignatureMade} from '../../host/index.ts';
import type {Check} from '../../proof/proof.ts';
import type {KeyEntry} from '../../rotation/index.ts';
import {eachOf} from '../../services/reading.ts';

/** Up to so many records are each looked at thoroughly; so many at a time. */
const THOROUGH = 100;
const RECORDS_AT_ONCE = 16;

export interface RecordChecksOptions extends Pick<ResolverOptions, 'resolvers' | 'signal'> {
  /** Every key that waxseal knows. */
  readonly known: readonly KeyEntry[];
  /** Default 100. More records than that get a question to each server, and the thorough look only where one is not right. */
  readonly thoroughUpTo?: number;
}

/**
 * Of waxseal's keys (`own`) those that are published or sign; of all others those that sign (`made`, by d= and s=). What is
 * odd about a zone is told once.
 */
export async function recordChecks(
  given: DnsPorts,
  keys: HostPicture['keys'],
  {own, made}: {readonly own: readonly KeyEntry[]; readonly made: ReadonlyMap<string, SignatureMade>},
  {known, thoroughUpTo = THOROUGH, ...asking}: RecordChecksOptions,
): Promise<readonly Check[]> {
  const ports = givingUpSilent(given, asking.signal);
  const published = own.filter(({state}) => ['ready', 'active', 'retiring'].includes(state));
  const names = new Set(known.map(({domain, selector}) => recordKey(domain, selector)));
  const others = [...made].flatMap(([name, signature]) => (names.has(name) ? [] : [signature]));
  const all = [...published, ...others];
  const resolving = {...asking, learned: nothingLearned()};
  const book = all.length > thoroughUpTo ? createServerBook(ports, resolving) : undefined;
  const found = await eachOf<KeyEntry | SignatureMade, readonly Check[]>(all, RECORDS_AT_ONCE, async key => {
    const wanted = 'record' in key ? key : await byHand(ports, keys, key, asking);
    return wanted === undefined ? [] : await checkRecord(ports, wanted, {...resolving, known, book});
  });
  const once = new Map(found.flat().map(check => [`${check.title} ${check.cause}`, check]));
  return [...once.values()];
}

/**
 * The record of a key that waxseal did not make: where the resolver has one with this very key, every server must have
 * the same; else the plain one. undefined where the key is not known.
 */
async function byHand(
  ports: DnsPorts,
  keys: HostPicture['keys'],
  {domain, selector, keyPath}: SignatureMade,
  options: ResolverOptions,
): Promise<RecordToCheck | undefined> {
  const [name, label] = [parseDomain(domain), parseSelector(selector)];
  const key = keyPath === undefined ? undefined : keys.get(keyPath);
  if (!name.ok || !label.ok || key?.known !== true) return undefined;
  const record = keyRecordName(label.value, name.value);
  const published = await resolveOnlyText(ports, record, options);
  const isSame = published !== undefined && recordTags(published)?.get('p') === key.publicKey;
  const value = isSame ? published : `v=DKIM1; k=${key.algorithm}; p=${key.publicKey}`;
  return {domain: name.value, selector: label.value, record: {name: record, value}};
}
