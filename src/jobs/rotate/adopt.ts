/** Keys that were made by hand or by another program: taken into the state as what they are, keys that sign. */
import {createPublicKey} from 'node:crypto';
import {formatKeyRecord, publicKeyOf} from '../../dkim/index.ts';
import {surveyOnce} from '../../dns/authoritative.ts';
import {recordForms} from '../../dns/forms.ts';
import {findZone} from '../../dns/zone.ts';
import {ToolError} from '../../domain/errors.ts';
import {
  type DomainName,
  keyRecordName,
  parseDomain,
  parseSelector,
  type Selector,
} from '../../domain/names.ts';
import {type AbsolutePath, parseAbsolutePath} from '../../domain/paths.ts';
import {visible} from '../../domain/text.ts';
import {inspectKey} from '../../keys/index.ts';
import {
  activeEntry,
  addEntry,
  findEntry,
  type KeyEntry,
  newEntry,
  type RotationState,
  saveState,
} from '../../rotation/index.ts';
import {identitiesOf, modeLetsRead} from '../../services/account.ts';
import type {HostFacts} from '../../services/facts.ts';
import {lookAtHost} from '../../services/look.ts';
import {isRootsWord} from '../../services/opendkim/movable-key.ts';
import {parseDataSet} from '../../services/opendkim/parse.ts';
import {labelOf, parseTable} from '../../services/opendkim/tables.ts';
import type {KnownKey} from '../../services/signer.ts';
import {readConfiguration} from '../../services/snapshot.ts';
import type {InspectedFile, Ports} from '../../system/ports.ts';
import {must, readKeys} from '../key-book.ts';
import type {WorkOptions} from '../options.ts';

export interface Adoption {
  readonly domain: string;
  readonly selector: string;
  /** Undefined where it was taken up; else why not, made harmless. */
  readonly why: string | undefined;
}

/**
 * Takes up every key that signs here and that the state does not know, for all domains or for `only`. With `dryRun`
 * nothing is written down.
 * @returns what was taken up, and the state with it
 */
export async function adoptKeys(
  ports: Ports,
  options: WorkOptions & {readonly dryRun?: boolean},
  only: readonly DomainName[] | undefined,
  signal: AbortSignal,
): Promise<{readonly adopted: readonly Adoption[]; readonly state: RotationState}> {
  const facts = await lookAtHost(ports, signal);
  const judge = await judgeFor(ports, facts);
  const adopted: Adoption[] = [];
  let state = await readKeys(ports);
  for (const key of await keysInUse(ports, facts)) {
    const domain = parseDomain(key.domain);
    const selector = parseSelector(key.selector);
    const path = parseAbsolutePath(key.path);
    if (!domain.ok || !selector.ok || !path.ok || !(only?.includes(domain.value) ?? true)) continue;
    if (findEntry(state, domain.value, selector.value) !== undefined) continue;
    const file = await judge(path.value);
    const entry =
      typeof file === 'string'
        ? file
        : await entryOf(ports, options, domain.value, selector.value, path.value, file, signal);
    const taken =
      typeof entry !== 'string' && activeEntry(state, domain.value, entry.algorithm) !== undefined;
    const why = typeof entry === 'string' ? entry : taken ? 'another key is known to sign' : undefined;
    adopted.push({domain: domain.value, selector: selector.value, why});
    if (why === undefined && typeof entry !== 'string') {
      state = must(addEntry(state, entry));
      if (options.dryRun !== true) await saveState(ports.files, state);
    }
  }
  return {adopted, state};
}

/** Keys that a row of the signing table names, or the one of the single-key form. */
async function keysInUse(ports: Ports, facts: HostFacts): Promise<readonly KnownKey[]> {
  const keys = facts.signer?.keys ?? [];
  const path = facts.signer?.settings['signingtable']?.replace(/^(re)?file:/, '');
  if (path === undefined) return keys;
  const text = (await readConfiguration(ports, facts)).entries[path]?.text;
  if (text === undefined) return keys.filter(({domain}) => facts.signer?.signedDomains.includes(domain));
  const used = new Set(parseTable(text).map(row => labelOf(row.value)));
  return keys.filter(({label}) => used.has(label));
}

/** The file that a table names and whether it is OpenDKIM's to sign with; else why not. */
type Judge = (path: AbsolutePath) => Promise<InspectedFile | string>;

/**
 * Who can write a table could name any key of root's in it, which would be published or destroyed at the end of its life.
 * So a key is what OpenDKIM's account can read, or what root alone has named.
 */
async function judgeFor(ports: Ports, {signer: opendkim}: HostFacts): Promise<Judge> {
  if (opendkim === undefined) return async () => "OpenDKIM isn't installed";
  const identities = await identitiesOf(ports, opendkim);
  if ('unknown' in identities) return async () => `there is no ${identities.unknown}`;
  const table = parseDataSet(opendkim.settings['keytable'] ?? '');
  const writtenIn = [opendkim.configFile, ...('path' in table ? [table.path] : [])];
  return async path => {
    try {
      const real = await ports.files.resolve(path);
      const found = real === undefined ? undefined : await ports.files.inspect(real);
      if (real === undefined || found === undefined) return `${visible(path)} is missing`;
      const isTheirs =
        modeLetsRead(found.stat, identities.work) ||
        (await isRootsWord(ports, writtenIn, {path, real}, found.stat));
      return isTheirs
        ? found
        : `${visible(path)} can't be read by ${visible(identities.work.name)}, as whom OpenDKIM signs`;
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      return error.message;
    }
  };
}

async function entryOf(
  ports: Ports,
  options: WorkOptions,
  domain: DomainName,
  selector: Selector,
  path: AbsolutePath,
  {content, stat}: InspectedFile,
  signal: AbortSignal,
): Promise<KeyEntry | string> {
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
