import {publicKeyOf} from '../../dkim/index.ts';
import {createAuthoritativeLookup, createKeyLookup} from '../../dns/key-lookup.ts';
import type {Zone} from '../../dns/survey.ts';
import {findZone} from '../../dns/zone.ts';
import {command} from '../../domain/command.ts';
import type {ExitCode} from '../../domain/errors.ts';
import {type DnsName, displayDomain} from '../../domain/names.ts';
import type {Result} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {readKeys} from '../../jobs/key-book.ts';
import type {Check} from '../../proof/proof.ts';
import {compareHosts, type PublishedRecord} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {type Context, resolversOf} from '../context.ts';
import {checkLines, tell} from '../print.ts';

/** `waxseal rotate --check-hosts`: whether the hosts of one domain agree; exit 4 where they do not. */
export async function checkHosts(context: Context, ports: Ports): Promise<ExitCode> {
  const state = await readKeys(ports);
  const resolvers = resolversOf(context.flags);
  const compared = compareHosts(state);
  const records = compared.map(({key}) => key.record);
  const zones = await zonesOf(records, name => findZone(ports, name, {resolvers, signal: context.signal}));
  // A resolver may remember a record for as long as its TTL after it is gone.
  const lookup = createAuthoritativeLookup(ports, zones, createKeyLookup(ports, {resolvers}));
  const checks: Check[] = [];
  for (const {key, conflict} of compared) {
    const title = `${key.selector}._domainkey.${displayDomain(key.domain)} of ${visible(key.host)}`;
    const answer = await lookup(key.record.name);
    const text = answer.status === 'found' ? answer.records.join(' | ') : answer.status;
    const signs = key.state === 'active' || key.state === 'retiring';
    const isThere =
      answer.status === 'found' &&
      answer.records.length === 1 &&
      samePublic(answer.records[0], key.record.value);
    const status = conflict || (signs && !isThere) ? 'fail' : 'pass';
    checks.push({
      id: 'rotate.hosts',
      title,
      status,
      evidence: `${key.state}; in the DNS: ${visible(text.slice(0, 60))}`,
      cause: conflict
        ? 'This host uses the same selector with another key: the mail of one of them fails.'
        : status === 'fail'
          ? 'That host signs with a key whose record is not visible.'
          : '',
      fix: conflict
        ? `Give one of the two hosts a selector of its own, for example here: ${command('waxseal', 'rotate', '--domain', key.domain)}`
        : status === 'fail'
          ? 'Publish it, or import the newest export of that host.'
          : '',
    });
  }
  const failed = checks.filter(({status}) => status === 'fail').length;
  return await tell(context, {exitCode: failed === 0 ? 0 : 4, checks}, [
    ...checks.flatMap(checkLines),
    checks.length === 0
      ? 'No other host is known here: waxseal export there, waxseal import here.'
      : failed === 0
        ? 'The hosts agree.'
        : `${failed} of ${checks.length} keys of other hosts do not fit.`,
  ]);
}

/** The zones of the records, each looked for once; one that cannot be found is left to the resolver. */
async function zonesOf(
  records: readonly PublishedRecord[],
  find: (name: DnsName) => Promise<Result<Zone>>,
): Promise<readonly Zone[]> {
  const zones: Zone[] = [];
  for (const {name, zone} of records) {
    if (zones.some(({apex}) => apex === zone)) continue;
    const found = await find(name);
    if (found.ok) zones.push(found.value);
  }
  return zones;
}

/** Whether a record has the key of another; one that is revoked, or cannot be read, has none. */
const samePublic = (one: string | undefined, other: string): boolean => {
  const key = publicKeyOf(one ?? '');
  return key !== undefined && key !== '' && key === publicKeyOf(other);
};
