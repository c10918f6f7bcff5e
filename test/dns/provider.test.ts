import {expect, test} from 'vitest';
import {adviceOf, PROVIDERS, recogniseProvider, sizeProblem} from '../../src/dns/provider.ts';

test.each([
  ['route53', ['ns-2048.awsdns-64.com', 'ns-1.awsdns-00.co.uk']],
  ['cloudflare', ['dina.ns.cloudflare.com', 'Rob.ns.cloudflare.com.']],
  ['google-cloud', ['ns-cloud-a1.googledomains.com']],
  ['azure', ['ns1-04.azure-dns.com', 'ns2-04.azure-dns.net']],
  ['hetzner', ['hydrogen.ns.hetzner.com', 'helium.ns.hetzner.de']],
  ['digitalocean', ['ns1.digitalocean.com']],
  ['namecheap', ['dns1.registrar-servers.com']],
  ['godaddy', ['ns51.domaincontrol.com']],
  ['ionos', ['ns1045.ui-dns.biz']],
  ['transip', ['ns0.transip.net', 'ns1.transip.nl', 'ns2.transip.eu']],
  ['linode', ['ns1.linode.com', 'ns5.linode.com']],
  ['cloudns', ['pns31.cloudns.net', 'pns32.cloudns.net']],
  ['desec', ['ns1.desec.io', 'ns2.desec.org']],
  ['porkbun', ['curitiba.ns.porkbun.com']],
])('%s is recognised by its name servers', (id, servers) => {
  expect(recogniseProvider(servers)?.id).toBe(id);
});

test('unknown servers and look-alikes are nobody, a majority decides', () => {
  expect(recogniseProvider([])).toBeUndefined();
  expect(recogniseProvider(['ns1.example.org'])).toBeUndefined();
  expect(recogniseProvider(['ns.cloudflare.com.example.org', 'notns1.digitalocean.com'])).toBeUndefined();
  expect(recogniseProvider(['ns1.he.net', 'ns1.gandi.net', 'ns2.gandi.net'])?.id).toBe('gandi');
});

test('at least fifteen providers, each with advice of its own name and value form', () => {
  expect(PROVIDERS.length).toBeGreaterThanOrEqual(15);
  expect(new Set(PROVIDERS.map(provider => provider.id)).size).toBe(PROVIDERS.length);
  for (const provider of PROVIDERS) {
    const advice = adviceOf(provider, {
      relativeName: 's1._domainkey',
      absoluteName: 's1._domainkey.example.org',
      valueOctets: 200,
    });
    expect(advice[0]).toMatch(/^Name: s1\._domainkey/);
    expect(advice[1]).toMatch(/^Value: /);
  }
});

test('a key that the provider cannot store is said before it is made', () => {
  const ocean = recogniseProvider(['ns1.digitalocean.com']);
  if (ocean === undefined) throw new TypeError('not recognised');
  expect(sizeProblem(ocean, 420)).toBeUndefined();
  expect(sizeProblem(ocean, 590)).toMatchObject({
    id: 'dns.provider-limit',
    hint: expect.stringContaining('smaller key'),
  });
  const press = recogniseProvider(['ns1.wordpress.com']);
  if (press === undefined) throw new TypeError('not recognised');
  // A key of 2048 bits is the smallest there is.
  expect(sizeProblem(press, 420)?.hint).not.toContain('smaller');
  expect(sizeProblem(press, 420)?.hint).toContain('Ed25519');
});
