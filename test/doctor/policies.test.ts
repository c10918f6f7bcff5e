/** Advice about a domain and this host: from real answers of the sandbox's name servers. */
import {expect, test} from 'vitest';
import {demoZones} from '../../src/demo/dns.ts';
import {policiesOf, policyChecks} from '../../src/doctor/policies.ts';
import {type SendingFacts, sendingFacts} from '../../src/doctor/sending.ts';
import {parseDomain} from '../../src/domain/names.ts';
import type {PostfixFacts} from '../../src/services/postfix/facts.ts';
import type {CommandResult, Commands} from '../../src/system/ports.ts';
import {type World, world} from '../dns/world.ts';

const said = (stdout: string): CommandResult => ({status: 0, stdout, stderr: '', ended: 'exit'});
const commands = (texts: Readonly<Record<string, string>>): Commands => ({
  run: async ([program]) => said(texts[program] ?? ''),
});
const postfix = (relayhost = ''): PostfixFacts =>
  ({kind: 'postfix', hostname: 'mail.example.org', relay: relayhost}) as unknown as PostfixFacts;

const IP = [
  '2: eth0    inet 10.1.2.3/24 brd 10.1.2.255 scope global eth0',
  '2: eth0    inet 198.51.100.7/24 brd 198.51.100.255 scope global eth0',
  '2: eth0    inet6 2001:db8:1::7/64 scope global',
  '2: eth0    inet6 2001:db8:1::dead/64 scope global temporary dynamic',
].join('\n');

const domain = (() => {
  const parsed = parseDomain('example.org');
  if (!parsed.ok) throw new TypeError(parsed.problem.message);
  return parsed.value;
})();

async function sending(
  texts: Readonly<Record<string, string>>,
  relayhost = '',
  net?: World,
): Promise<SendingFacts> {
  await using own = net === undefined ? await world() : undefined;
  const ports = net?.ports ?? own?.ports;
  if (ports === undefined) throw new Error('no world');
  const host = {hostname: 'mail', mta: postfix(relayhost)};
  return await sendingFacts({...ports, commands: commands(texts)}, host, {});
}

test('the addresses of the interfaces, without private and passing ones', async () => {
  const {addresses, hostname} = await sending({ip: IP});
  expect(hostname).toBe('mail.example.org');
  expect(addresses).toContain('198.51.100.7');
  expect(addresses).not.toContain('10.1.2.3');
  expect(addresses).not.toContain('2001:db8:1::dead');
});

test("Postfix's own choice comes before them, and a relay hides them all", async () => {
  expect((await sending({ip: IP, postconf: '198.51.100.9\n\n'})).addresses).toEqual(['198.51.100.9']);
  expect(await sending({ip: IP}, '[relay.example.net]:587')).toMatchObject({
    addresses: [],
    hidden: 'relay',
    evidence: 'relayhost = [relay.example.net]:587',
  });
});

test('behind a translator the name of the host is looked up', async () => {
  const {addresses, hidden} = await sending({ip: IP.split('\n')[0] ?? ''});
  expect(addresses.length > 0 || hidden === 'private').toBe(true);
});

test('findings with their evidence, the stages as whole records, and nothing that fails', async () => {
  await using net = await world({
    zones: demoZones.map(zone =>
      zone.apex === 'example.org'
        ? {
            ...zone,
            records: [
              ...zone.records.filter(record => record.type !== 'TXT'),
              {name: 'example.org', ttl: 60, type: 'TXT' as const, data: ['v=spf1 ip4:192.0.2.1 -all']},
              {
                name: '_dmarc.example.org',
                ttl: 60,
                type: 'TXT' as const,
                data: ['v=DMARC1; p=none; rua=mailto:a@example.org'],
              },
            ],
          }
        : zone,
    ),
  });
  const facts = await sending({ip: IP.split('\n')[1] ?? ''}, '', net);
  const checks = policyChecks(domain, await policiesOf(net.ports, domain, facts, {}), facts);
  const spf = checks.find(({id}) => id === 'spf.fail');
  expect(spf).toMatchObject({status: 'warn', title: 'SPF of example.org'});
  expect(spf?.evidence).toContain('v=spf1 ip4:192.0.2.1 -all');
  expect(spf?.fix).toContain('ip4:198.51.100.7');
  expect(checks.filter(({status}) => status === 'fail')).toEqual([]);
  expect(checks.flatMap(({id, evidence}) => (id.startsWith('dmarc.stage-') ? [evidence] : []))).toEqual([
    '_dmarc.example.org TXT "v=DMARC1; p=quarantine; rua=mailto:a@example.org"',
    '_dmarc.example.org TXT "v=DMARC1; p=reject; rua=mailto:a@example.org"',
  ]);
  expect(checks.every(({title, evidence}) => title.includes('example.org') && evidence !== '')).toBe(true);
});

test('where the address is hidden that is said, and nothing is judged by it', async () => {
  await using net = await world();
  const facts = await sending({}, 'relay.example.net', net);
  const checks = policyChecks(domain, await policiesOf(net.ports, domain, facts, {}), facts);
  expect(checks.find(({id}) => id === 'address.hidden')).toMatchObject({status: 'skip'});
  expect(checks.some(({id}) => id.startsWith('ptr.') || id === 'spf.pass')).toBe(false);
});
