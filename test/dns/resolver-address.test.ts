import {isIP} from 'node:net';
import {expect, test} from 'vitest';
import {parseResolver} from '../../src/dns/resolver-address.ts';
import {fc} from '../support/fast-check.ts';

test.each([
  ['192.0.2.53', {address: '192.0.2.53', port: 53}],
  ['192.0.2.53:5353', {address: '192.0.2.53', port: 5353}],
  ['udp:192.0.2.53', {address: '192.0.2.53', port: 53}],
  ['2001:db8::53', {address: '2001:db8::53', port: 53}],
  ['[2001:db8::53]', {address: '2001:db8::53', port: 53}],
  ['[2001:db8::53]:5353', {address: '2001:db8::53', port: 5353}],
  ['tcp:192.0.2.53', {address: '192.0.2.53', port: 53, transport: 'tcp'}],
  ['tls:192.0.2.53', {address: '192.0.2.53', port: 853, transport: 'tls'}],
  ['tls:2001:db8::53', {address: '2001:db8::53', port: 853, transport: 'tls'}],
  [
    'tls:192.0.2.53:8853#DNS.example.net',
    {address: '192.0.2.53', port: 8853, transport: 'tls', tlsName: 'dns.example.net'},
  ],
])('%s', (text, server) => {
  expect(parseResolver(text)).toEqual({ok: true, value: server});
});

test.each([
  '',
  'dns.example.net',
  '192.0.2',
  '192.0.2.256',
  '192.0.2.53:0',
  '192.0.2.53:70000',
  ':::',
  '[::1',
  'https:192.0.2.53',
  '192.0.2.53#name',
  '1:2:3:4:5:6:7:8:9',
])('%j is no resolver', text => {
  expect(parseResolver(text)).toMatchObject({ok: false, problem: {id: 'usage.resolver'}});
});

test('every IP address is one, whatever its form', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), address => {
      expect(isIP(address)).not.toBe(0);
      expect(parseResolver(`tls:${address}`)).toMatchObject({ok: true, value: {address, port: 853}});
    }),
  );
});
