/** What every authoritative server says about one record, asked side by side: nothing waits for the slowest. */
import type {DnsName} from '../domain/names.ts';
import {type Problem, problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {ask, type DnsPorts, type Outcome} from './client.ts';
import {sameKeyRecord} from './compare.ts';
import {nameMistake} from './mistakes.ts';
import type {ResolverOptions} from './resolver.ts';
import type {AuthoritativeServer, ServerStatus, ServerView, Survey, Zone} from './survey.ts';
import type {DnsMessage, TxtRecord} from './wire.ts';
import {findZoneOfTarget} from './zone.ts';

export interface Subject {
  /** `selector._domainkey.domain`. */
  readonly name: DnsName;
  /** The value that should be there, strings joined. */
  readonly expected: string;
  readonly zone: Zone;
}

export interface SurveyOptions extends ResolverOptions {
  /** Called for each server as its answer comes in. */
  readonly onServer?: (view: ServerView) => void;
}

/** One round over all servers. A server's trouble is its status; rejects only with the reason of the signal. */
export async function surveyOnce(
  ports: DnsPorts,
  subject: Subject,
  options: SurveyOptions = {},
): Promise<Survey> {
  const follow = aliasFollower(ports, subject.expected, options);
  const servers = await Promise.all(
    subject.zone.servers.map(async server => {
      const view = await askServer(ports, subject, server, follow, options.signal);
      options.onServer?.(view);
      return view;
    }),
  );
  return surveyOf(ports, subject, servers);
}

/** The judgement over the servers' views; the resolver is not asked yet. */
export function surveyOf(
  ports: Pick<DnsPorts, 'clock'>,
  {name, expected, zone}: Subject,
  servers: readonly ServerView[],
): Survey {
  return {
    name,
    expected,
    zone,
    servers,
    at: ports.clock.now().toISOString(),
    agreed: areAgreed(servers),
    resolver: 'not-asked',
    settled: false,
    nextAt: undefined,
  };
}

/** A server that this host has no route to cannot object, but one at least must have been seen with the record. */
export const areAgreed = (views: readonly ServerView[]): boolean =>
  views.some(view => view.status === 'matching') &&
  views.every(view => view.status === 'matching' || view.status === 'unreachable');

/** Answers what is at the end of a CNAME, over all servers of the target's zone. */
export type Follow = (target: DnsName, passed: readonly DnsName[]) => Promise<EndOfAlias>;

type Finding = Pick<ServerView, 'status' | 'records' | 'mistake'>;

interface EndOfAlias extends Finding {
  readonly target: DnsName;
}

const MAX_ALIASES = 8;
/** Lookups of targets in one round: servers that each tell another tale cannot send us around for ever. */
const MAX_TARGETS = 16;

/** Each way to a target is gone once for all servers that point to it; make a new one for each round. */
export function aliasFollower(ports: DnsPorts, expected: string, options: ResolverOptions): Follow {
  const known = new Map<string, Promise<EndOfAlias>>();
  const follow: Follow = (target, passed) => {
    if (passed.includes(target) || passed.length >= MAX_ALIASES) {
      return Promise.resolve({...deadEnd(target, 'the aliases run in a circle'), target});
    }
    // By way, not by target: two ways that cross would otherwise wait for each other.
    const way = [...passed, target].join(' ');
    const gone = known.get(way);
    if (gone !== undefined) return gone;
    if (known.size >= MAX_TARGETS) {
      return Promise.resolve({...deadEnd(target, 'there are too many aliases'), target});
    }
    const begun = endOf(target, passed);
    known.set(way, begun);
    return begun;
  };
  const endOf = async (target: DnsName, passed: readonly DnsName[]): Promise<EndOfAlias> => {
    const zone = await findZoneOfTarget(ports, target, options);
    if (!zone.ok) return {...deadEnd(target, zone.problem.message), target};
    const views = await Promise.all(
      zone.value.servers.map(server =>
        askServer(ports, {name: target, expected, zone: zone.value}, server, follow, options.signal, passed),
      ),
    );
    const decisive = areAgreed(views)
      ? views.find(view => view.status === 'matching')
      : views.find(view => view.status !== 'matching' && view.status !== 'unreachable');
    const {status, records, mistake, alias} = decisive ?? views[0] ?? {...deadEnd(target, 'no server')};
    const end = alias ?? target;
    if (status === 'absent') return {...deadEnd(end, 'nothing is there'), target: end};
    return {status, records, mistake, target: end};
  };
  return follow;
}

const deadEnd = (target: DnsName, why: string): Finding & {alias?: DnsName} => ({
  status: 'absent',
  records: [],
  mistake: problem(
    'dns.cname-dead-end',
    `The name is an alias (CNAME) to ${target}, which leads nowhere: ${visible(why)}.`,
    `Publish the record at ${target}, or replace the CNAME by the TXT record itself.`,
  ),
});

/**
 * One visit to one server: the TXT records at the name, then the zone's SOA for its serial unless the answer has it.
 * @param passed aliases that led here.
 */
export async function askServer(
  ports: DnsPorts,
  subject: Subject,
  server: AuthoritativeServer,
  follow: Follow,
  signal: AbortSignal | undefined,
  passed: readonly DnsName[] = [],
): Promise<ServerView> {
  const {name} = subject;
  const outcome = await ask(ports, server, {name, type: 'TXT'}, {recursion: false, signal});
  const message = usable(outcome);
  if (message === undefined) {
    return {server, serial: undefined, records: [], ...trouble(outcome, server)};
  }
  const serial = await serialOf(ports, subject.zone.apex, server, message, signal);
  const alias = message.answers.find(record => record.type === 'CNAME' && record.name === name);
  if (alias?.type === 'CNAME') {
    const {target, ...end} = await follow(alias.target, [...passed, name]);
    return {server, serial, ...end, alias: target};
  }
  return {server, serial, ...judge(subject, textsAt(message, name))};
}

/** NOERROR or NXDOMAIN with AA: what a server says that speaks for the zone. */
const usable = (outcome: Outcome): DnsMessage | undefined =>
  outcome.kind === 'answer' &&
  outcome.message.authoritative &&
  (outcome.message.rcode === 'NOERROR' || outcome.message.rcode === 'NXDOMAIN')
    ? outcome.message
    : undefined;

const textsAt = (message: DnsMessage, name: DnsName): readonly string[] =>
  message.answers
    .filter((record): record is TxtRecord => record.type === 'TXT' && record.name === name)
    .map(record => record.text);

function judge({name, expected}: Subject, records: readonly string[]): Finding {
  const mistake = nameMistake({name, expected, records});
  return {status: statusOf(records, expected), records, mistake};
}

function statusOf(records: readonly string[], expected: string): ServerStatus {
  const [only] = records;
  if (only === undefined) return 'absent';
  if (records.length > 1) return 'several';
  return sameKeyRecord(only, expected) ? 'matching' : 'wrong';
}

async function serialOf(
  ports: DnsPorts,
  apex: DnsName,
  server: AuthoritativeServer,
  message: DnsMessage,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  const isOwn = (records: DnsMessage['answers']): number | undefined =>
    records.flatMap(record => (record.type === 'SOA' && record.name === apex ? [record.serial] : []))[0];
  const told = isOwn(message.authorities);
  if (told !== undefined) return told;
  const outcome = await ask(ports, server, {name: apex, type: 'SOA'}, {recursion: false, tries: 1, signal});
  return isOwn(usable(outcome)?.answers ?? []);
}

/** What a server that gave no usable answer is called, and what it means for the zone. */
function trouble(outcome: Outcome, server: AuthoritativeServer): Pick<ServerView, 'status' | 'mistake'> {
  const who = `${server.name} (${server.address})`;
  switch (outcome.kind) {
    case 'no-route':
      return {
        status: 'unreachable',
        mistake: problem(
          'dns.server-no-route',
          `This host has no route to ${who} (${outcome.code}), so it cannot be asked from here.`,
          'Nothing has to be done for the record; the other servers decide.',
        ),
      };
    case 'silent':
      return {status: 'timeout', mistake: silentServer(who, outcome.code)};
    case 'malformed':
      return {
        status: 'lame',
        mistake: problem(
          'dns.server-malformed',
          `${who} sent something that is no DNS answer: ${visible(outcome.reason)}.`,
          'Ask whoever runs this name server, and check what stands between it and this host.',
        ),
      };
    case 'answer':
      return outcome.message.rcode === 'REFUSED'
        ? {
            status: 'refused',
            mistake: problem(
              'dns.server-refused',
              `${who} refuses to answer for the zone.`,
              'It does not carry the zone, or not for everybody. Mend the server, or remove it from the NS records.',
            ),
          }
        : {status: 'lame', mistake: lameServer(who, outcome.message)};
  }
}

const silentServer = (who: string, code: string): Problem =>
  problem(
    'dns.server-silent',
    code === 'ECONNREFUSED' ? `No name server runs at ${who}.` : `${who} does not answer.`,
    'Receivers that happen to ask it are delayed or find no key. Mend the server, or remove it from the NS records.',
  );

const lameServer = (who: string, message: DnsMessage): Problem =>
  problem(
    'dns.server-lame',
    message.rcode === 'SERVFAIL'
      ? `${who} cannot serve the zone (SERVFAIL): it is not loaded there, or has expired.`
      : `${who} is listed for the zone but does not speak for it (no authoritative answer).`,
    'Set the zone up on it, or remove it from the NS records.',
  );
