/**
 * Key records of thousands of domains. Most are right, and a right one is known by one question to each server of its
 * zone. Whatever is not plainly right is looked at again in the thorough way, which names the mistake.
 */
import {type DnsName, type DomainName, keyRecordName, type Selector} from '../../domain/names.ts';
import {type Problem, problem} from '../../domain/result.ts';
import {type Audit, auditRecord} from '../audit.ts';
import {surveyOnce} from '../authoritative.ts';
import {ask, type DnsPorts, type Outcome} from '../client.ts';
import {sameKeyRecord} from '../compare.ts';
import {type ResolverOptions, resolveOnlyText} from '../resolver.ts';
import type {AuthoritativeServer, Survey} from '../survey.ts';
import {findZone} from '../zone.ts';
import {createGate, type Gate} from './gate.ts';
import {createServerBook, type ServerBook} from './servers.ts';

export interface KeyToCheck {
  readonly domain: DomainName;
  readonly selector: Selector;
  /** The record that should be there; undefined: any one key record, the same on every server. */
  readonly expected: string | undefined;
  /** As in src/dns/subject.ts. */
  readonly formerNames?: readonly DnsName[];
  readonly formerValues?: readonly string[];
}

export interface KeyFinding {
  readonly key: KeyToCheck;
  /** Servers that were asked, and how many of them have exactly the record. */
  readonly servers: number;
  readonly matching: number;
  /** Undefined where every server that can be reached has it. */
  readonly mistake: Problem | undefined;
  /** It works, but is better mended. */
  readonly remark?: Problem;
}

export interface ManyOptions extends ResolverOptions {
  /** Called as each is known, in no order. Awaited: a slow reader slows the questions, nothing piles up. */
  readonly onFinding: (finding: KeyFinding) => void | Promise<void>;
  /**
   * Default false. True looks at each record in the thorough way, right or wrong, and where it went that is nowhere: for
   * lists of which somebody reads every line.
   */
  readonly thorough?: boolean;
}

/** Domains at the same time; those that are looked at thoroughly; questions that one server has to answer at once. */
const AT_ONCE = 192;
const THOROUGH_AT_ONCE = 16;
const PER_SERVER = 24;
const MAX_GATES = 4096;

/** Checks every key. Rejects only with the reason of the signal. Needs memory for what is under way, not for the list. */
export async function checkMany(
  ports: DnsPorts,
  keys: Iterable<KeyToCheck>,
  options: ManyOptions,
): Promise<void> {
  const polite = considerate(ports);
  const job: Job = {
    ports: polite,
    book: createServerBook(polite, {resolvers: options.resolvers}),
    thorough: createGate(THOROUGH_AT_ONCE),
    options,
  };
  const rest = keys[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (let next = rest.next(); next.done !== true; next = rest.next()) {
      options.signal?.throwIfAborted();
      await options.onFinding(await checkOne(job, next.value));
    }
  };
  await Promise.all(Array.from({length: AT_ONCE}, worker));
}

interface Job {
  readonly ports: DnsPorts;
  readonly book: ServerBook;
  readonly thorough: Gate;
  readonly options: ManyOptions;
}

/** No server has more than a few of our questions at a time, however many domains it has. */
function considerate(ports: DnsPorts): DnsPorts {
  const gates = new Map<string, Gate>();
  const gateOf = ({address, port}: {readonly address: string; readonly port: number}): Gate => {
    const key = `${address} ${port}`;
    const known = gates.get(key);
    if (known !== undefined) return known;
    if (gates.size >= MAX_GATES) gates.clear();
    const made = createGate(PER_SERVER);
    gates.set(key, made);
    return made;
  };
  return {
    ...ports,
    dns: {
      udp: (server, query, limits) => gateOf(server).run(() => ports.dns.udp(server, query, limits)),
      tcp: (server, query, limits) => gateOf(server).run(() => ports.dns.tcp(server, query, limits)),
      hostResolvers: () => ports.dns.hostResolvers(),
    },
  };
}

/** A mail domain is a name in the DNS like any other. */
const nameOf = (domain: DomainName): DnsName => `${domain}` as DnsName;

async function checkOne(job: Job, key: KeyToCheck): Promise<KeyFinding> {
  if (job.options.thorough === true) return await job.thorough.run(() => thoroughly(job, key));
  const servers = await job.book.serversOf(nameOf(key.domain));
  const right = servers === undefined ? undefined : await quickly(job, key, servers);
  return right ?? (await job.thorough.run(() => thoroughly(job, key)));
}

/** A finding where every server has exactly the record, undefined where anything is otherwise. */
async function quickly(
  {ports}: Job,
  key: KeyToCheck,
  servers: readonly AuthoritativeServer[],
): Promise<KeyFinding | undefined> {
  const question = {name: keyRecordName(key.selector, key.domain), type: 'TXT'} as const;
  const outcomes = await Promise.all(servers.map(server => ask(ports, server, question, {recursion: false})));
  // A server that this host has no route to cannot object.
  const said = outcomes
    .filter(({kind}) => kind !== 'no-route')
    .map(outcome => textIn(outcome, question.name));
  const [first] = said;
  if (first === undefined) return undefined;
  if (!said.every(text => text !== undefined && sameKeyRecord(text, key.expected ?? first))) return undefined;
  // Where no key is at hand to compare with, the record itself has to be good.
  const {useless, remark} = key.expected === undefined ? auditRecord(first) : NOTHING_ODD;
  if (useless !== undefined) return undefined;
  return {
    ...{key, servers: servers.length, matching: said.length, mistake: undefined},
    ...(remark === undefined ? {} : {remark}),
  };
}

const NOTHING_ODD: Audit = {useless: undefined, remark: undefined};

/** The one TXT record at the name, from a server that speaks for the zone. */
function textIn(outcome: Outcome, name: string): string | undefined {
  if (outcome.kind !== 'answer' || !outcome.message.authoritative) return undefined;
  const {answers, rcode} = outcome.message;
  const [only, ...more] = answers.flatMap(record =>
    record.type === 'TXT' && record.name === name ? [record.text] : [],
  );
  return rcode === 'NOERROR' && more.length === 0 ? only : undefined;
}

async function thoroughly({ports, options}: Job, key: KeyToCheck): Promise<KeyFinding> {
  const {signal, resolvers} = options;
  const name = keyRecordName(key.selector, key.domain);
  const zone = await findZone(ports, name, {signal, resolvers});
  if (!zone.ok) return {key, servers: 0, matching: 0, mistake: zone.problem};
  const look = (expected: string): Promise<Survey> =>
    surveyOnce(
      ports,
      {
        ...{name, expected, zone: zone.value},
        formerNames: key.formerNames ?? [],
        formerValues: key.formerValues ?? [],
      },
      {signal, resolvers, explain: options.thorough === true},
    );
  let survey = await look(key.expected ?? '');
  let audited: Problem | undefined;
  if (key.expected === undefined) {
    // Whatever most servers have is what the others are compared with.
    const common =
      survey.weaker !== undefined
        ? await resolveOnlyText(ports, name, {signal, resolvers})
        : mostCommon(survey.servers.flatMap(({records}) => (records.length === 1 ? records : [])));
    const audit = common === undefined ? undefined : auditRecord(common);
    if (common === undefined || audit?.useless !== undefined) {
      return {key, servers: survey.servers.length, matching: 0, mistake: noKey(name, survey, audit?.useless)};
    }
    audited = audit?.remark;
    survey = await look(common);
  }
  const matching = survey.servers.filter(({status}) => status === 'matching').length;
  const count = {key, servers: survey.servers.length, matching};
  if (survey.agreed) {
    const remark =
      survey.servers.find(view => view.status === 'matching' && view.mistake !== undefined)?.mistake ??
      audited;
    return {...count, mistake: undefined, ...(remark === undefined ? {} : {remark})};
  }
  if (survey.weaker !== undefined) {
    // The resolver's word is all there is: enough to go on reading, not enough to call it right.
    return survey.resolver === 'matching'
      ? {...count, mistake: undefined, remark: survey.weaker}
      : {...count, mistake: survey.weaker};
  }
  const mistake = survey.servers.find(
    view => view.status !== 'matching' && view.mistake !== undefined,
  )?.mistake;
  return {...count, mistake: mistake ?? absent(name, matching, survey)};
}

function mostCommon(texts: readonly string[]): string | undefined {
  const counted = new Map<string, number>();
  for (const text of texts) counted.set(text, (counted.get(text) ?? 0) + 1);
  return [...counted].toSorted(([, one], [, other]) => other - one)[0]?.[0];
}

const absent = (name: string, matching: number, {servers}: Survey): Problem =>
  problem(
    'dns.record',
    matching === 0
      ? `There is no key record at ${name}.`
      : `Only ${matching} of ${servers.length} name servers have the record at ${name}.`,
    'Publish it as it should be: waxseal record',
  );

function noKey(name: string, survey: Survey, useless: string | undefined): Problem {
  const mistake = survey.servers.find(view => view.records.length === 0)?.mistake;
  if (useless === undefined) return survey.weaker ?? mistake ?? absent(name, 0, survey);
  return problem(
    'dns.record',
    `The TXT record at ${name} is no key that works: ${useless}`,
    'Look at it with: waxseal check --dns --domain NAME',
  );
}
