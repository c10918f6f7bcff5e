/** Selector and keys: proposed, checked, made, tested, kept. */
import {createPublicKey} from 'node:crypto';
import {formatKeyRecord} from '../../dkim/index.ts';
import {recordForms} from '../../dns/forms.ts';
import {recogniseProvider, sizeProblem} from '../../dns/provider.ts';
import {selectorInUse} from '../../dns/selector-use.ts';
import {type DomainName, keyRecordName, type Selector} from '../../domain/names.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {
  generateKey,
  importKey,
  inspectKey,
  readStagedKey,
  selfTest,
  signerSupports,
  stageKey,
} from '../../keys/index.ts';
import {
  addEntry,
  findEntry,
  type KeyEntry,
  newEntry,
  proposeSelector,
  putEntry,
  type RotationState,
  saveState,
  transition,
} from '../../rotation/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import type {KeySpec, Ports} from '../../system/ports.ts';
import type {Answers, KeyChoice} from '../answers.ts';
import type {DomainFacts, StagedDomain, StageOptions, StageProgress} from '../operations.ts';
import {isComing, must, readKeys} from './key-book.ts';

const DEFAULT_KEY: KeyChoice = {source: 'generate', spec: {algorithm: 'rsa', bits: 2048}};

/** Keys that are made at the same time; generation runs off the main thread. */
const AT_ONCE = 4;

/**
 * The selector that signs already for all of these domains, so that a second run finds nothing to do; else the first
 * of the month that was never used here.
 */
export function suggestSelector(
  ports: Pick<Ports, 'clock'>,
  state: RotationState,
  facts: HostFacts,
  domains: readonly DomainName[],
): Selector {
  const active = domains.map(domain =>
    state.keys.find(key => key.domain === domain && key.state === 'active'),
  );
  const [first] = active;
  if (first !== undefined && active.every(key => key?.selector === first.selector)) return first.selector;
  const used = new Set([
    ...state.keys.filter(({domain}) => domains.includes(domain)).map(({selector}) => String(selector)),
    ...(facts.opendkim?.keys ?? []).map(({selector}) => selector.toLowerCase()),
  ]);
  return proposeSelector(ports.clock.now(), selector => used.has(selector));
}

/** Free on disk and on every authoritative server, or our own. */
export async function checkSelector(
  ports: Ports,
  facts: HostFacts,
  domains: readonly DomainFacts[],
  selector: Selector,
  signal: AbortSignal,
): Promise<Result<true>> {
  const state = await readKeysIfAllowed(ports);
  for (const {domain, zone} of domains) {
    const entry = findEntry(state, domain, selector);
    if (entry !== undefined && (isComing(entry) || entry.state === 'active')) continue;
    if (entry !== undefined) return fail(taken(selector, domain, 'it was used here before'));
    const known = facts.opendkim?.keys.find(
      key => key.domain === domain && key.selector.toLowerCase() === selector,
    );
    if (known !== undefined) return fail(taken(selector, domain, 'the signer has a key of that name'));
    const use = await selectorInUse(ports, {name: keyRecordName(selector, domain), zone}, {signal});
    if (use.kind === 'in-use')
      return fail(taken(selector, domain, 'there is a record of that name in the DNS'));
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

const readKeysIfAllowed = async (ports: Ports): Promise<RotationState> =>
  ports.process.privileged ? await readKeys(ports) : {keys: []};

const taken = (selector: Selector, domain: DomainName, why: string): Problem =>
  problem(
    'selector.taken',
    `The selector ${selector} of ${domain} is in use: ${why}.`,
    'Choose another; a selector is never used for a second key.',
  );

/** Whether the signer of this host can use such a key; reads the file of an import. */
export async function checkKey(ports: Ports, key: KeyChoice, facts: HostFacts): Promise<Result<true>> {
  if (key.source === 'generate') return supported(key.spec.algorithm, facts);
  const content = await ports.files.read(key.path);
  if (content === undefined) {
    return fail(problem('key.missing', `There is no file ${key.path}.`, 'Check the path of the key.'));
  }
  const imported = importKey(content);
  return imported.ok ? supported(imported.value.algorithm, facts) : imported;
}

const supported = (algorithm: 'rsa' | 'ed25519', facts: HostFacts): Result<true> =>
  facts.opendkim === undefined ? ok(true) : signerSupports(algorithm, facts.opendkim.version);

/** Makes or takes up one key a domain, tests each against its record, keeps them and writes them into the state. */
export async function stage(
  ports: Ports,
  answers: Answers,
  domains: readonly DomainFacts[],
  emit: (progress: StageProgress) => void,
  signal: AbortSignal,
  options: StageOptions,
): Promise<Result<readonly StagedDomain[]>> {
  const {selector} = answers;
  if (selector === undefined)
    return fail(problem('selector.missing', 'There is no selector.', 'Give --selector.'));
  const staged = new Map<DomainName, StagedDomain>();
  const problems: Problem[] = [];
  const queue = domains.entries();
  const worker = async (): Promise<void> => {
    for (const [, domain] of queue) {
      if (problems.length > 0) return;
      const pem = await keyFor(ports, answers.key ?? DEFAULT_KEY, domain.domain, selector, options, signal);
      const done = pem.ok ? await keepKey(ports, answers, domain, selector, pem.value) : pem;
      if (!done.ok) {
        problems.push(done.problem);
        return;
      }
      staged.set(domain.domain, done.value);
      emit({domain: domain.domain, done: staged.size, of: domains.length});
    }
  };
  await Promise.all(Array.from({length: Math.min(AT_ONCE, domains.length)}, worker));
  const [first] = problems;
  if (first !== undefined) return fail(first);
  const all = domains.flatMap(({domain}) => staged.get(domain) ?? []);
  if (!options.keep) return ok(all);
  return ok(await enterKeys(ports, all, options));
}

/** The key that is there for the selector already where it is of the wished kind; else a new or the imported one. */
async function keyFor(
  ports: Ports,
  choice: KeyChoice,
  domain: DomainName,
  selector: Selector,
  options: StageOptions,
  signal: AbortSignal,
): Promise<Result<string>> {
  const there = await readStagedKey(ports, domain, selector);
  if (there !== undefined) {
    if (!there.ok) return there;
    const replaceable = options.replaces.some(
      each => each.domain === domain && each.selector === selector && each.state !== 'active',
    );
    if (choice.source === 'generate' && fits(there.value, choice.spec)) return ok(there.value.pem);
    if (replaceable) await ports.files.remove(there.value.path);
    else if (choice.source === 'generate') {
      return fail(
        problem(
          'key.exists',
          `There is another key for ${selector}._domainkey.${domain} already (${there.value.algorithm}, ${there.value.bits} bits).`,
          'Choose another --selector, or the same algorithm and size.',
        ),
      );
    }
  }
  if (choice.source === 'generate') return ok((await generateKey(ports, choice.spec, signal)).pem);
  const content = await ports.files.read(choice.path);
  if (content === undefined) {
    return fail(problem('key.missing', `There is no file ${choice.path}.`, 'Check --key.'));
  }
  const imported = importKey(content);
  return imported.ok ? ok(imported.value.pem) : imported;
}

const fits = (key: {readonly algorithm: string; readonly bits: number}, spec: KeySpec): boolean =>
  key.algorithm === spec.algorithm && (spec.algorithm === 'ed25519' || key.bits === spec.bits);

async function keepKey(
  ports: Ports,
  answers: Answers,
  facts: DomainFacts,
  selector: Selector,
  pem: string,
): Promise<Result<StagedDomain>> {
  const described = inspectKey(pem);
  if (!described.ok) return described;
  const {algorithm, bits} = described.value;
  const value = formatKeyRecord({
    algorithm,
    publicKey: createPublicKey(pem),
    testMode: answers.testMode === true,
    noSubdomains: answers.subdomains === false,
    ...(answers.note === undefined || answers.note === '' ? {} : {note: answers.note}),
  });
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

/** Writes the keys into the state file. What was on its way for the same domain before is given up. */
async function enterKeys(
  ports: Ports,
  staged: readonly StagedDomain[],
  options: StageOptions,
): Promise<readonly StagedDomain[]> {
  const now = ports.clock.now();
  let state = await readKeys(ports);
  const done: StagedDomain[] = [];
  for (const each of staged) {
    for (const old of state.keys) {
      if (old.domain !== each.domain || old.selector === each.selector || !isComing(old)) continue;
      if (old.algorithm !== each.algorithm) continue;
      state = must(putEntry(state, abandoned(old, each.selector, now)));
      if (old.stagedPath !== undefined) await ports.files.remove(old.stagedPath);
    }
    const entry = findEntry(state, each.domain, each.selector);
    if (entry === undefined) {
      const fresh = newEntry(
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
      state = must(addEntry(state, fresh));
      done.push(each);
    } else {
      const isOurs = options.replaces.some(({domain}) => domain === each.domain) || isComing(entry);
      if (isOurs && entry.state !== 'active') {
        state = must(
          putEntry(state, {...entry, algorithm: each.algorithm, bits: each.bits, record: recordOf(each)}),
        );
      }
      const known = entry.state;
      done.push({
        ...each,
        state: known === 'pending' || known === 'ready' || known === 'active' ? known : 'staged',
      });
    }
  }
  await saveState(ports.files, state);
  return done;
}

const recordOf = ({record}: StagedDomain): KeyEntry['record'] => ({
  name: record.absoluteName,
  zone: record.zone,
  relativeName: record.relativeName,
  value: record.value,
});

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

/** Removes keys of a dry run, but never one that the state file knows. */
export async function discard(ports: Ports, staged: readonly StagedDomain[]): Promise<void> {
  const state = await readKeys(ports);
  for (const {domain, selector, stagedPath} of staged) {
    if (findEntry(state, domain, selector) === undefined) await ports.files.remove(stagedPath);
  }
}
