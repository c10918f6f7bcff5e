/** Makes the keys of a set-up: each is tested against its record and kept. */
import {createPublicKey} from 'node:crypto';
import {formatKeyRecord, publicKeyOf} from '../../dkim/index.ts';
import {recordForms} from '../../dns/forms.ts';
import {recogniseProvider, sizeProblem} from '../../dns/provider.ts';
import {type DomainName, keyRecordName} from '../../domain/names.ts';
import {parentOf} from '../../domain/paths.ts';
import {KEYS_DIRECTORY, STATE_DIRECTORY} from '../../domain/places.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {type Answers, selectorFor} from '../../flow/answers.ts';
import type {DomainFacts, StagedDomain, StageOptions, StageProgress} from '../../flow/operations.ts';
import {
  dropEmptyStage,
  dropStagedKey,
  inspectKey,
  makeStateDirectory,
  selfTest,
  stageKey,
} from '../../keys/index.ts';
import {entryFinder, isComing, type KeyEntry, type RotationState} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {readKeys} from '../key-book.ts';
import {HELD, type Turns} from '../lock-turns.ts';
import type {NamedFiles} from '../named-files.ts';
import {type KeyWish, keyFor, keyMaker, madeBefore} from './choose-key.ts';
import {enterKeys} from './enter.ts';
import {IN_DNS, type PublishedRecords, taken} from './selector.ts';

/** Keys that are made at the same time where the source does not say; generation runs off the main thread. */
const AT_ONCE = 4;

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
    find: entryFinder(await readKeys(ports)),
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
interface Job extends KeyWish {
  readonly signal: AbortSignal;
  readonly turns: Turns;
  readonly published: PublishedRecords;
  readonly find: ReturnType<typeof entryFinder>;
}

async function stageOne(job: Job, facts: DomainFacts): Promise<Result<StagedDomain>> {
  const entry = job.find({...facts, selector: job.selector});
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

async function keepKey(
  {ports, answers, selector, published}: Job,
  facts: DomainFacts,
  pem: string,
  entry: KeyEntry | undefined,
): Promise<Result<StagedDomain>> {
  const described = inspectKey(pem);
  if (!described.ok) return described;
  const {algorithm, bits} = described.value;
  const there = published.get(keyRecordName(selector, facts.domain));
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
    const find = entryFinder(await readKeys(ports));
    for (const {domain, selector, stagedPath} of staged) {
      if (find({domain, selector}) === undefined) await dropStagedKey(ports.files, stagedPath);
      await dropEmptyStage(ports.files, parentOf(stagedPath));
    }
    await dropEmptyStage(ports.files, KEYS_DIRECTORY);
    await dropEmptyStage(ports.files, STATE_DIRECTORY);
  });
}
