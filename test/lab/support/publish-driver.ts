/**
 * Publishes a record as a run of waxseal does and looks at the servers, inside a network namespace: bundled, started
 * there, a job on standard input, results on standard output. Real programs, real sockets.
 */

import {createPublicKey, generateKeyPairSync} from 'node:crypto';
import {formatKeyRecord} from '../../../src/dkim/index.ts';
import {surveyOnce} from '../../../src/dns/authoritative.ts';
import {recordForms} from '../../../src/dns/forms.ts';
import {parsePublish, publishRecord} from '../../../src/dns/publish/index.ts';
import {findZone} from '../../../src/dns/zone.ts';
import {keyRecordName, parseDomain, parseSelector} from '../../../src/domain/names.ts';
import {absolute} from '../../../src/domain/paths.ts';
import type {StagedDomain} from '../../../src/flow/operations.ts';
import {publishAll} from '../../../src/jobs/publishing.ts';
import {createRealPorts} from '../../../src/system/real/index.ts';

export interface PublishJob {
  /** `add`: as a setup does it. `remove`: takes the record away again. `look`: only asks the servers. */
  readonly action: 'add' | 'remove' | 'look';
  readonly domain: string;
  readonly selector: string;
  /** PEM of the key; a new one where it is missing. */
  readonly publicKey?: string;
  readonly bits?: number;
  /** As the answer to the question. */
  readonly publish: string;
  readonly resolver: string;
}

export interface PublishOutcome {
  readonly publicKey: string;
  /** `published NAME`, `there NAME`, or `failed ID MESSAGE`. */
  readonly said: string;
  readonly statuses: readonly string[];
  readonly mistakes: readonly string[];
}

function must<T>(result: {ok: true; value: T} | {ok: false; problem: {message: string}}): T {
  if (!result.ok) throw new TypeError(result.problem.message);
  return result.value;
}

async function perform(job: PublishJob): Promise<PublishOutcome> {
  const resolver = {address: job.resolver, port: 53};
  const ports = createRealPorts({resolvers: [resolver]});
  const signal = new AbortController().signal;
  const domain = must(parseDomain(job.domain));
  const selector = must(parseSelector(job.selector));
  const name = keyRecordName(selector, domain);
  const publicKey =
    job.publicKey ??
    generateKeyPairSync('rsa', {modulusLength: job.bits ?? 2048})
      .publicKey.export({type: 'spki', format: 'pem'})
      .toString();
  const value = formatKeyRecord({
    algorithm: 'rsa',
    publicKey: createPublicKey(publicKey),
    testMode: false,
    noSubdomains: false,
    note: "it's a test",
  });
  const zone = must(await findZone(ports, name, {}));
  const staged: StagedDomain = {
    domain,
    selector,
    algorithm: 'rsa',
    bits: job.bits ?? 2048,
    state: 'staged',
    stagedPath: absolute('/nowhere'),
    sha256: '',
    zone,
    record: recordForms({apex: zone.apex, name, value}),
    remarks: [],
  };
  const choice = must(parsePublish(job.publish));
  let said = '';
  if (job.action === 'add') {
    const environment = process.env;
    const done = await publishAll(ports, {resolvers: undefined, environment}, choice, [staged], signal);
    said = done.ok
      ? done.value.map(each => `${each.outcome} ${each.name}`).join()
      : `failed ${done.problem.id} ${done.problem.message}`;
  } else if (job.action === 'remove') {
    const {record} = staged;
    const change = {
      ...{action: 'remove' as const, domain, selector, name, zone: zone.apex, value, ttlSeconds: 3600},
      ...{relativeName: record.relativeName, replaces: false, primary: zone.primary, servers: zone.servers},
      quoted: record.zoneFile.slice(record.zoneFile.indexOf('"')),
    };
    const done = await publishRecord(ports, choice, change, {environment: process.env});
    said = done.ok ? `removed ${name}` : `failed ${done.problem.id} ${done.problem.message}`;
  }
  const survey = await surveyOnce(ports, {name, expected: value, zone}, {explain: false});
  return {
    publicKey,
    said,
    statuses: survey.servers.map(({status}) => status),
    mistakes: survey.servers.flatMap(({mistake}) => mistake?.id ?? []),
  };
}

const chunks: Buffer[] = [];
for await (const chunk of process.stdin) chunks.push(chunk);
process.stdout.write(JSON.stringify(await perform(JSON.parse(Buffer.concat(chunks).toString()))));
