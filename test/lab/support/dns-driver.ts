/**
 * Runs the DNS room inside a network namespace: bundled, started there, a job on standard input, results on standard
 * output. Real sockets, the real clock.
 */
import {surveyOnce} from '../../../src/dns/authoritative.ts';
import type {DnsPorts} from '../../../src/dns/client.ts';
import {readPolicies} from '../../../src/dns/policy.ts';
import {parseResolver} from '../../../src/dns/resolver-address.ts';
import type {Survey} from '../../../src/dns/survey.ts';
import {watchRecord} from '../../../src/dns/watch.ts';
import {findZone} from '../../../src/dns/zone.ts';
import {checkRecord} from '../../../src/doctor/records.ts';
import type {DnsName, DomainName} from '../../../src/domain/names.ts';
import type {Problem} from '../../../src/domain/result.ts';
import type {Check} from '../../../src/proof/proof.ts';
import type {KeyEntry} from '../../../src/rotation/index.ts';
import type {DnsServer, Files} from '../../../src/system/ports.ts';
import {createClock} from '../../../src/system/real/clock.ts';
import {createDnsTransport} from '../../../src/system/real/dns-transport.ts';
import {createRandom} from '../../../src/system/real/random.ts';

export interface DriverSubject {
  readonly name: string;
  readonly expected: string;
  readonly formerNames?: readonly string[];
  readonly formerValues?: readonly string[];
}

export interface DriverJob {
  readonly kind: 'survey' | 'watch' | 'check' | 'policies';
  /** As for `--resolver`. */
  readonly resolver: string;
  readonly subjects: readonly DriverSubject[];
  readonly deadlineMs?: number;
  readonly askResolver?: boolean;
  /** For policies: addresses of the host. */
  readonly addresses?: readonly string[];
}

export type DriverResult =
  | {readonly ok: true; readonly survey?: Survey; readonly check?: Check; readonly policies?: unknown}
  | {readonly ok: false; readonly problem: Problem};

const noFiles = {read: async () => undefined} as unknown as Files;
const ports: DnsPorts = {dns: createDnsTransport(noFiles), clock: createClock(), random: createRandom()};

async function perform(
  job: DriverJob,
  subject: DriverSubject,
  resolvers: readonly DnsServer[],
): Promise<DriverResult> {
  const name = subject.name as DnsName;
  if (job.kind === 'policies') {
    const host = job.addresses === undefined ? {} : {addresses: job.addresses};
    return {ok: true, policies: await readPolicies(ports, subject.name as DomainName, {resolvers, ...host})};
  }
  if (job.kind === 'check') {
    const entry = (selector: string, record: {name: string; value: string}): KeyEntry =>
      ({domain: subject.name, selector, record}) as unknown as KeyEntry;
    const key = entry('s1', {name, value: subject.expected});
    const former = [
      ...(subject.formerNames ?? []).map(each => entry('former', {name: each, value: ''})),
      ...(subject.formerValues ?? []).map(value => entry('former', {name: '', value})),
    ];
    const [check] = await checkRecord(ports, key, {resolvers, known: [key, ...former]});
    return check === undefined ? {ok: true} : {ok: true, check};
  }
  const zone = await findZone(ports, name, {resolvers});
  if (!zone.ok) return zone;
  const {expected} = subject;
  const whole = {
    name,
    expected,
    zone: zone.value,
    formerNames: (subject.formerNames ?? []) as readonly DnsName[],
    formerValues: subject.formerValues ?? [],
  };
  if (job.kind === 'survey') {
    const options = {resolvers, askResolver: job.askResolver === true};
    return {ok: true, survey: await surveyOnce(ports, whole, options)};
  }
  const watch = {resolvers, deadlineMs: job.deadlineMs ?? 0, onSurvey: () => undefined};
  return {ok: true, survey: await watchRecord(ports, whole, watch)};
}

const chunks: Buffer[] = [];
for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
const job = JSON.parse(Buffer.concat(chunks).toString()) as DriverJob;
const resolver = parseResolver(job.resolver);
if (!resolver.ok) throw new TypeError(resolver.problem.message);
const results = await Promise.all(job.subjects.map(subject => perform(job, subject, [resolver.value])));
process.stdout.write(JSON.stringify(results));
