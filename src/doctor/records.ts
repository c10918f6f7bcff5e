/** Findings about published records: each authoritative server against the key that signs. */
import {surveyOnce} from '../dns/authoritative.ts';
import type {DnsPorts} from '../dns/client.ts';
import type {ResolverOptions} from '../dns/resolver.ts';
import type {Survey} from '../dns/survey.ts';
import {findZone} from '../dns/zone.ts';
import {visible} from '../domain/text.ts';
import type {Check} from '../proof/proof.ts';
import type {KeyEntry} from '../rotation/index.ts';

/** One check a key: every authoritative server returns exactly its record. */
export async function checkRecord(ports: DnsPorts, key: KeyEntry, options: ResolverOptions): Promise<Check> {
  const {name, value} = key.record;
  const title = `Record ${name}`;
  const zone = await findZone(ports, name, options);
  if (!zone.ok) {
    const {message, hint} = zone.problem;
    return {id: 'dns.record', title, status: 'fail', evidence: message, cause: message, fix: hint};
  }
  const survey = await surveyOnce(ports, {name, expected: value, zone: zone.value}, options);
  const evidence = servers(survey);
  if (survey.agreed) return {id: 'dns.record', title, status: 'pass', evidence, cause: '', fix: ''};
  const mistake = survey.servers.find(view => view.mistake !== undefined)?.mistake;
  return {
    id: 'dns.record',
    title,
    status: 'fail',
    evidence,
    cause: mistake?.message ?? 'Not every authoritative server returns exactly the record of the key.',
    fix: mistake?.hint ?? `Publish it as it should be: waxseal record --domain ${key.domain}`,
  };
}

const servers = ({servers: views}: Survey): string =>
  views.map(({server, status}) => visible(`${server.name} ${server.address} ${status}`)).join(', ');
