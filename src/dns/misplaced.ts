/** Where the record went when it is not where it should be: a few neighbouring names, asked at authoritative servers only. */
import {type DnsName, isWithin} from '../domain/names.ts';
import {type Problem, problem} from '../domain/result.ts';
import type {DnsServer} from '../system/ports.ts';
import {ask, type DnsPorts} from './client.ts';
import {recordTags, sameKeyRecord} from './compare.ts';
import type {AuthoritativeServer} from './survey.ts';

interface Place {
  readonly name: DnsName;
  readonly mistake: Problem;
}

export interface Sought {
  readonly name: DnsName;
  readonly expected: string;
  readonly apex: DnsName;
  /** Of keys before this one. */
  readonly formerNames?: readonly DnsName[];
}

/** Selectors that tutorials and installers use: somebody who replaces a key may have replaced it there. */
const USUAL_SELECTORS: readonly string[] = ['default', 'mail', 'dkim'];

/** The names to look at, likeliest first. */
export function misplacedNames({name, apex, formerNames}: Sought): readonly Place[] {
  const [selector, domain] = splitName(name);
  const inZone = (candidate: string): boolean => isWithin(candidate, apex) && candidate.length <= 253;
  const places: readonly (readonly [string, string, string])[] = [
    [`${name}.${apex}`, 'dns.doubled-domain', `The panel appended ${apex} to a name that had it already.`],
    [
      `${name}.${domain}`,
      'dns.doubled-domain',
      `The panel appended ${domain} to a name that had it already.`,
    ],
    [`${selector}._domainkey.${apex}`, 'dns.wrong-subdomain', `It belongs to ${domain}, not to ${apex}.`],
    [`${selector}.${domain}`, 'dns.bare-selector', 'The label "_domainkey" is missing.'],
    [`_domainkey.${domain}`, 'dns.at-domainkey', 'The selector is missing.'],
    [`${selector}.domainkey.${domain}`, 'dns.no-underscore', 'The underscore of "_domainkey" is missing.'],
    [domain, 'dns.at-domain', 'The name of the record is missing.'],
    [
      `${name.slice(0, -domain.length)}_domainkey.${domain}`,
      'dns.domainkey-twice',
      'The label "_domainkey" is there twice.',
    ],
    [`_domainkey.${selector}.${domain}`, 'dns.labels-swapped', 'Selector and "_domainkey" changed places.'],
    [`${selector}._domainkeys.${domain}`, 'dns.misspelt-domainkey', 'The label is "_domainkey".'],
    [`${selector}._domain_key.${domain}`, 'dns.misspelt-domainkey', 'The label is "_domainkey".'],
    [`_${selector}._domainkey.${domain}`, 'dns.underscore-at-selector', 'The selector has no underscore.'],
    ...[...(formerNames ?? []), ...USUAL_SELECTORS.map(each => `${each}._domainkey.${domain}`)].map(
      old => [old, 'dns.old-selector', `That is another selector, not ${selector}.`] as const,
    ),
  ];
  const seen = new Set<string>([name]);
  return places.flatMap(([candidate, id, why]) => {
    if (seen.has(candidate) || !inZone(candidate)) return [];
    seen.add(candidate);
    const mistake = problem(
      id,
      `The record was entered at ${candidate}. ${why}`,
      `Delete it there and enter it as ${relative(name, apex)} in the zone ${apex}.`,
    );
    return [{name: candidate as DnsName, mistake}];
  });
}

function splitName(name: DnsName): readonly [selector: string, domain: string] {
  const at = name.indexOf('._domainkey.');
  return at < 0 ? [name, name] : [name.slice(0, at), name.slice(at + '._domainkey.'.length)];
}

const relative = (name: string, apex: string): string =>
  isWithin(name, apex) && name !== apex ? name.slice(0, -(apex.length + 1)) : name;

/** Milliseconds between two questions to one server. */
const PACE_MS = 1000;

/**
 * Looks for the record at the neighbouring names. Polite: one question a server and second, the servers in turn.
 * Undefined where it is at none of them.
 */
export async function findMisplaced(
  ports: DnsPorts,
  sought: Sought,
  servers: readonly AuthoritativeServer[],
  signal: AbortSignal | undefined,
): Promise<Problem | undefined> {
  if (servers.length === 0) return undefined;
  const places = misplacedNames(sought);
  for (let at = 0; at < places.length; at += servers.length) {
    if (at > 0) await ports.clock.sleep(PACE_MS, signal);
    const found = await Promise.all(
      places.slice(at, at + servers.length).map(async (place, turn) => {
        const server = servers[turn];
        if (server === undefined) return undefined;
        return (await holdsRecord(ports, server, place.name, sought.expected, signal))
          ? place.mistake
          : undefined;
      }),
    );
    const mistake = found.find(each => each !== undefined);
    if (mistake !== undefined) return mistake;
  }
  return undefined;
}

/** Whether that server has the record, whole or in part, at a name. */
export async function holdsRecord(
  ports: DnsPorts,
  server: DnsServer,
  name: DnsName,
  expected: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const outcome = await ask(ports, server, {name, type: 'TXT'}, {recursion: false, tries: 1, signal});
  if (outcome.kind !== 'answer') return false;
  return outcome.message.answers.some(
    record => record.type === 'TXT' && record.name === name && isOurs(record.text, expected),
  );
}

/** Quoted, cut or whole: the first characters of the key are enough to know it again. */
function isOurs(found: string, expected: string): boolean {
  if (sameKeyRecord(found, expected)) return true;
  const key = recordTags(expected)?.get('p') ?? '';
  // The first characters of every RSA key are the same DER header; what follows is this key's own.
  const mark = key.slice(44, 84) || key;
  return mark !== '' && found.replace(/[\s"]+/g, '').includes(mark);
}
