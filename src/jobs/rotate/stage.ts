/** The next keys of many domains: looked up before the lock is taken, made in groups while it is held. */
import {createGate} from '../../dns/many/gate.ts';
import type {DomainName, Selector} from '../../domain/names.ts';
import type {DomainFacts} from '../../flow/operations.ts';
import type {KeyEntry, RotationState} from '../../rotation/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import type {KeySpec, Ports} from '../../system/ports.ts';
import {FailedStep} from '../failed-step.ts';
import {must} from '../key-book.ts';
import {createNamedFiles} from '../named-files.ts';
import type {WorkOptions} from '../options.ts';
import {inspectDomain} from '../setup/look.ts';
import {checkSelector, suggestSelector} from '../setup/selector.ts';
import {stage} from '../setup/stage.ts';

/** Keys that are made while the lock is held once. */
const GROUP = 50;
const AT_ONCE = 16;

/** The next key of one domain: the algorithm of the old one, never weaker, with what its record says of subdomains. */
export interface NextKey {
  readonly old: KeyEntry;
  readonly facts: DomainFacts;
  readonly selector: Selector;
  readonly spec: KeySpec;
  readonly subdomains: boolean;
}

/** Old keys whose next keys can be made together, some at a time. */
export function groupsOf<T extends {readonly old: KeyEntry}>(items: readonly T[]): readonly (readonly T[])[] {
  const alike = new Map<string, T[]>();
  for (const item of items) {
    const name = `${JSON.stringify(specAfter(item.old))} ${withSubdomains(item.old)}`;
    const same = alike.get(name);
    if (same === undefined) alike.set(name, [item]);
    else same.push(item);
  }
  return [...alike.values()].flatMap(same =>
    Array.from({length: Math.ceil(same.length / GROUP)}, (_, at) => same.slice(at * GROUP, (at + 1) * GROUP)),
  );
}

/** Zone and free selector of each; asks the DNS. Throws a ToolError where one of them cannot have a key now. */
export async function prepareKeys(
  ports: Ports,
  options: WorkOptions,
  host: HostFacts,
  state: RotationState,
  olds: readonly KeyEntry[],
  signal: AbortSignal,
): Promise<readonly NextKey[]> {
  const gate = createGate(AT_ONCE);
  const wanted = new Set(olds.map(({domain}) => domain));
  // Every rule is about the keys of one domain: ten thousand keys do not look at ten thousand each.
  const near = {...state, keys: state.keys.filter(({domain}) => wanted.has(domain))};
  return await Promise.all(
    olds.map(old => gate.run(() => prepareKey(ports, options, host, near, old, AbortSignal.any([signal])))),
  );
}

async function prepareKey(
  ports: Ports,
  options: WorkOptions,
  host: HostFacts,
  state: RotationState,
  old: KeyEntry,
  signal: AbortSignal,
): Promise<NextKey> {
  const {domain} = old;
  const facts = must(await inspectDomain(ports, options, domain, signal));
  const elsewhere = (state.elsewhere ?? []).filter(each => each.domain === domain);
  const taken = new Set<string>(elsewhere.map(({selector}) => selector));
  let known = {...state, keys: state.keys.filter(each => each.domain === domain)};
  for (;;) {
    const selector = suggestSelector(ports, known, host, [domain], {...options, newSelector: true});
    const free = taken.has(selector)
      ? undefined
      : await checkSelector(ports, host, [facts], selector, signal, {...options, state: known});
    if (free?.ok === true) {
      return {old, facts, selector, spec: specAfter(old), subdomains: withSubdomains(old)};
    }
    if (free !== undefined && free.problem.id !== 'selector.taken') throw new FailedStep(free.problem);
    // A name that somebody else has: only for the next proposal it counts as ours.
    known = {...known, keys: [...known.keys, {...old, selector}]};
  }
}

/** Makes the keys and writes them down once. Those of one call are alike (see `groupsOf`); the caller holds the lock. */
export async function makeKeys(ports: Ports, next: readonly NextKey[], signal: AbortSignal): Promise<void> {
  const [first] = next;
  if (first === undefined) return;
  const selectors = new Map<DomainName, Selector>(next.map(({old, selector}) => [old.domain, selector]));
  const {spec, subdomains} = first;
  must(
    await stage(
      ports,
      createNamedFiles(ports.files, {uid: 0, gid: 0}),
      {domains: [...selectors.keys()], selectors, key: {source: 'generate', spec}, subdomains},
      next.map(({facts}) => facts),
      () => {},
      signal,
      {keep: true, replaces: []},
    ),
  );
}

const specAfter = ({algorithm, bits}: KeyEntry): KeySpec =>
  algorithm === 'ed25519'
    ? {algorithm}
    : {algorithm: 'rsa', bits: bits >= 4096 ? 4096 : bits >= 3072 ? 3072 : 2048};

const withSubdomains = ({record}: KeyEntry): boolean => !/(^|;)\s*t\s*=[^;]*\bs\b/.test(record.value);
