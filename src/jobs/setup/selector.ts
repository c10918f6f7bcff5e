/** The selector of a set-up: proposed, known already, or free to be chosen. */
import {publicKeyOf} from '../../dkim/index.ts';
import {selectorInUse} from '../../dns/selector-use.ts';
import {type DnsName, type DomainName, keyRecordName, type Selector} from '../../domain/names.ts';
import {stagedKeyPath} from '../../domain/places.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import type {Answers} from '../../flow/answers.ts';
import type {DomainFacts} from '../../flow/operations.ts';
import {rotationProblem, setupStart} from '../../flow/setup-rule.ts';
import {due, entryFinder, isComing, proposeSelector, type RotationState} from '../../rotation/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import type {Ports} from '../../system/ports.ts';
import {keysByDomain, readKeys} from '../key-book.ts';
import type {WorkOptions} from '../options.ts';
import {gatherFacts} from '../rotate/facts.ts';

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
  const find = entryFinder(state);
  const isFree = domains.every(domain => current.has(domain) || find({domain, selector}) === undefined);
  return isFree ? selector : undefined;
}

/** What each domain has already: the key that signs, else the one on its way; none for a rotation. */
export function knownSelectors(
  state: RotationState,
  domains: readonly DomainName[],
  options: Pick<WorkOptions, 'newSelector'> = {},
): ReadonlyMap<DomainName, Selector> {
  if (options.newSelector === true) return new Map();
  const own = keysByDomain(state);
  return new Map(
    domains.flatMap(domain => {
      const start = setupStart(own.get(domain) ?? []);
      return start.start === 'continue' || start.start === 'signing'
        ? [[domain, start.selector] as const]
        : [];
    }),
  );
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
  const own = keysByDomain(state);
  for (const domain of domains) {
    const keys = own.get(domain) ?? [];
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

/** Records that are there before their key is, by their names: the key that is taken up must be theirs. */
export type PublishedRecords = Map<DnsName, string>;

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
  const find = entryFinder(options.state ?? (await readKeysIfAllowed(ports)));
  for (const {domain, zone} of domains) {
    const entry = find({domain, selector});
    if (entry !== undefined && (isComing(entry) || entry.state === 'active')) continue;
    if (entry !== undefined) return fail(taken(selector, domain, 'it was used here before'));
    const known = facts.signer?.keys.find(
      key => key.domain === domain && key.selector.toLowerCase() === selector,
    );
    if (known !== undefined) return fail(taken(selector, domain, 'the signer has a key of that name'));
    const name = keyRecordName(selector, domain);
    const use = await selectorInUse(ports, {name, zone}, {signal, resolvers: options.resolvers});
    published?.delete(name);
    if (use.kind === 'in-use') {
      const [record] = use.records;
      const isTheirs = imported !== undefined && use.records.every(text => publicKeyOf(text) === imported);
      if (record === undefined || !isTheirs) return fail(taken(selector, domain, IN_DNS));
      published?.set(name, record);
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

export const IN_DNS = 'there is a record of that name in the DNS';

const readKeysIfAllowed = async (ports: Ports): Promise<RotationState> =>
  ports.process.privileged ? await readKeys(ports) : {keys: []};

export const taken = (selector: Selector, domain: DomainName, why: string): Problem =>
  problem(
    'selector.taken',
    `The selector ${selector} of ${domain} is in use: ${why}.`,
    'Choose another; a selector is never used for a second key.',
  );
