/** Keys that were made by hand or by another program: taken into the state as what they are, keys that sign. */

import {createPublicKey} from 'node:crypto';
import {formatKeyRecord, publicKeyOf} from '../../dkim/index.ts';
import {surveyOnce} from '../../dns/authoritative.ts';
import {recordForms} from '../../dns/forms.ts';
import {givingUpSilent} from '../../dns/silence.ts';
import {findZone} from '../../dns/zone.ts';
import {refuseDamagedNotes} from '../../doctor/notes.ts';
import {command} from '../../domain/command.ts';
import {ToolError, UsageError} from '../../domain/errors.ts';
import {
  type DomainName,
  keyRecordName,
  parseDomain,
  parseSelector,
  type Selector,
} from '../../domain/names.ts';
import {type AbsolutePath, parseAbsolutePath} from '../../domain/paths.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {inspectKey} from '../../keys/index.ts';
import {sha256Of} from '../../plan/index.ts';
import {
  activeEntry,
  addEntry,
  entryFinder,
  entryName,
  type KeyEntry,
  newEntry,
  type RotationState,
  saveState,
} from '../../rotation/index.ts';
import {identitiesOf, modeLetsRead} from '../../services/account.ts';
import type {HostFacts} from '../../services/facts.ts';
import {lookAtHost} from '../../services/look.ts';
import {refusePlanted} from '../../services/planted.ts';
import {SIGNER} from '../../services/registry.ts';
import {isRootsWord} from '../../services/roots-word.ts';
import type {InspectedFile, Ports} from '../../system/ports.ts';
import {changeEach, must, readKeys} from '../key-book.ts';
import {createTurns} from '../lock-turns.ts';
import type {WorkOptions} from '../options.ts';

export interface Adoption {
  readonly domain: string;
  readonly selector: string;
  /** Undefined where it was taken up; else why not, made harmless. */
  readonly why: string | undefined;
}

/**
 * Takes up every key that signs here and that the state does not know, for all domains or for `only`. With `dryRun`
 * nothing is written down. The DNS is asked without the lock of the host; what is entered was looked at again under it.
 * LockHeld where another run is at work; HostError where waxseal's own notes are damaged, or a table is
 * named by a link that another account made.
 * @returns what was taken up, and the state with it
 */
export async function adoptKeys(
  ports: Ports,
  options: WorkOptions & {readonly dryRun?: boolean},
  only: readonly DomainName[] | undefined,
  signal: AbortSignal,
): Promise<{readonly adopted: readonly Adoption[]; readonly state: RotationState}> {
  const turns = createTurns(ports, 'rotate');
  const {found, before} = await turns.take(
    signal,
    async own => {
      await refuseDamagedNotes(ports);
      const state = await readKeys(ports);
      return {found: await unknownKeys(ports, state, only, own), before: state};
    },
    {wait: false},
  );
  if (found.length === 0) return {adopted: [], state: before};
  const entries = new Map<string, KeyEntry | string>();
  const asking = givingUpSilent(ports, signal);
  for (const key of found) entries.set(nameOf(key), await entryOf(asking, options, key, signal));
  return await turns.take(signal, async own => {
    const state = await readKeys(ports);
    const still = (await unknownKeys(ports, state, only, own)).flatMap(key => {
      const entry = entries.get(nameOf(key));
      return entry === undefined ? [] : [{domain: key.domain, selector: key.selector, entry}];
    });
    const adopted: Adoption[] = [];
    const after = changeEach(state, still, (keys, {domain, selector, entry}) => {
      const taken = typeof entry !== 'string' && activeEntry(keys, domain, entry.algorithm) !== undefined;
      const why = typeof entry === 'string' ? entry : taken ? 'another key is known to sign' : undefined;
      adopted.push({domain, selector, why});
      return why === undefined && typeof entry !== 'string' ? must(addEntry(keys, entry)) : keys;
    });
    if (after !== state && options.dryRun !== true) await saveState(ports.files, after);
    return {adopted, state: after};
  });
}

/**
 * Forgets keys that are known by adoption alone, of all domains or of `only`: the host is left as it is. UsageError
 * `adopt.in-use` where waxseal has done more with a domain that is named. The lock is the caller's.
 * @returns the keys that are not known any more
 */
export async function releaseKeys(
  ports: Pick<Ports, 'files'>,
  only: readonly DomainName[] | undefined,
  dryRun: boolean,
): Promise<readonly KeyEntry[]> {
  const state = await readKeys(ports);
  const isAdopted = ({log}: KeyEntry): boolean => log.every(({evidence}) => evidence.kind === 'adopted');
  const used = new Set(state.keys.filter(key => !isAdopted(key)).map(({domain}) => domain));
  const refused = only?.find(domain => used.has(domain));
  if (refused !== undefined) {
    throw new UsageError(
      problem(
        'adopt.in-use',
        `waxseal has made a key for ${refused}: its keys can't be forgotten.`,
        `To stop signing: ${command('waxseal', 'remove', '--domain', refused)}`,
      ),
    );
  }
  const gone = state.keys.filter(
    key => isAdopted(key) && !used.has(key.domain) && (only === undefined || only.includes(key.domain)),
  );
  if (gone.length === 0 || dryRun) return gone;
  const names = new Set(gone.map(entryName));
  await saveState(ports.files, {...state, keys: state.keys.filter(key => !names.has(entryName(key)))});
  return gone;
}

/** A key that a row signs with, and that the state does not know. */
interface UnknownKey {
  readonly domain: DomainName;
  readonly selector: Selector;
  readonly path: AbsolutePath;
  /** Its file, or why it is not taken up. */
  readonly file: InspectedFile | string;
}

/** What makes it the same key at a second look: all that an entry is made from. */
const nameOf = ({domain, selector, path, file}: UnknownKey): string =>
  `${selector} ${domain} ${path} ${typeof file === 'string' ? file : sha256Of(file.content)}`;

async function unknownKeys(
  ports: Ports,
  state: RotationState,
  only: readonly DomainName[] | undefined,
  signal: AbortSignal,
): Promise<readonly UnknownKey[]> {
  const facts = await lookAtHost(ports, signal);
  // A table that another account can lead elsewhere is refused before there is a new key, not when it is switched to.
  for (const source of facts.signer?.keySources ?? []) await refusePlanted(ports.files, source);
  const judge = await judgeFor(ports, facts);
  const [find, wanted] = [entryFinder(state), only === undefined ? undefined : new Set(only)];
  const found = new Map<string, UnknownKey>();
  for (const key of (facts.signer?.keys ?? []).filter(({used}) => used)) {
    const domain = parseDomain(key.domain);
    const selector = parseSelector(key.selector);
    const path = parseAbsolutePath(key.path);
    if (!domain.ok || !selector.ok || !path.ok || wanted?.has(domain.value) === false) continue;
    const name = {domain: domain.value, selector: selector.value};
    const mark = entryName(name);
    if (find(name) !== undefined || found.has(mark)) continue;
    found.set(mark, {...name, path: path.value, file: await judge(path.value)});
  }
  return [...found.values()];
}

/** The file that a table names and whether it is the signer's to sign with; else why not. */
type Judge = (path: AbsolutePath) => Promise<InspectedFile | string>;

/**
 * Who can write a table could name any key of root's in it, which would be published or destroyed at the end of its life.
 * So a key is what the signer's account can read, or what root alone has named.
 */
async function judgeFor(ports: Ports, {signer}: HostFacts): Promise<Judge> {
  if (signer === undefined) return async () => `${SIGNER.words.program} isn't installed`;
  const identities = await identitiesOf(ports, signer);
  if ('unknown' in identities) return async () => `there is no ${identities.unknown}`;
  return async path => {
    try {
      const real = await ports.files.resolve(path);
      const found = real === undefined ? undefined : await ports.files.inspect(real);
      if (real === undefined || found === undefined) return `${visible(path)} is missing`;
      const isTheirs =
        modeLetsRead(found.stat, identities.work) ||
        (await isRootsWord(ports, signer.keySources, {path, real}, found.stat));
      return isTheirs
        ? found
        : `${visible(path)} can't be read by ${visible(identities.work.name)}, as whom ${signer.program} signs`;
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      return error.message;
    }
  };
}

async function entryOf(
  ports: Ports,
  options: WorkOptions,
  {domain, selector, path, file}: UnknownKey,
  signal: AbortSignal,
): Promise<KeyEntry | string> {
  if (typeof file === 'string') return file;
  const {content, stat} = file;
  const pem = Buffer.from(content).toString('utf8');
  const described = inspectKey(pem);
  if (!described.ok) return described.problem.message;
  const {algorithm, bits, publicKey, fingerprint} = described.value;
  const name = keyRecordName(selector, domain);
  const zone = await findZone(ports, name, {resolvers: options.resolvers, signal});
  if (!zone.ok) return visible(zone.problem.message);
  const made = formatKeyRecord({
    algorithm,
    publicKey: createPublicKey(pem),
    testMode: false,
    noSubdomains: false,
  });
  const survey = await surveyOnce(ports, {name, expected: made, zone: zone.value}, {...options, signal});
  // What its owner has published counts, tags and all, as long as it is this key.
  const published = survey.servers
    .flatMap(({records}) => records)
    .find(text => publicKeyOf(text) === publicKey);
  const {absoluteName, relativeName, value} = recordForms({
    apex: zone.value.apex,
    name,
    value: published ?? made,
  });
  return newEntry(
    {
      domain,
      selector,
      algorithm,
      bits,
      keyPath: path,
      cacheSeconds: zone.value.negativeTtlSeconds,
      record: {name: absoluteName, zone: zone.value.apex, relativeName, value},
    },
    {kind: 'adopted', from: `${path} ${fingerprint.slice(0, 16)}`},
    ports.clock.now(),
    madeAt(selector, stat.modifiedMs, ports.clock.now()),
  );
}

/** When a key was made: the time of its file, or what its selector says, whichever is older (a copy has a new time). */
export function madeAt(selector: string, modifiedMs: number | undefined, now: Date): Date {
  const file = modifiedMs ?? now.getTime();
  const match = /(?:^|\D)(20[0-4]\d)(?:-?(0[1-9]|1[0-2]))?(?:-?(0[1-9]|[12]\d|3[01]))?(?:\D|$)/.exec(
    selector,
  );
  const named =
    match === null
      ? Number.POSITIVE_INFINITY
      : Date.UTC(Number(match[1]), Number(match[2] ?? 1) - 1, Number(match[3] ?? 1));
  return new Date(Math.min(file, named, now.getTime()));
}
