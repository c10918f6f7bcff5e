/** What every authoritative server says about one record, asked side by side: nothing waits for the slowest. */
import {type DnsName, isWithin, parseDnsName} from '../domain/names.ts';
import {type Problem, problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {ask, type DnsPorts, type Outcome} from './client.ts';
import {sameKeyRecord} from './compare.ts';
import {excerpt} from './evidence.ts';
import {explainLaggards, lookFurther, withExplanation} from './explain.ts';
import {nameMistake} from './mistakes.ts';
import type {ResolverOptions} from './resolver.ts';
import {isOutOfReach, withResolver, withWeakerClaim} from './resolver-view.ts';
import type {Subject} from './subject.ts';
import type {AliasTarget, AuthoritativeServer, ServerStatus, ServerView, Survey, Zone} from './survey.ts';
import type {DnsMessage, TargetRecord, TxtRecord} from './wire.ts';
import {findZoneOfTarget} from './zone.ts';

export type {Subject} from './subject.ts';

export interface SurveyOptions extends ResolverOptions {
  /** Called for each server as its answer comes in. */
  readonly onServer?: (view: ServerView) => void;
  /**
   * Default true: where the record is nowhere, looks where it went, and where one is there, whether it is a wildcard. That
   * is at most one more question a server and second; false for surveys of thousands of domains.
   */
  readonly explain?: boolean;
  /** Default false: asks the resolver, too, where all servers agree, and reads DNSSEC there. */
  readonly askResolver?: boolean;
}

/** One round over all servers. A server's trouble is its status; rejects only with the reason of the signal. */
export async function surveyOnce(
  ports: DnsPorts,
  subject: Subject,
  options: SurveyOptions = {},
): Promise<Survey> {
  const targets: AliasTarget[] = [];
  const follow = aliasFollower(ports, subject, options, target => targets.push(target));
  const servers = await Promise.all(
    subject.zone.servers.map(async server => {
      const view = await askServer(ports, subject, server, follow, options.signal);
      options.onServer?.(view);
      return view;
    }),
  );
  const further = options.explain === false ? undefined : await lookFurther(ports, subject, servers, options);
  const views = withExplanation(explainLaggards(subject, servers), further);
  const survey = {...surveyOf(ports, subject, views), ...(targets.length === 0 ? {} : {targets})};
  if (survey.agreed) {
    return options.askResolver === true ? await withResolver(ports, survey, options) : survey;
  }
  return isOutOfReach(views) ? await withWeakerClaim(ports, survey, options) : survey;
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
const areAgreed = (views: readonly ServerView[]): boolean =>
  views.some(view => view.status === 'matching') &&
  views.every(view => view.status === 'matching' || view.status === 'unreachable');

/** Answers what is at the end of a CNAME, over all servers of the target's zone. */
export type Follow = (target: DnsName, passed: readonly DnsName[]) => Promise<EndOfAlias>;

type Finding = Pick<ServerView, 'status' | 'records' | 'mistake' | 'ttlSeconds'>;

interface EndOfAlias extends Finding {
  readonly target: DnsName;
}

type Sought = Pick<Subject, 'expected' | 'formerValues'>;

const MAX_ALIASES = 8;
/** Lookups of targets in one round: servers that each tell another tale cannot send us around for ever. */
const MAX_TARGETS = 16;

/** Each way to a target is gone once for all servers that point to it; make a new one for each round. */
export function aliasFollower(
  ports: DnsPorts,
  {expected, formerValues}: Sought,
  options: ResolverOptions,
  onTarget: (target: AliasTarget) => void = () => undefined,
): Follow {
  const known = new Map<string, Promise<EndOfAlias>>();
  const follow: Follow = (target, passed) => {
    if (passed.includes(target) || passed.length >= MAX_ALIASES) {
      return Promise.resolve({...aliasLoop(target, passed), target});
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
    const subject: Subject = {
      name: target,
      expected,
      zone: zone.value,
      ...(formerValues === undefined ? {} : {formerValues}),
    };
    const views = await Promise.all(
      zone.value.servers.map(server => askServer(ports, subject, server, follow, options.signal, passed)),
    );
    onTarget({name: target, zone: zone.value, servers: views});
    const decisive = areAgreed(views)
      ? views.find(view => view.status === 'matching')
      : (views.find(view => ['absent', 'wrong', 'several'].includes(view.status)) ??
        views.find(view => view.status !== 'matching' && view.status !== 'unreachable'));
    const {status, records, mistake, alias, ttlSeconds} =
      decisive ?? views[0] ?? ({...deadEnd(target, 'no server')} as Finding & {alias?: DnsName});
    const end = alias ?? target;
    if (status === 'absent') {
      return {
        ...(mistake === undefined ? deadEnd(end, 'nothing is there') : {status, records, mistake}),
        target: end,
      };
    }
    return {status, records, mistake, target: end, ...(ttlSeconds === undefined ? {} : {ttlSeconds})};
  };
  return follow;
}

const aliasLoop = (target: DnsName, passed: readonly DnsName[]): Finding => ({
  status: 'absent',
  records: [],
  mistake: problem(
    'dns.cname-loop',
    `The aliases (CNAME) run in a circle: ${[...passed, target].join(' -> ')}.`,
    `Replace one of the CNAMEs by the TXT record itself.`,
  ),
});

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
  onEarly: (view: ServerView) => void = () => undefined,
): Promise<ServerView> {
  const {name} = subject;
  const outcome = await ask(ports, server, {name, type: 'TXT'}, {recursion: false, signal});
  const message = usable(outcome) ?? (await aliasBehindFailure(ports, name, server, outcome, signal));
  if (message === undefined) {
    return {server, serial: undefined, records: [], ...trouble(outcome, server)};
  }
  const finding = await findingOf(subject, message, follow, passed);
  const told = serialIn(message.authorities, subject.zone.apex);
  if (told !== undefined) return {server, serial: told, ...finding};
  // The record is known; its serial is another question, which may have to wait its turn.
  onEarly({server, serial: undefined, ...finding});
  return {server, serial: await serialOf(ports, subject.zone.apex, server, signal), ...finding};
}

/** What an answer says, aliases followed to their end. */
async function findingOf(
  subject: Subject,
  message: DnsMessage,
  follow: Follow,
  passed: readonly DnsName[],
): Promise<Finding & Pick<ServerView, 'alias' | 'dname'>> {
  const {name} = subject;
  const texts = textsAt(message, name);
  const alias = aliasIn(message, name);
  if (alias === undefined) return judge(subject, texts);
  const {target, ...end} = await follow(alias.target, [...passed, name]);
  const shown = {alias: target, ...(alias.dname === undefined ? {} : {dname: alias.dname})};
  const isHidden = end.status === 'wrong' || end.status === 'several';
  if (texts.length > 0 || (isHidden && HIDDEN_BY_ALIAS.has(end.mistake?.id ?? ''))) {
    return {...end, status: 'wrong', mistake: besideAlias(name, target, end.records), ...shown};
  }
  return {...end, ...shown};
}

/** A record of somebody else at the end of an alias: whoever entered the right one beside the alias cannot see it. */
const HIDDEN_BY_ALIAS: ReadonlySet<string> = new Set(['dns.other-key', 'dns.foreign-record', 'dns.revoked']);

const besideAlias = (name: DnsName, target: DnsName, records: readonly string[]): Problem =>
  problem(
    'dns.cname-beside-txt',
    `The name is an alias (CNAME) to ${target}, where another record is (${excerpt(records[0] ?? '')}); a TXT record entered beside a CNAME is not served (RFC 1034 §3.6.2).`,
    `Delete the CNAME at ${name} before you enter the TXT record, or choose another selector.`,
  );

/** The CNAME of the answer, or the one that a DNAME stands for where the server did not make it (RFC 6672 §3.1). */
function aliasIn(
  message: DnsMessage,
  name: DnsName,
): {readonly target: DnsName; readonly dname?: DnsName} | undefined {
  const dname = message.answers.find(
    (record): record is TargetRecord =>
      record.type === 'DNAME' && record.name !== name && isWithin(name, record.name),
  );
  const owner = dname === undefined ? {} : {dname: dname.name};
  for (const record of message.answers) {
    if (record.type === 'CNAME' && record.name === name) return {target: record.target, ...owner};
  }
  if (dname === undefined) return undefined;
  const made = parseDnsName(`${name.slice(0, -dname.name.length)}${dname.target}`);
  return made.ok ? {target: made.value, ...owner} : undefined;
}

/** BIND answers SERVFAIL to aliases of its own that run in a circle, but still tells the CNAME itself. */
async function aliasBehindFailure(
  ports: DnsPorts,
  name: DnsName,
  server: AuthoritativeServer,
  outcome: Outcome,
  signal: AbortSignal | undefined,
): Promise<DnsMessage | undefined> {
  if (outcome.kind !== 'answer' || outcome.message.rcode !== 'SERVFAIL') return undefined;
  const again = await ask(ports, server, {name, type: 'CNAME'}, {recursion: false, tries: 1, signal});
  const message = usable(again);
  return message?.answers.some(record => record.type === 'CNAME') === true ? message : undefined;
}

/** NOERROR or NXDOMAIN with AA: what a server says that speaks for the zone. */
const usable = (outcome: Outcome): DnsMessage | undefined =>
  outcome.kind === 'answer' &&
  outcome.message.authoritative &&
  (outcome.message.rcode === 'NOERROR' || outcome.message.rcode === 'NXDOMAIN')
    ? outcome.message
    : undefined;

const textsAt = (message: DnsMessage, name: DnsName): readonly TxtRecord[] =>
  message.answers.filter((record): record is TxtRecord => record.type === 'TXT' && record.name === name);

interface Judged extends Omit<Subject, 'zone'> {
  readonly zone: Pick<Zone, 'apex' | 'servers'>;
}

/** What one server has, against what should be there. */
export function judge({name, expected, zone, formerValues}: Judged, texts: readonly TxtRecord[]): Finding {
  const records = texts.map(record => record.text);
  const mistake = nameMistake({
    name,
    expected,
    records,
    octets: texts.map(record => Buffer.concat(record.strings)),
    apex: zone.apex,
    serverNames: zone.servers.map(server => server.name),
    ...(formerValues === undefined ? {} : {formerValues}),
  });
  const [first] = texts;
  const status = statusOf(records, expected);
  if (first === undefined) return {status, records, mistake};
  const {ttlSeconds} = first;
  const remark = status === 'matching' && ttlSeconds > DAY_SECONDS ? longTtl(ttlSeconds) : undefined;
  return {status, records, mistake: mistake ?? remark, ttlSeconds};
}

const DAY_SECONDS = 86_400;

const longTtl = (ttlSeconds: number): Problem =>
  problem(
    'dns.long-ttl',
    `Receivers remember the record for ${Math.round(ttlSeconds / DAY_SECONDS)} days (TTL ${ttlSeconds}): as long a key that was stolen stays good.`,
    'Set its TTL to an hour (3600).',
  );

function statusOf(records: readonly string[], expected: string): ServerStatus {
  const [only] = records;
  if (only === undefined) return 'absent';
  if (records.length > 1) return 'several';
  return sameKeyRecord(only, expected) ? 'matching' : 'wrong';
}

const serialIn = (records: DnsMessage['answers'], apex: DnsName): number | undefined =>
  records.flatMap(record => (record.type === 'SOA' && record.name === apex ? [record.serial] : []))[0];

async function serialOf(
  ports: DnsPorts,
  apex: DnsName,
  server: AuthoritativeServer,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  const outcome = await ask(ports, server, {name: apex, type: 'SOA'}, {recursion: false, tries: 1, signal});
  return serialIn(usable(outcome)?.answers ?? [], apex);
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
      return {
        status: 'timeout',
        mistake: outcome.truncated === true ? noTcp(who) : silentServer(who, outcome.code),
      };
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

const noTcp = (who: string): Problem =>
  problem(
    'dns.server-no-tcp',
    `${who} cuts its answer short over UDP (TC), and does not answer over TCP.`,
    'Open TCP port 53 on it and before it (RFC 7766): receivers that need the whole record ask it that way.',
  );

const lameServer = (who: string, message: DnsMessage): Problem =>
  problem(
    'dns.server-lame',
    message.rcode === 'SERVFAIL'
      ? `${who} cannot serve the zone (SERVFAIL): it is not loaded there, or has expired.`
      : `${who} is listed for the zone but does not speak for it (no authoritative answer).`,
    'Set the zone up on it, or remove it from the NS records.',
  );
