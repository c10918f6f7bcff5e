/** Selector and keys: proposed, checked, made, tested, kept. */
import {createPublicKey} from 'node:crypto';
import {formatKeyRecord, publicKeyOf} from '../../dkim/index.ts';
import {recordForms} from '../../dns/forms.ts';
import {recogniseProvider, sizeProblem} from '../../dns/provider.ts';
import {selectorInUse} from '../../dns/selector-use.ts';
import {UsageError} from '../../domain/errors.ts';
import {type DomainName, keyRecordName, type Selector} from '../../domain/names.ts';
import {type AbsolutePath, parentOf} from '../../domain/paths.ts';
import {KEYS_DIRECTORY, STATE_DIRECTORY, stagedKeyPath} from '../../domain/places.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {type Answers, type KeyChoice, selectorFor} from '../../flow/answers.ts';
import type {DomainFacts, StagedDomain, StageOptions, StageProgress} from '../../flow/operations.ts';
import {rotationProblem, setupStart} from '../../flow/setup-rule.ts';
import {
  dropEmptyStage,
  dropStagedKey,
  generateKey,
  type ImportedKey,
  inspectKey,
  makeStateDirectory,
  readStagedKey,
  selfTest,
  stageKey,
} from '../../keys/index.ts';
import {
  addEntry,
  due,
  findEntry,
  isComing,
  type KeyEntry,
  newEntry,
  proposeSelector,
  putEntry,
  type RotationState,
  saveState,
  transition,
} from '../../rotation/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import {SIGNER} from '../../services/registry.ts';
import type {KeySpec, Ports} from '../../system/ports.ts';
import {changeEach, must, readKeys, recordOf} from '../key-book.ts';
import {HELD, type Turns} from '../lock-turns.ts';
import type {NamedFiles} from '../named-files.ts';
import type {WorkOptions} from '../options.ts';
import {gatherFacts} from '../rotate/facts.ts';

const DEFAULT_KEY: KeyChoice = {source: 'generate', spec: {algorithm: 'rsa', bits: 2048}};

/** Keys that are made at the same time where the source does not say; generation runs off the main thread. */
const AT_ONCE = 4;

/**
 * The selector of the keys that these domains have already, on their way or signing, so that a second run goes on with
 * them and finds nothing to do; domains that have none yet join it where it is free for them. Else, and for a rotation,
 * the first of the month that was never used here.
 */
export function suggestSelector(
  ports: Pick<Ports, 'clock'>,
  state: RotationState,
  facts: HostFacts,
  domains: readonly DomainName[],
  options: Pick<WorkOptions, 'newSelector'> = {},
  left?: LeftKeys,
): Selector {
  const shared = options.newSelector === true ? undefined : sharedSelector(state, domains);
  if (shared !== undefined) return shared;
  if (
    options.newSelector !== true &&
    left !== undefined &&
    domains.some(domain => left.domains.has(domain))
  ) {
    return left.selector;
  }
  const wanted = new Set(domains);
  const used = new Set([
    ...state.keys.filter(({domain}) => wanted.has(domain)).map(({selector}) => String(selector)),
    ...(facts.signer?.keys ?? []).map(({selector}) => selector.toLowerCase()),
  ]);
  return proposeSelector(ports.clock.now(), selector => used.has(selector));
}

/** Keys of a run that was cut short before the state knew of them. */
export interface LeftKeys {
  readonly selector: Selector;
  readonly domains: ReadonlySet<DomainName>;
}

/** Keys are made in the order of the domains, some at a time: one of the first is there, or none is. */
const FIRST = 64;

/**
 * What a run has left that ended while it made keys: by the answers that it kept before. Its selector is proposed again,
 * even when the month is another one by now; else its keys would lie there for nothing.
 */
export async function keysLeft(
  ports: Pick<Ports, 'files'>,
  draft: Answers | undefined,
): Promise<LeftKeys | undefined> {
  const {domains = [], selector} = draft ?? {};
  if (selector === undefined) return undefined;
  for (const domain of domains.slice(0, FIRST)) {
    if ((await ports.files.stat(stagedKeyPath(domain, selector))) !== undefined) {
      return {selector, domains: new Set(domains)};
    }
  }
  return undefined;
}

function sharedSelector(state: RotationState, domains: readonly DomainName[]): Selector | undefined {
  const current = knownSelectors(state, domains);
  const [selector, ...others] = new Set(current.values());
  if (selector === undefined || others.length > 0) return undefined;
  const entries = entriesIn(state);
  const isFree = domains.every(domain => current.has(domain) || !entries.has(nameIn(domain, selector)));
  return isFree ? selector : undefined;
}

/** Keys by their names: thousands are looked up, and walking all of them for each would take minutes. */
type Entries = ReadonlyMap<string, KeyEntry>;

const nameIn = (domain: DomainName, selector: Selector): string => `${selector} ${domain}`;

const entriesIn = ({keys}: RotationState): Entries =>
  new Map(keys.map(key => [nameIn(key.domain, key.selector), key]));

/** What each domain has already: the key that signs, else the one on its way; none for a rotation. */
export function knownSelectors(
  state: RotationState,
  domains: readonly DomainName[],
  options: Pick<WorkOptions, 'newSelector'> = {},
): ReadonlyMap<DomainName, Selector> {
  if (options.newSelector === true) return new Map();
  const own = keysOf(state, domains);
  return new Map(
    domains.flatMap(domain => {
      const start = setupStart(own.get(domain) ?? []);
      return start.start === 'continue' || start.start === 'signing'
        ? [[domain, start.selector] as const]
        : [];
    }),
  );
}

/** The keys of some domains, by domain: thousands are looked up. */
function keysOf(
  {keys}: RotationState,
  domains: readonly DomainName[],
): ReadonlyMap<DomainName, readonly KeyEntry[]> {
  const found = new Map<DomainName, KeyEntry[]>(domains.map(domain => [domain, []]));
  for (const key of keys) found.get(key.domain)?.push(key);
  return found;
}

/**
 * Whether a set-up may begin, or go on, for these domains: `rotate.running` or `rotate.needed` where only a rotation may,
 * with the moment from which it may.
 */
export async function checkStart(
  ports: Ports,
  options: WorkOptions,
  domains: readonly DomainName[],
  wished: (domain: DomainName) => Selector | undefined,
  signal: AbortSignal,
): Promise<Result<true>> {
  const state = await readKeysIfAllowed(ports);
  const own = keysOf(state, domains);
  for (const [domain, keys] of own) {
    const start = setupStart(keys, wished(domain));
    if (start.start !== 'rotation') continue;
    const notBefore = start.isRunning
      ? await earliest(ports, options, {...state, keys: [...keys]}, start.by, signal)
      : undefined;
    return fail(rotationProblem(domain, start, notBefore));
  }
  return ok(true);
}

/** When the scheduler lets a key sign; undefined where it waits for something else than time. */
async function earliest(
  ports: Ports,
  options: WorkOptions,
  state: RotationState,
  selector: Selector,
  signal: AbortSignal,
): Promise<Date | undefined> {
  const facts = await gatherFacts(ports, options, state, () => true, signal);
  return due(state, facts).find(step => step.selector === selector)?.notBefore;
}

/** Records that are there before their key is, by selector and domain: the key that is taken up must be theirs. */
export type PublishedRecords = Map<string, string>;

/**
 * Free on disk and on every authoritative server, or our own; or every record of that name is of the key `imported`,
 * as `KeyDescription.publicKey` has it. Those are put into `published`, or taken out of it.
 */
export async function checkSelector(
  ports: Ports,
  facts: HostFacts,
  domains: readonly DomainFacts[],
  selector: Selector,
  signal: AbortSignal,
  options: Partial<Pick<WorkOptions, 'resolvers'>> & {
    readonly state?: RotationState;
    readonly imported?: string | undefined;
    readonly published?: PublishedRecords;
  } = {},
): Promise<Result<true>> {
  const {imported, published} = options;
  const entries = entriesIn(options.state ?? (await readKeysIfAllowed(ports)));
  for (const {domain, zone} of domains) {
    const entry = entries.get(nameIn(domain, selector));
    if (entry !== undefined && (isComing(entry) || entry.state === 'active')) continue;
    if (entry !== undefined) return fail(taken(selector, domain, 'it was used here before'));
    const known = facts.signer?.keys.find(
      key => key.domain === domain && key.selector.toLowerCase() === selector,
    );
    if (known !== undefined) return fail(taken(selector, domain, 'the signer has a key of that name'));
    const asked = {name: keyRecordName(selector, domain), zone};
    const use = await selectorInUse(ports, asked, {signal, resolvers: options.resolvers});
    published?.delete(nameIn(domain, selector));
    if (use.kind === 'in-use') {
      const [record] = use.records;
      const isTheirs = imported !== undefined && use.records.every(text => publicKeyOf(text) === imported);
      if (record === undefined || !isTheirs) return fail(taken(selector, domain, IN_DNS));
      published?.set(nameIn(domain, selector), record);
    }
    if (use.kind === 'unknown') {
      return fail(
        problem(
          'selector.unknown',
          `No name server of ${zone.apex} answers, so nobody knows whether the selector ${selector} is free.`,
          'Check that this host may ask name servers (UDP and TCP port 53), then try again.',
        ),
      );
    }
  }
  return ok(true);
}

const IN_DNS = 'there is a record of that name in the DNS';

const readKeysIfAllowed = async (ports: Ports): Promise<RotationState> =>
  ports.process.privileged ? await readKeys(ports) : {keys: []};

const taken = (selector: Selector, domain: DomainName, why: string): Problem =>
  problem(
    'selector.taken',
    `The selector ${selector} of ${domain} is in use: ${why}.`,
    'Choose another; a selector is never used for a second key.',
  );

/** Whether the signer of this host can use such a key; reads the file of an import. */
export async function checkKey(
  named: Pick<NamedFiles, 'readDeciding'>,
  key: KeyChoice,
  facts: HostFacts,
): Promise<Result<true>> {
  if (key.source === 'generate') return supported(key.spec.algorithm, facts);
  const imported = await readImport(named, key.path);
  return imported.ok ? supported(imported.value.algorithm, facts) : imported;
}

/** The public key of the file that an answer names, as a record has it; undefined where none is imported or readable. */
export async function importedKey(
  named: Pick<NamedFiles, 'readDeciding'>,
  path: AbsolutePath,
): Promise<string | undefined> {
  const imported = await readImport(named, path);
  const described = imported.ok ? inspectKey(imported.value.pem) : imported;
  return described.ok ? described.value.publicKey : undefined;
}

async function readImport(
  named: Pick<NamedFiles, 'readDeciding'>,
  path: AbsolutePath,
): Promise<Result<ImportedKey>> {
  const content = await named.readDeciding(path);
  if (content === undefined) {
    return fail(problem('key.missing', `There is no file ${visible(path)}.`, 'Check --key.'));
  }
  const {importKey} = await import('../../keys/import.ts');
  return importKey(content);
}

function supported(algorithm: 'rsa' | 'ed25519', {signer}: HostFacts): Result<true> {
  const refusal = signer === undefined ? undefined : SIGNER.algorithmRefusal(algorithm, signer.version);
  return refusal === undefined ? ok(true) : fail(refusal);
}

/**
 * Makes or takes up one key a domain, tests each against its record, keeps them and writes them into the state. Where
 * one domain fails, what a dry run made for the others is removed at once.
 */
export async function stage(
  ports: Ports,
  named: Pick<NamedFiles, 'readDeciding'>,
  answers: Answers,
  domains: readonly DomainFacts[],
  emit: (progress: StageProgress) => void,
  signal: AbortSignal,
  {keep, replaces, known, turns = HELD, published = new Map()}: StageOptions & Others,
): Promise<Result<readonly StagedDomain[]>> {
  const wanted = domains.flatMap(facts => {
    const selector = selectorFor(answers, facts.domain);
    return selector === undefined ? [] : [{facts, selector}];
  });
  if (wanted.length < domains.length)
    return fail(problem('selector.missing', 'There is no selector.', 'Give --selector.'));
  const job: Omit<Job, 'selector'> = {
    ...{ports, named, answers, signal, turns, replaces, published},
    entries: entriesIn(await readKeys(ports)),
    newKey: keyMaker(ports, answers, domains, signal),
  };
  // The workers would make the shared level at the same time, and all but one fail.
  await makeStateDirectory(ports.files, KEYS_DIRECTORY);
  const staged = new Map<DomainName, StagedDomain>();
  const problems: Problem[] = [];
  const queue = wanted.values();
  const worker = async (): Promise<void> => {
    for (const {facts, selector} of queue) {
      if (problems.length > 0) return;
      const done = await stageOne({...job, selector}, facts);
      if (!done.ok) {
        problems.push(done.problem);
        return;
      }
      staged.set(facts.domain, done.value);
      emit({domain: facts.domain, done: staged.size, of: domains.length});
    }
  };
  const workers = Array.from(
    {length: Math.min(Math.max(AT_ONCE, ports.keys.atOnce ?? 0), domains.length)},
    worker,
  );
  try {
    await Promise.all(workers);
  } finally {
    await Promise.allSettled(workers);
    const isWhole = problems.length === 0 && staged.size === domains.length;
    if (!keep && !isWhole) await discard(ports, [...staged.values()], turns);
  }
  const [first] = problems;
  if (first !== undefined) return fail(first);
  const all = domains.flatMap(({domain}) => staged.get(domain) ?? []);
  if (!keep) return ok(all);
  const entered = await turns.take(signal, () => enterKeys(ports, all, {replaces, known}));
  // A private key that nothing names would stay for ever.
  if (!entered.ok) await discard(ports, all, turns);
  return entered;
}

/** Other runs, where this one does not hold the lock all the time. */
interface Others {
  /** The keys as this run has seen them; what came since is another run's. Absent: nothing can have come. */
  readonly known?: RotationState;
  readonly turns?: Turns;
  /** As `checkSelector` found them. */
  readonly published?: PublishedRecords;
}

/** What is the same for every domain of one call. */
interface Job {
  readonly ports: Ports;
  readonly named: Pick<NamedFiles, 'readDeciding'>;
  readonly answers: Answers;
  readonly selector: Selector;
  readonly signal: AbortSignal;
  readonly turns: Turns;
  readonly replaces: readonly StagedDomain[];
  readonly published: PublishedRecords;
  readonly entries: Entries;
  /** A private key as PEM: a new one each time, or the same one for all domains. */
  newKey(spec: KeySpec): Promise<string>;
}

/** One new key a domain, or for all the one that an earlier, interrupted run has made for one of them, or a new one. */
function keyMaker(
  ports: Ports,
  answers: Answers,
  domains: readonly DomainFacts[],
  signal: AbortSignal,
): Job['newKey'] {
  const choice = answers.key ?? DEFAULT_KEY;
  const make = async (spec: KeySpec): Promise<string> => (await generateKey(ports, spec, signal)).pem;
  if (choice.source !== 'generate' || choice.shared !== true) return make;
  const find = async (spec: KeySpec): Promise<string> => {
    for (const {domain} of domains) {
      const selector = selectorFor(answers, domain);
      const there = selector === undefined ? undefined : await readStagedKey(ports, domain, selector);
      if (there?.ok === true && fits(there.value, spec)) return there.value.pem;
    }
    return await make(spec);
  };
  let common: Promise<string> | undefined;
  return spec => {
    common ??= find(spec);
    return common;
  };
}

async function stageOne(job: Job, facts: DomainFacts): Promise<Result<StagedDomain>> {
  const entry = job.entries.get(nameIn(facts.domain, job.selector));
  if (entry !== undefined && !isComing(entry) && entry.state !== 'active') {
    return fail(taken(job.selector, facts.domain, 'it was used here before'));
  }
  const made = await madeBefore(job, facts.domain, entry);
  return await job.turns.take(job.signal, async () => {
    const newKey: Job['newKey'] = async spec => made ?? (await job.newKey(spec));
    const pem = await keyFor({...job, newKey}, facts.domain, entry);
    return pem.ok ? await keepKey(job, facts, pem.value, entry) : pem;
  });
}

/** A new key where one will be needed: making it takes long, and no other run has to wait for that. */
async function madeBefore(
  job: Job,
  domain: DomainName,
  entry: KeyEntry | undefined,
): Promise<string | undefined> {
  const choice = job.answers.key ?? DEFAULT_KEY;
  if (choice.source === 'import' || entry?.state === 'active') return undefined;
  const there = await readStagedKey(job.ports, domain, job.selector);
  const isNeeded =
    there === undefined || (there.ok && !fits(there.value, choice.spec) && isReplaceable(job, domain));
  return isNeeded ? await job.newKey(choice.spec) : undefined;
}

/**
 * The key that is there for the selector already where it is of the wished kind; else a new or the imported one. A key
 * that signs is never replaced: the default wish is content with it, any other is refused.
 */
async function keyFor(job: Job, domain: DomainName, entry: KeyEntry | undefined): Promise<Result<string>> {
  const {ports, selector} = job;
  const choice = job.answers.key ?? DEFAULT_KEY;
  const there = await readStagedKey(ports, domain, selector);
  if (there !== undefined && !there.ok) return fail(damaged(domain, selector, there.problem));
  if (choice.source === 'import') {
    const imported = await readImport(job.named, choice.path);
    if (!imported.ok) return imported;
    if (there !== undefined && there.value.pem !== imported.value.pem) {
      if (!isReplaceable(job, domain)) throw otherKey(selector, domain, there.value);
      await dropStagedKey(ports.files, there.value.path);
    }
    return ok(imported.value.pem);
  }
  if (there !== undefined) {
    const isContent = entry?.state === 'active' && isDefault(choice.spec);
    if (isContent || fits(there.value, choice.spec)) return ok(there.value.pem);
    if (!isReplaceable(job, domain)) throw otherKey(selector, domain, there.value);
    const made = await job.newKey(choice.spec);
    await dropStagedKey(ports.files, there.value.path);
    return ok(made);
  }
  if (entry?.state === 'active') {
    throw new UsageError(
      problem(
        'key.elsewhere',
        `The key ${selector}._domainkey.${domain} signs, but its copy under the state directory is gone.`,
        `Replace it: waxseal rotate --domain ${domain}`,
      ),
    );
  }
  return ok(await job.newKey(choice.spec));
}

const isDefault = (spec: KeySpec): boolean => spec.algorithm === 'rsa' && spec.bits === 2048;

/** This very run made it before another answer was given, and it does not sign. */
const isReplaceable = ({replaces, selector}: Job, domain: DomainName): boolean =>
  replaces.some(each => each.domain === domain && each.selector === selector && each.state !== 'active');

const damaged = (domain: DomainName, selector: Selector, why: Problem): Problem =>
  problem(
    'state.key-damaged',
    `The key that waxseal keeps for ${selector}._domainkey.${domain} is damaged: ${why.message}`,
    `Put ${stagedKeyPath(domain, selector)} back from a backup, or choose another --selector.`,
  );

const otherKey = (
  selector: Selector,
  domain: DomainName,
  key: {readonly algorithm: string; readonly bits: number},
): UsageError =>
  new UsageError(
    problem(
      'key.exists',
      `There is another key for ${selector}._domainkey.${domain} already (${key.algorithm}, ${key.bits} bits).`,
      'Choose another --selector, or the key that is there.',
    ),
  );

const fits = (key: {readonly algorithm: string; readonly bits: number}, spec: KeySpec): boolean =>
  key.algorithm === spec.algorithm && (spec.algorithm === 'ed25519' || key.bits === spec.bits);

async function keepKey(
  {ports, answers, selector, published}: Job,
  facts: DomainFacts,
  pem: string,
  entry: KeyEntry | undefined,
): Promise<Result<StagedDomain>> {
  const described = inspectKey(pem);
  if (!described.ok) return described;
  const {algorithm, bits} = described.value;
  const there = published.get(nameIn(facts.domain, selector));
  if (there !== undefined && publicKeyOf(there) !== described.value.publicKey) {
    return fail(taken(selector, facts.domain, IN_DNS));
  }
  const value = recordValue(answers, algorithm, pem, entry?.record.value ?? there);
  const tested = await selfTest(pem, value);
  if (!tested.ok) return tested;
  const kept = await stageKey(ports, {domain: facts.domain, selector, pem});
  if (!kept.ok) return kept;
  const servers = [...new Set(facts.zone.servers.map(({name}) => name))];
  const provider = recogniseProvider(servers);
  const size = provider === undefined ? undefined : sizeProblem(provider, Buffer.byteLength(value));
  return ok({
    domain: facts.domain,
    selector,
    algorithm,
    bits,
    state: 'staged',
    stagedPath: kept.value.path,
    sha256: kept.value.sha256,
    zone: facts.zone,
    record: recordForms({
      apex: facts.zone.apex,
      name: keyRecordName(selector, facts.domain),
      value,
      servers,
    }),
    remarks: size === undefined ? [] : [size],
  });
}

/**
 * The record of the key. Where nothing was said about it, the one that is published already stays as it is: a second
 * run without `--note` must not ask for a record without the note.
 */
function recordValue(
  answers: Answers,
  algorithm: 'rsa' | 'ed25519',
  pem: string,
  known: string | undefined,
): string {
  const publicKey = createPublicKey(pem);
  const {testMode, subdomains, note} = answers;
  const isSilent = testMode === undefined && subdomains === undefined && note === undefined;
  const bare = formatKeyRecord({algorithm, publicKey, testMode: false, noSubdomains: false});
  if (isSilent && known !== undefined && publicKeyOf(known) === publicKeyOf(bare)) return known;
  return formatKeyRecord({
    algorithm,
    publicKey,
    testMode: testMode === true,
    noSubdomains: subdomains === false,
    ...(note === undefined || note === '' ? {} : {note}),
  });
}

/** Writes the keys into the state file. What was on its way for the same domain before is given up. */
async function enterKeys(
  ports: Ports,
  staged: readonly StagedDomain[],
  {known, replaces}: Pick<Job, 'replaces'> & {readonly known: RotationState | undefined},
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
  const seen = entriesIn(known);
  const own = new Set([...staged, ...replaces].map(({domain, selector}) => nameIn(domain, selector)));
  const domains = new Set(staged.map(({domain}) => domain));
  const theirs = keys.find(
    key =>
      domains.has(key.domain) &&
      (isComing(key) || key.state === 'active') &&
      !own.has(nameIn(key.domain, key.selector)) &&
      !seen.has(nameIn(key.domain, key.selector)),
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
  const entries = entriesIn(await readKeys(ports));
  for (const {domain, selector, record, stagedPath} of staged) {
    const entry = entries.get(nameIn(domain, selector));
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

/**
 * Removes keys of a dry run, but never one that the state file knows, and the directories of waxseal's own that are
 * empty then.
 */
export async function discard(
  ports: Pick<Ports, 'files'>,
  staged: readonly Pick<StagedDomain, 'domain' | 'selector' | 'stagedPath'>[],
  turns: Turns = HELD,
): Promise<void> {
  // Also when the run ends because somebody stopped it.
  await turns.take(new AbortController().signal, async () => {
    const entries = entriesIn(await readKeys(ports));
    for (const {domain, selector, stagedPath} of staged) {
      if (!entries.has(nameIn(domain, selector))) await dropStagedKey(ports.files, stagedPath);
      await removeIfEmpty(ports.files, parentOf(stagedPath));
    }
    await removeIfEmpty(ports.files, KEYS_DIRECTORY);
    await removeIfEmpty(ports.files, STATE_DIRECTORY);
  });
}

async function removeIfEmpty(files: Ports['files'], directory: AbsolutePath): Promise<void> {
  await dropEmptyStage(files, directory);
}
