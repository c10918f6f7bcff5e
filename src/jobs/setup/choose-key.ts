/** The private key of a set-up: made, imported, or the one that is there already. */
import {UsageError} from '../../domain/errors.ts';
import type {DomainName, Selector} from '../../domain/names.ts';
import type {AbsolutePath} from '../../domain/paths.ts';
import {stagedKeyPath} from '../../domain/places.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {type Answers, type KeyChoice, selectorFor} from '../../flow/answers.ts';
import type {DomainFacts, StagedDomain} from '../../flow/operations.ts';
import {dropStagedKey, generateKey, type ImportedKey, inspectKey, readStagedKey} from '../../keys/index.ts';
import type {KeyEntry} from '../../rotation/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import {SIGNER} from '../../services/registry.ts';
import type {KeySpec, Ports} from '../../system/ports.ts';
import type {NamedFiles} from '../named-files.ts';

const DEFAULT_KEY: KeyChoice = {source: 'generate', spec: {algorithm: 'rsa', bits: 2048}};

/** A private key as PEM: a new one each time, or the same one for all domains. */
type KeyMaker = (spec: KeySpec) => Promise<string>;

export interface KeyWish {
  readonly ports: Ports;
  readonly named: Pick<NamedFiles, 'readDeciding'>;
  readonly answers: Answers;
  readonly selector: Selector;
  /** Keys that this run made before another answer was given. */
  readonly replaces: readonly StagedDomain[];
  readonly newKey: KeyMaker;
}

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

/** One new key a domain, or for all the one that an earlier, interrupted run has made for one of them, or a new one. */
export function keyMaker(
  ports: Ports,
  answers: Answers,
  domains: readonly DomainFacts[],
  signal: AbortSignal,
): KeyMaker {
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

/** A new key where one will be needed: making it takes long, and no other run has to wait for that. */
export async function madeBefore(
  job: KeyWish,
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
export async function keyFor(
  job: KeyWish,
  domain: DomainName,
  entry: KeyEntry | undefined,
): Promise<Result<string>> {
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
const isReplaceable = ({replaces, selector}: KeyWish, domain: DomainName): boolean =>
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
