import {describe, expect, it} from 'vitest';
import {meantNetwork} from '../../src/dns/address.ts';

describe('meantNetwork', () => {
  it.each([
    ['192.168.1.5/24', '192.168.1.0/24'],
    ['192.168.1.0/24', undefined],
    ['192.168.1.129/25', '192.168.1.128/25'],
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['10.0.0.1/32', undefined],
    ['2001:db8::1/32', '2001:db8::/32'],
    ['2001:db8::/32', undefined],
    ['::1/128', undefined],
    ['1.2.3.4', undefined],
    ['1.2.3.4/33', undefined],
    ['host.example/24', undefined],
  ])('%s means %s', (text, network) => {
    expect(meantNetwork(text)).toBe(network);
  });
});
