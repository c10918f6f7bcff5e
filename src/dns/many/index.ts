/**
 * Key records of thousands of domains. Most are right, and a right one is known by one question to each server of its
 * zone. Whatever is not plainly right is looked at again in the thorough way, which names the mistake.
 */
import {type DnsName, type DomainName, keyRecordName, type Selector} from '../../domain/names.ts';
import {type Problem, problem} from '../../domain/result.ts';
import {type Audit, auditRecord} from '../audit.ts';
import {surveyOnce} from '../authoritative.ts';
import type {DnsPorts} from '../client.ts';
import {sameKeyRecord} from '../compare.ts';
import {type ResolverOptions, resolveOnlyText} from '../resolver.ts';
import {createSilence, type SilentServer} from '../silence.ts';
import type {Survey} from '../survey.ts';
import {findZone} from '../zone.ts';
import {createGate, type Gate} from './gate.ts';
import {whereAllHave} from './plain.ts';
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
  /** Silent servers that were not asked for it: that they have no record is not known then. */
  readonly unasked?: readonly SilentServer[];
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
  const polite = considerate();
  const silence = createSilence(ports, options.signal);
  const job: Omit<Job, 'ports'> = {
    book: createServerBook(polite({...ports, dns: silence.dns}), {resolvers: options.resolvers}),
    thorough: createGate(THOROUGH_AT_ONCE),
    options,
  };
  const rest = keys[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (let next = rest.next(); next.done !== true; next = rest.next()) {
      options.signal?.throwIfAborted();
      const watched = silence.watched();
      const finding = await checkOne({...job, ports: polite({...ports, dns: watched.dns})}, next.value);
      const unasked = isUnknown(finding) ? watched.unasked() : [];
      await options.onFinding(unasked.length === 0 ? finding : {...finding, unasked});
    }
  };
  await Promise.all(Array.from({length: AT_ONCE}, worker));
}

/** Nobody objects: the zone could not be found, or its servers do not answer. */
const isUnknown = ({mistake, servers}: KeyFinding): boolean =>
  mistake !== undefined && (servers === 0 || UNKNOWN.has(mistake.id));

const UNKNOWN: ReadonlySet<string> = new Set(['dns.server-silent', 'dns.server-no-tcp', 'dns.port-blocked']);

interface Job {
  readonly ports: DnsPorts;
  readonly book: ServerBook;
  readonly thorough: Gate;
  readonly options: ManyOptions;
}

/** No server has more than a few of our questions at a time, however many domains it has and whoever asks. */
function considerate(): (ports: DnsPorts) => DnsPorts {
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
  return ports => ({
    ...ports,
    dns: {
      udp: (server, query, limits) => gateOf(server).run(() => ports.dns.udp(server, query, limits)),
      tcp: (server, query, limits) => gateOf(server).run(() => ports.dns.tcp(server, query, limits)),
      hostResolvers: () => ports.dns.hostResolvers(),
    },
  });
}

async function checkOne(job: Job, key: KeyToCheck): Promise<KeyFinding> {
  if (job.options.thorough === true) return await job.thorough.run(() => thoroughly(job, key));
  return (await quickly(job, key)) ?? (await job.thorough.run(() => thoroughly(job, key)));
}

/** A finding where every server has exactly the record, undefined where anything is otherwise. */
async function quickly({ports, book}: Job, key: KeyToCheck): Promise<KeyFinding | undefined> {
  const {domain, selector, expected} = key;
  const place = {domain, name: keyRecordName(selector, domain)};
  const said = await whereAllHave(ports, book, place, ({text}, first) =>
    sameKeyRecord(text, expected ?? first.text),
  );
  const [first] = said?.answers ?? [];
  if (said === undefined || first === undefined) return undefined;
  // Where no key is at hand to compare with, the record itself has to be good.
  const {useless, remark} = key.expected === undefined ? auditRecord(first.text) : NOTHING_ODD;
  if (useless !== undefined) return undefined;
  return {
    ...{key, servers: said.servers, matching: said.answers.length, mistake: undefined},
    ...(remark === undefined ? {} : {remark}),
  };
}

const NOTHING_ODD: Audit = {useless: undefined, remark: undefined};

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
    'Replace it by the record of the key, or delete it where no key is used with this selector.',
  );
}
