/**
 * The built program against BIND, NSD, Knot and unbound: what it shows and reports is what the DNS room knows. Needs a
 * build (`npm run build`, or WAXSEAL_DIST).
 */
import path from 'node:path';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {VALUE} from './support/dns-cases.ts';
import {
  ALL,
  DnsNet,
  head,
  type LabZone,
  RESOLVER,
  type Server,
  strings,
  TCP_RESOLVER,
} from './support/dns-net.ts';
import {signedZone} from './support/dns-signed.ts';
import type {Outcome} from './support/process.ts';

const PROGRAM = path.join(
  process.env['WAXSEAL_DIST'] || path.resolve(import.meta.dirname, '../../dist'),
  'waxseal.js',
);
const onAll = (lines: readonly string[]): ReadonlyMap<Server, string> =>
  new Map(ALL.map(server => [server, `${lines.join('\n')}\n`]));

const plain: readonly LabZone[] = [
  {
    apex: 'servers.org',
    content: onAll([
      ...head('servers.org', 1, ALL),
      'a.servers.org. A 10.54.0.1',
      ...ALL.map(server => `${server.name}. A ${server.address}`),
    ]),
  },
  {
    apex: 'example.org',
    content: onAll([...head('example.org', 1, ALL), `s1._domainkey.example.org. TXT ${strings(VALUE)}`]),
  },
];

let net: DnsNet;

beforeAll(async () => {
  const sound = await signedZone('sound.org', [`s1._domainkey.sound.org. 60 TXT ${strings(VALUE)}`], {
    from: 'now-3600',
    to: 'now+1728000',
  });
  net = await DnsNet.start([...plain, sound]);
}, 120_000);

afterAll(() => net?.stop());

const waxseal = (argv: readonly string[], environment: readonly string[] = []): Promise<Outcome> =>
  net.run(['env', ...environment, process.execPath, PROGRAM, ...argv]);

test('--resolver over UDP, TCP and TLS, through the built program', async () => {
  const trusted = `NODE_EXTRA_CA_CERTS=${path.join(net.directory, 'tls.pem')}`;
  const check = async (resolver: string, environment: readonly string[] = []): Promise<number | null> => {
    const argv = ['check', '--dns', '--domain', 'example.org', '--selector', 's1', '--resolver', resolver];
    return (await waxseal(argv, environment)).status;
  };
  expect(await check(RESOLVER)).toBe(0);
  expect(await check(`udp:${RESOLVER}:53`)).toBe(0);
  expect(await check(`tcp:${RESOLVER}`)).toBe(0);
  expect(await check(`tls:${RESOLVER}`)).toBe(0);
  expect(await check(`tls:${RESOLVER}#dns.servers.org`, [trusted])).toBe(0);
  expect(await check(`tls:${RESOLVER}#dns.servers.org`)).toBe(4);
  expect(await check(`tls:${RESOLVER}#other.servers.org`, [trusted])).toBe(4);
  // Nobody hears UDP there.
  expect(await check(TCP_RESOLVER)).toBe(4);
  expect(await check(`tcp:${TCP_RESOLVER}`)).toBe(0);
  // The second is asked where the first does not answer.
  const both = ['--resolver', TCP_RESOLVER, '--resolver', `tls:${RESOLVER}`];
  const argv = ['check', '--dns', '--domain', 'example.org', '--selector', 's1', ...both];
  expect((await waxseal(argv)).status).toBe(0);
  const wrong = await waxseal(['status', '--resolver', 'dot:192.0.2.1']);
  expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringContaining('--resolver tls:192.0.2.53#dns')]);
});
