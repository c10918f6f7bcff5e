import {describe, expect, it} from 'vitest';
import {addressOctets, isInNetwork, isPrivateAddress} from '../../src/dns/address.ts';
import {strangersFor} from '../../src/host/strangers.ts';

const told = (...texts: readonly string[]): readonly string[] => {
  const usual = new Set(strangersFor([]).map(({client}) => client.address));
  return strangersFor(texts)
    .filter(({client}) => !usual.has(client.address) || !client.name.startsWith('['))
    .map(({client: {name, address}, kind}) => `${kind} ${name.startsWith('[') ? address : name}`);
};

describe('strangersFor', () => {
  it.each<readonly [readonly string[], readonly string[]]>([
    [[], []],
    [['127.0.0.1', '::1', 'localhost', '10.0.0.0/8'], []],
    // The ends of a large network; outside of it is one more of those that are tried anyway.
    [['11.0.0.0/8'], ['anyone 11.0.0.0']],
    [['!11.0.0.0/8'], ['anyone 11.0.0.0']],
    [['[11.0.0.0]/8'], ['anyone 11.0.0.0']],
    [['12.0.112.0/22'], ['listed 12.0.112.0']],
    // Two classes more: in the part, and in the rest.
    [
      ['11.0.0.0/8', '11.4.0.0/16'],
      ['anyone 11.0.0.0', 'listed 11.4.0.0'],
    ],
    [
      ['11.0.0.0/8', '11.0.0.0/16'],
      ['anyone 11.255.255.255', 'listed 11.0.0.0'],
    ],
    [['2c0f:8000::/20'], ['anyone 2c0f:8000::']],
    [['2c0f:8000::/33'], ['listed 2c0f:8000::']],
    [['2001:4860:4860::8888'], []],
    // A single host that somebody named.
    [['11.0.0.7'], []],
    [['11.0.0.7/32'], []],
    [['::ffff:11.0.0.0/104'], ['anyone 11.0.0.0']],
    [['11.0.*'], ['anyone 11.0.9.9']],
    [['.com', '.example.com', 'mail.example.com'], ['anyone host.com']],
    [['unknown', 'localhost'], []],
    [['11.0.0.0/99', 'hash:/etc/hosts', '', '!'], []],
  ])('of %j', (texts, expected) => {
    expect([...told(...texts)].sort()).toEqual([...expected].sort());
  });

  it('leaves out who was named, and what documentation calls an example where that is listed', () => {
    const addresses = strangersFor(['203.0.113.5', '198.51.100.0/24']).map(({client, kind}) => [
      client.address,
      kind,
    ]);
    expect(addresses).not.toContainEqual(['203.0.113.5', 'anyone']);
    expect(addresses).toContainEqual(['198.51.100.77', 'listed']);
  });

  it('tries somebody of each part into which networks at random divide the internet', () => {
    let state = 20_261_130;
    const below = (limit: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * limit);
    };
    const octets = (): readonly number[] => [
      [11, 11, 63, 203][below(4)] ?? 11,
      below(3),
      below(3),
      below(256),
    ];
    const masked = (parts: readonly number[], bits: number): string =>
      parts.map((part, at) => part & (0xff00 >> Math.min(8, Math.max(0, bits - at * 8)))).join('.');
    let parts = 0;
    for (let round = 0; round < 60; round += 1) {
      const networks = Array.from({length: 1 + below(6)}, () => {
        const bits = 1 + below(31);
        return {text: masked(octets(), bits), bits};
      });
      const placeOf = (address: string): string =>
        networks
          .filter(({text, bits}) =>
            isInNetwork(
              addressOctets(address) ?? new Uint8Array(),
              addressOctets(text) ?? new Uint8Array(),
              bits,
            ),
          )
          .map(({text, bits}) => `${text}/${bits}`)
          .join(' ');
      const tried = new Set(
        strangersFor(networks.map(({text, bits}) => `${text}/${bits}`)).map(({client}) =>
          placeOf(client.address),
        ),
      );
      for (let at = 0; at < 200; at += 1) {
        const address = octets().join('.');
        if (isPrivateAddress(addressOctets(address) ?? new Uint8Array())) continue;
        parts += 1;
        expect(tried, `${address} of ${JSON.stringify(networks)}`).toContain(placeOf(address));
      }
    }
    expect(parts).toBeGreaterThan(10_000);
  });

  it('of a list of ten thousand hosts and networks stays short', () => {
    const texts = Array.from(
      {length: 10_000},
      (_, at) => `11.${at >> 8}.${at & 255}.0/${at % 2 === 0 ? 24 : 28}`,
    );
    expect(strangersFor(texts).length).toBeLessThan(20_100);
  });
});
