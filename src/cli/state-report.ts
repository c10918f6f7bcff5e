/** The state file as the JSON contract and a person see it. */
import {stringsOf} from '../dns/forms.ts';
import {command} from '../domain/command.ts';
import type {DomainName} from '../domain/names.ts';
import {visible} from '../domain/text.ts';
import type {DomainReport} from '../flow/report.ts';
import {type KeyByHand, recordKey} from '../host/index.ts';
import {type KeyEntry, lastProven, nextStep, type RotationState} from '../rotation/index.ts';
import {SIGNER} from '../services/registry.ts';
import {listOf} from './arguments.ts';
import type {Context} from './context.ts';
import {domainsIn, usage} from './usage.ts';

/** The domains of `--domain`, each once; undefined where the flag was not given. */
export function domainsOf(context: Pick<Context, 'flags'>): readonly DomainName[] | undefined {
  const names = listOf(context.flags, 'domain');
  return names.length === 0 ? undefined : domainsIn(names);
}

/**
 * The keys that the flags name: all, or those of `--domain`. A domain without a key is an error, unless it is one of
 * `seen`: those that the look at the host knows something of.
 */
export function chosen(
  context: Pick<Context, 'flags'>,
  state: RotationState,
  seen: ReadonlySet<string> = new Set(),
): readonly KeyEntry[] {
  const domains = domainsOf(context);
  if (domains === undefined) return state.keys;
  return domains.flatMap(domain => {
    const keys = state.keys.filter(key => key.domain === domain);
    if (keys.length > 0 || seen.has(domain)) return keys;
    throw usage(
      'domain.unknown',
      `waxseal has no key for ${domain} on this host.`,
      `Set it up with: waxseal setup --domain ${domain}`,
    );
  });
}

/** A key of the state file as reports show it, with its next step as of `now`. */
export function domainReportOf(entry: KeyEntry, now: Date): DomainReport {
  const next = nextStep(entry, now);
  return {
    domain: entry.domain,
    selector: entry.selector,
    algorithm: entry.algorithm,
    bits: entry.bits,
    state: entry.state,
    keyPath: entry.keyPath ?? entry.stagedPath ?? null,
    record: {...entry.record, strings: stringsOf(entry.record.value)},
    servers: [],
    dns: null,
    publishedAt: entry.publishedAt ?? null,
    activatedAt: entry.activatedAt ?? null,
    provenAt: lastProven(entry) ?? null,
    nextStep: next.due === undefined ? next.text : `${next.text} Not before ${next.due.toISOString()}.`,
  };
}

/** A key that waxseal did not make. Nothing is known of its record but what it must be: DNS was not queried. */
export function byHandReport({domain, selector, keyPath, key, program}: KeyByHand): DomainReport {
  const name = recordKey(domain, selector);
  const value = key.known ? `v=DKIM1; k=${key.algorithm}; p=${key.publicKey}` : '';
  return {
    ...{domain, selector, state: 'by-hand', keyPath, servers: [], dns: null},
    algorithm: key.known ? key.algorithm : null,
    bits: key.known ? key.bits : null,
    record: {name, zone: '', relativeName: name, value, strings: stringsOf(value)},
    ...{publishedAt: null, activatedAt: null, provenAt: null},
    nextStep: stepByHand({domain, program}),
  };
}

/** What to do about a key that waxseal did not make. */
export const stepByHand = ({domain, program}: Pick<KeyByHand, 'domain' | 'program'>): string =>
  program === SIGNER.words.program
    ? `Adopt it, so that waxseal rotates it: ${command('sudo', 'waxseal', 'adopt', '--domain', domain)}`
    : `waxseal doesn't rotate keys of ${visible(program)}.`;
