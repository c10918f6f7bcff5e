/** A resolver that never answers is not asked for each of many domains, whatever looks them up. */
import {expect, it} from 'vitest';
import type {DomainName} from '../../src/domain/names.ts';
import {absolute} from '../../src/domain/paths.ts';
import {adoptKeys} from '../../src/jobs/rotate/adopt.ts';
import {createRotation} from '../../src/jobs/rotate/guided.ts';
import {createOperations} from '../../src/jobs/setup/operations.ts';
import type {Ports} from '../../src/system/ports.ts';
import {openWorld, pemOf} from '../demo/world.ts';

const DOMAINS = Array.from({length: 300}, (_, at) => `d${at}.example.org` as DomainName);
/** Twenty in a row, the tries of those that are on their way, and one as proof: src/dns/silence.ts. */
const AT_MOST = 64;
const OPTIONS = {resolvers: undefined};
const never = new AbortController().signal;

/** The ports of the sandbox with a network that swallows everything; what is sent is counted. */
async function silenced(): Promise<{readonly ports: Ports; readonly sent: () => number}> {
  const {sandbox} = await openWorld();
  let sent = 0;
  const swallow = async (): Promise<never> => {
    sent += 1;
    throw Object.assign(new Error('no answer in time'), {code: 'ETIMEDOUT'});
  };
  const dns = {
    ...sandbox.ports.dns,
    udp: swallow,
    tcp: swallow,
    hostResolvers: sandbox.ports.dns.hostResolvers,
  };
  return {ports: {...sandbox.ports, dns}, sent: () => sent};
}

it.each([
  ['a set-up', createOperations],
  ['a guided rotation', createRotation],
])('%s', async (_, create) => {
  const {ports, sent} = await silenced();
  const operations = create(ports, OPTIONS);
  for (const domain of DOMAINS) {
    expect((await operations.inspectDomain(domain, never)).ok).toBe(false);
  }
  expect(sent()).toBeGreaterThan(19);
  expect(sent()).toBeLessThanOrEqual(AT_MOST);
});

it('an adoption', async () => {
  const {ports, sent} = await silenced();
  const {files} = ports;
  const root = {mode: 0o644, uid: 0, gid: 0};
  const key = absolute('/etc/dkimkeys/shared.private');
  const text = (lines: readonly string[]): Uint8Array => new TextEncoder().encode(`${lines.join('\n')}\n`);
  await files.makeDirectory(absolute('/etc/dkimkeys'), {...root, mode: 0o755}).catch(() => undefined);
  await files.create(key, text([pemOf({algorithm: 'rsa', bits: 2048}).trim()]), {
    mode: 0o640,
    uid: 102,
    gid: 108,
  });
  await files.replace(
    absolute('/etc/opendkim.conf'),
    text([
      'KeyTable file:/etc/dkimkeys/KeyTable',
      'SigningTable refile:/etc/dkimkeys/SigningTable',
      'UserID opendkim',
      'Socket local:/run/opendkim/opendkim.sock',
    ]),
    root,
  );
  await files.create(
    absolute('/etc/dkimkeys/KeyTable'),
    text(DOMAINS.map(domain => `${domain} ${domain}:old:${key}`)),
    root,
  );
  await files.create(
    absolute('/etc/dkimkeys/SigningTable'),
    text(DOMAINS.map(domain => `*@${domain} ${domain}`)),
    root,
  );
  const {adopted} = await adoptKeys(ports, OPTIONS, undefined, never);
  expect(adopted).toHaveLength(DOMAINS.length);
  expect(
    adopted.every(({why}) => why !== undefined),
    adopted[0]?.why,
  ).toBe(true);
  expect(sent()).toBeGreaterThan(19);
  expect(sent()).toBeLessThanOrEqual(AT_MOST);
});
