/** What the commands that prove something have in common: the domains that sign, where, and against which records. */
import type {KeyLookup} from '../dkim/index.ts';
import {createKeyLookup} from '../dns/key-lookup.ts';
import {HostError, ProblemsFound} from '../domain/errors.ts';
import {type DomainName, parseDomain, parseSelector} from '../domain/names.ts';
import {problem} from '../domain/result.ts';
import {coveredSender, domains, type HostPicture, lookAtHostPicture} from '../host/index.ts';
import type {SenderKey} from '../proof/milter-probe.ts';
import {type DomainSelector, type HostFacts, milterEndpoint, type SignerFacts} from '../services/facts.ts';
import {look} from '../services/look.ts';
import type {Entrance} from '../services/mta.ts';
import type {Ports, SocketEndpoint} from '../system/ports.ts';
import {type Context, resolversOf} from './context.ts';
import {domainsOf} from './state-report.ts';

export interface Proving {
  readonly facts: HostFacts;
  readonly entrances: readonly Entrance[];
  readonly endpoint: SocketEndpoint;
  readonly domains: readonly SenderKey[];
  readonly lookup: KeyLookup;
}

/**
 * Looks at the host and finds out what ought to sign: the keys that its signer knows, or those that sign for the domains of
 * `--domain`, be it by a row for others as well.
 */
export async function proving(context: Context, ports: Ports): Promise<Proving> {
  const host = await look(ports, context.signal);
  const {facts, entrances} = host;
  const [blocker] = facts.blockers;
  if (blocker !== undefined) throw new HostError(blocker);
  const {signer} = facts;
  const endpoint = milterEndpoint(signer);
  if (signer === undefined || endpoint === undefined) {
    throw new ProblemsFound(
      problem('signer.missing', 'No signer is set up on this host.', 'Begin with: waxseal setup'),
    );
  }
  const known = signer.keys.flatMap(({domain, selector}): readonly DomainSelector[] => {
    const name = parseDomain(domain);
    const label = parseSelector(selector);
    return name.ok && label.ok ? [{domain: name.value, selector: label.value}] : [];
  });
  const signing = known.filter(({domain}) => signer.signedDomains.includes(domain));
  let picture: Promise<HostPicture> | undefined;
  return {
    facts,
    entrances,
    endpoint,
    domains: await wanted(context, {known: lastOfEach(known), signing: lastOfEach(signing)}, async domain => {
      picture ??= lookAtHostPicture(ports, host, context);
      return coveringKey(await picture, signer, domain);
    }),
    lookup: createKeyLookup(ports, {resolvers: resolversOf(context.flags)}),
  };
}

/** One key a domain: the last one that the table names. */
const lastOfEach = (keys: readonly DomainSelector[]): readonly DomainSelector[] => [
  ...new Map(keys.map(key => [key.domain, key])).values(),
];

async function wanted(
  context: Context,
  {known, signing}: {readonly known: readonly DomainSelector[]; readonly signing: readonly DomainSelector[]},
  covering: (domain: DomainName) => Promise<SenderKey | undefined>,
): Promise<readonly SenderKey[]> {
  const named = domainsOf(context);
  if (named === undefined) {
    if (signing.length > 0) return signing;
    // No row is for one domain: those of the keys may be signed by a row for all.
    const covered: SenderKey[] = [];
    for (const {domain} of known) {
      const key = await covering(domain);
      if (key !== undefined) covered.push(key);
    }
    if (covered.length > 0) return covered;
    throw new ProblemsFound(
      problem('signer.no-domains', 'No domain is signed on this host.', 'Begin with: waxseal setup'),
    );
  }
  const keys: SenderKey[] = [];
  for (const domain of named) {
    const key = signing.find(each => each.domain === domain) ?? (await covering(domain));
    if (key === undefined) {
      throw new ProblemsFound(
        problem(
          'signer.not-signed',
          `${domain} is not signed on this host.`,
          `Set it up with: waxseal setup --domain ${domain}`,
        ),
      );
    }
    keys.push(key);
  }
  return keys;
}

/** The key that the signer uses for a domain by a pattern or a row for everybody; undefined where it uses none. */
function coveringKey(
  picture: HostPicture,
  {program}: Pick<SignerFacts, 'program'>,
  sender: DomainName,
): SenderKey | undefined {
  const covered = coveredSender(picture, sender);
  const [verdict] = covered === undefined ? [] : domains(picture, [covered]);
  const made = verdict?.signatures.find(({signature}) => signature.program === program)?.signature;
  const [domain, selector] = [parseDomain(made?.domain ?? ''), parseSelector(made?.selector ?? '')];
  return domain.ok && selector.ok ? {domain: domain.value, selector: selector.value, sender} : undefined;
}
