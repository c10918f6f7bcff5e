/** Findings about published records: each authoritative server against the key that signs. */
import {judge, surveyOnce} from '../dns/authoritative.ts';
import type {DnsPorts} from '../dns/client.ts';
import {type PlainAnswer, whereAllHave} from '../dns/many/plain.ts';
import type {ServerBook} from '../dns/many/servers.ts';
import type {ResolverOptions} from '../dns/resolver.ts';
import {askResolver} from '../dns/resolver-view.ts';
import type {Survey} from '../dns/survey.ts';
import {findZone} from '../dns/zone.ts';
import type {Problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {Check, CheckStatus} from '../proof/proof.ts';
import {formerRecords, type KeyEntry} from '../rotation/index.ts';

/** A key whose record is looked at. */
export type RecordToCheck = Pick<KeyEntry, 'domain' | 'selector'> & {
  readonly record: Pick<KeyEntry['record'], 'name' | 'value'>;
};

export interface RecordCheckOptions extends ResolverOptions {
  /** Every key that is known, of this domain and others: one of them may have been published in its place. */
  readonly known?: readonly KeyEntry[];
  /**
   * Where it is given, a record that is plainly right is told by a question to each server and one to the resolver: for a
   * host with many. All else is looked at thoroughly.
   */
  readonly book?: ServerBook | undefined;
}

/**
 * One check for the record: every authoritative server returns exactly it, and the resolver can read it. The evidence names
 * each server with what it has, and each mistake by its id (docs/reference/dns-mistakes.md). What works but is better
 * mended is a warning. Then one for each remark about its zone, the same for every record in that zone.
 */
export async function checkRecord(
  ports: DnsPorts,
  key: RecordToCheck,
  options: RecordCheckOptions,
): Promise<readonly Check[]> {
  const {name, value} = key.record;
  const title = `Record ${name}`;
  const plain =
    options.book === undefined ? undefined : await plainlyRight(ports, options.book, key, options);
  if (plain !== undefined) return [checkOf(title, 'pass', plain, undefined)];
  const zone = await findZone(ports, name, options);
  if (!zone.ok) return [checkOf(title, 'fail', zone.problem.id, zone.problem)];
  const survey = await surveyOnce(
    ports,
    {name, expected: value, zone: zone.value, ...formerRecords({keys: options.known ?? []}, key)},
    {...options, askResolver: true},
  );
  const {status, why} = judgement(survey);
  const fallback = `Publish it as it should be: waxseal record --domain ${key.domain}`;
  return [checkOf(title, status, evidenceOf(survey), why, fallback), ...zoneChecks(survey)];
}

/** The evidence where every server and the resolver have exactly the record, and nothing is odd; undefined otherwise. */
async function plainlyRight(
  ports: DnsPorts,
  book: ServerBook,
  {domain, record: {name, value}}: RecordToCheck,
  options: RecordCheckOptions,
): Promise<string | undefined> {
  // Only what is said of a mistake depends on the zone.
  const zone = {apex: name, servers: []};
  const isRight = (record: PlainAnswer): boolean => {
    const {status, mistake} = judge({name, expected: value, zone}, [record]);
    return status === 'matching' && mistake === undefined;
  };
  const [said, told] = await Promise.all([
    whereAllHave(ports, book, {domain, name}, isRight, options.signal),
    askResolver(ports, {name, expected: value}, options),
  ]);
  if (said === undefined || said.answers.length < said.servers || told.status !== 'matching')
    return undefined;
  if (told.dnssec === undefined || told.dnssec.mistake !== undefined) return undefined;
  if (!(await book.isSound(domain))) return undefined;
  const rows = said.answers.map(({server}) => `${server.name} ${server.address} matching`);
  return `${rows.join(', ')}; DNSSEC ${told.dnssec.status}`;
}

function checkOf(
  title: string,
  status: CheckStatus,
  evidence: string,
  why: Problem | undefined,
  fallback = '',
): Check {
  const cause = why?.message ?? 'Not every authoritative server returns exactly the record of the key.';
  const fix = why === undefined || why.hint === '' ? fallback : why.hint;
  const isSound = status === 'pass';
  return {
    ...{id: 'dns.record', title, status, evidence: visible(evidence)},
    ...{cause: isSound ? '' : visible(cause), fix: isSound ? '' : visible(fix)},
  };
}

/** The worst that is known of the record. */
function judgement(survey: Survey): {readonly status: CheckStatus; readonly why?: Problem | undefined} {
  const {servers, dnssec, resolver, weaker} = survey;
  if (weaker !== undefined) return {status: resolver === 'matching' ? 'warn' : 'fail', why: weaker};
  const views = [...servers, ...(survey.targets ?? []).flatMap(target => target.servers)];
  if (!survey.agreed) {
    const wrong = servers.filter(view => view.status !== 'matching' && view.status !== 'unreachable');
    return {status: 'fail', why: [...wrong, ...views].find(view => view.mistake !== undefined)?.mistake};
  }
  if (dnssec?.status === 'bogus') return {status: 'fail', why: dnssec.mistake};
  const remark =
    servers.find(view => view.status === 'matching' && view.mistake !== undefined)?.mistake ??
    dnssec?.mistake;
  return remark === undefined ? {status: 'pass'} : {status: 'warn', why: remark};
}

/** Where no server answers, the record's own check says so. */
const zoneChecks = ({zone, weaker}: Survey): readonly Check[] =>
  (weaker === undefined ? zone.remarks : []).map(remark => ({
    ...{id: 'dns.zone', title: `Zone ${zone.apex}`, status: 'warn', evidence: remark.id},
    ...{cause: visible(remark.message), fix: visible(remark.hint)},
  }));

/** `ns1.example.org 192.0.2.1 wrong (dns.cut-at-255), …; DNSSEC bogus (dns.dnssec-bogus); port 53 (dns.port-blocked)`. */
function evidenceOf({servers, targets, dnssec, weaker, resolver}: Survey): string {
  const row = ({server, status, mistake}: Survey['servers'][number]): string =>
    `${server.name} ${server.address} ${status}${named(mistake)}`;
  return [
    servers.map(row).join(', '),
    ...(targets ?? []).map(target => `at ${target.name}: ${target.servers.map(row).join(', ')}`),
    ...(resolver === 'not-asked' || resolver === 'matching' ? [] : [`resolver ${resolver}`]),
    ...(dnssec === undefined ? [] : [`DNSSEC ${dnssec.status}${named(dnssec.mistake)}`]),
    ...(weaker === undefined ? [] : [`by the resolver only${named(weaker)}`]),
  ].join('; ');
}

const named = (mistake: Problem | undefined): string => (mistake === undefined ? '' : ` (${mistake.id})`);
