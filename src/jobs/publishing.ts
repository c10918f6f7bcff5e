/** Has records entered and withdrawn by the program that was chosen, where they belong: at the end of an alias, if any. */
import {isRevoked} from '../dkim/index.ts';
import {surveyOnce} from '../dns/authoritative.ts';
import {recordForms} from '../dns/forms.ts';
import {type PublishChoice, publishRecord, type RecordChange} from '../dns/publish/index.ts';
import type {ServerView, Survey, Zone} from '../dns/survey.ts';
import {findZone} from '../dns/zone.ts';
import {type DnsName, type DomainName, relativeTo, type Selector} from '../domain/names.ts';
import {fail, ok, problem, type Result} from '../domain/result.ts';
import type {PublishedRecord, StagedDomain} from '../flow/operations.ts';
import {revokedValue, saveState, withPublisher} from '../rotation/index.ts';
import type {Ports} from '../system/ports.ts';
import {readKeys} from './key-book.ts';
import {HELD, type Turns} from './lock-turns.ts';
import type {WorkOptions} from './options.ts';

const TTL_SECONDS = 3600;

/** A record that is to be on every server, alone. */
export interface WantedRecord {
  readonly domain: DomainName;
  readonly selector: Selector;
  readonly name: DnsName;
  readonly value: string;
  /** Undefined: found anew. */
  readonly zone?: Zone;
}

/** One record after the other: publishers that write files must not meet themselves. Stops at the first that fails. */
export async function publishAll(
  ports: Ports,
  options: WorkOptions,
  choice: PublishChoice,
  staged: readonly StagedDomain[],
  signal: AbortSignal,
  turns: Turns = HELD,
): Promise<Result<readonly PublishedRecord[]>> {
  const done: PublishedRecord[] = [];
  for (const {domain, selector, record, zone} of staged) {
    const wanted = {domain, selector, name: record.absoluteName, value: record.value, zone};
    const entered = await turns.take(signal, own => enterRecord(ports, options, choice, wanted, own));
    if (!entered.ok) return entered;
    done.push(entered.value);
  }
  return ok(done);
}

/** Enters one record; nothing is run where every server has it already. */
export async function enterRecord(
  ports: Ports,
  options: WorkOptions,
  choice: PublishChoice,
  wanted: WantedRecord,
  signal: AbortSignal,
): Promise<Result<PublishedRecord>> {
  const survey = await surveyFor(ports, options, wanted, signal);
  if (!survey.ok) return survey;
  if (survey.value.agreed || haveAll(survey.value.servers, wanted.value)) {
    return ok({domain: wanted.domain, outcome: 'there', name: wanted.name});
  }
  const change = changeFor('add', wanted, survey.value);
  const published = await publishRecord(ports, choice, change, {environment: options.environment, signal});
  if (published.ok) return ok({domain: wanted.domain, outcome: 'published', name: change.name});
  const {id, message, hint} = published.problem;
  return fail(problem(id, `${change.name} was not entered: ${message}`, hint));
}

/**
 * Takes the record of a key out of the DNS: as it was published, or emptied. What else is at the name is not ours and
 * stays; Problem `publish.foreign` says so.
 * @returns `gone` where no server had it any more, and nothing was run
 */
export async function withdrawRecord(
  ports: Ports,
  options: WorkOptions,
  choice: PublishChoice,
  wanted: WantedRecord,
  signal: AbortSignal,
): Promise<Result<'withdrawn' | 'gone'>> {
  const survey = await surveyFor(ports, options, wanted, signal);
  if (!survey.ok) return survey;
  const views = viewsOf(survey.value);
  const found = [...new Set(views.flatMap(({records}) => records))];
  if (found.length === 0) {
    const silent = views.every(({status}) => status !== 'absent');
    return silent
      ? fail(
          problem('publish.unknown', `No name server tells what is at ${wanted.name}.`, 'Try again later.'),
        )
      : ok('gone');
  }
  const ours = found.filter(value => isOurs(value, wanted, views));
  if (ours.length === 0) {
    return fail(
      problem(
        'publish.foreign',
        `The record at ${wanted.name} is not the one that waxseal knows, so it was left there.`,
        'Look at it, and delete it yourself where nobody needs it.',
      ),
    );
  }
  for (const value of ours) {
    const change = changeFor('remove', {...wanted, value}, survey.value);
    const done = await publishRecord(ports, choice, change, {environment: options.environment, signal});
    if (done.ok) continue;
    const {id, message, hint} = done.problem;
    return fail(problem(id, `${change.name} was not withdrawn: ${message}`, hint));
  }
  return ok('withdrawn');
}

/** What revokes the key of a record (RFC 6376 §3.6.1). */
export const revoking = (wanted: WantedRecord, algorithm: 'rsa' | 'ed25519'): WantedRecord => ({
  ...wanted,
  value: revokedValue({algorithm}),
});

/** Remembers who enters the records of the domains from now on, or that a person does (`manual`). */
export async function rememberPublisher(
  ports: Pick<Ports, 'files' | 'process'>,
  domains: readonly DomainName[],
  choice: PublishChoice,
): Promise<void> {
  if (!ports.process.privileged) return;
  const before = await readKeys(ports);
  const after = withPublisher(before, domains, choice);
  if (JSON.stringify(after.publishers) === JSON.stringify(before.publishers)) return;
  await saveState(ports.files, after);
}

async function surveyFor(
  ports: Ports,
  {resolvers}: WorkOptions,
  {name, value, zone: known}: WantedRecord,
  signal: AbortSignal,
): Promise<Result<Survey>> {
  const zone = known === undefined ? await findZone(ports, name, {resolvers, signal}) : ok(known);
  if (!zone.ok) return zone;
  const subject = {name, expected: value, zone: zone.value};
  return ok(await surveyOnce(ports, subject, {resolvers, signal, explain: false}));
}

const viewsOf = (survey: Survey): readonly ServerView[] => survey.targets?.at(-1)?.servers ?? survey.servers;

/** A revoked record is no key that could match, so the survey alone does not tell that it is there. */
const haveAll = (views: readonly ServerView[], value: string): boolean =>
  views.length > 0 && views.every(({records}) => records.length === 1 && records[0] === value);

const isOurs = (value: string, wanted: WantedRecord, views: readonly ServerView[]): boolean =>
  value === wanted.value ||
  isRevoked(value) ||
  views.some(({status, records}) => status === 'matching' && records.includes(value));

function changeFor(action: RecordChange['action'], wanted: WantedRecord, survey: Survey): RecordChange {
  const target = survey.targets?.at(-1);
  const name = target?.name ?? survey.name;
  const zone = target?.zone ?? survey.zone;
  const forms = recordForms({apex: zone.apex, name, value: wanted.value, ttlSeconds: TTL_SECONDS});
  return {
    action,
    domain: wanted.domain,
    selector: wanted.selector,
    name,
    zone: zone.apex,
    relativeName: relativeTo(name, zone.apex),
    value: forms.value,
    quoted: forms.zoneFile.slice(forms.zoneFile.indexOf('"')),
    ttlSeconds: TTL_SECONDS,
    replaces: action === 'add' && viewsOf(survey).some(({records}) => records.length > 0),
    primary: zone.primary,
    servers: zone.servers,
  };
}
