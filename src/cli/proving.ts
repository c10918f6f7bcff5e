/** What the commands that prove something have in common: the domains that sign, where, and against which records. */
import type {KeyLookup} from '../dkim/index.ts';
import {createKeyLookup} from '../dns/key-lookup.ts';
import {HostError, ProblemsFound} from '../domain/errors.ts';
import {parseDomain, parseSelector} from '../domain/names.ts';
import {problem} from '../domain/result.ts';
import {type DomainSelector, type HostFacts, milterEndpoint} from '../services/facts.ts';
import {look} from '../services/look.ts';
import type {Entrance} from '../services/mta.ts';
import type {Ports, SocketEndpoint} from '../system/ports.ts';
import {type Context, resolversOf} from './context.ts';
import {domainsOf} from './state-report.ts';

export interface Proving {
  readonly facts: HostFacts;
  readonly entrances: readonly Entrance[];
  readonly endpoint: SocketEndpoint;
  readonly domains: readonly DomainSelector[];
  readonly lookup: KeyLookup;
}

/** Looks at the host and finds out what ought to sign: the keys that its signer knows, or those of `--domain`. */
export async function proving(context: Context, ports: Ports): Promise<Proving> {
  const {facts, entrances} = await look(ports, context.signal);
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
  return {
    facts,
    entrances,
    endpoint,
    domains: wanted(context, lastOfEach(signing)),
    lookup: createKeyLookup(ports, {resolvers: resolversOf(context.flags)}),
  };
}

/** One key a domain: the last one that the table names. */
const lastOfEach = (keys: readonly DomainSelector[]): readonly DomainSelector[] => [
  ...new Map(keys.map(key => [key.domain, key])).values(),
];

function wanted(context: Context, signing: readonly DomainSelector[]): readonly DomainSelector[] {
  const domains = domainsOf(context);
  if (domains === undefined) {
    if (signing.length > 0) return signing;
    throw new ProblemsFound(
      problem('signer.no-domains', 'No domain is signed on this host.', 'Begin with: waxseal setup'),
    );
  }
  return domains.map(domain => {
    const key = signing.find(each => each.domain === domain);
    if (key !== undefined) return key;
    throw new ProblemsFound(
      problem(
        'signer.not-signed',
        `${domain} is not signed on this host.`,
        `Set it up with: waxseal setup --domain ${domain}`,
      ),
    );
  });
}
