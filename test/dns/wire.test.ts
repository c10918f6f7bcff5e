import {encode} from 'dns-packet';
import {expect, test} from 'vitest';
import {decodeMessage, encodeQuery, matchAnswer, randomCase} from '../../src/dns/wire.ts';
import {fc} from '../support/fast-check.ts';
import {dnsName} from './world.ts';

const packet = encode({
  type: 'response',
  id: 7,
  flags: 0x0400,
  questions: [{type: 'TXT', name: 'a.example.org'}],
  answers: [
    {type: 'TXT', name: 'A.example.org', ttl: 60, data: ['v=DKIM1; ', 'p=AAAA']},
    {type: 'A', name: 'a.example.org', ttl: 0x8000_0001, data: '192.0.2.1'},
    {type: 'AAAA', name: 'a.example.org', ttl: 60, data: '2001:db8::1'},
    {type: 'HINFO', name: 'a.example.org', ttl: 60, data: {cpu: 'a', os: 'b'}},
  ],
  authorities: [
    {
      type: 'SOA',
      name: 'example.org',
      ttl: 300,
      data: {mname: 'ns1.example.org', rname: 'h.example.org', serial: 5, minimum: 60},
    },
    {type: 'NS', name: 'example.org', ttl: 300, data: 'NS1.example.org'},
  ],
});

test('an answer as typed values: lower case, strings joined, other types left out', () => {
  const decoded = decodeMessage(packet);
  expect(decoded).toMatchObject({
    ok: true,
    message: {
      id: 7,
      rcode: 'NOERROR',
      authoritative: true,
      answers: [
        {type: 'TXT', name: 'a.example.org', ttlSeconds: 60, text: 'v=DKIM1; p=AAAA'},
        // RFC 2181 §8
        {type: 'A', ttlSeconds: 0, address: '192.0.2.1'},
        {type: 'AAAA', address: '2001:db8::1'},
      ],
      authorities: [
        {type: 'SOA', primary: 'ns1.example.org', serial: 5, minimumSeconds: 60},
        {type: 'NS', target: 'ns1.example.org'},
      ],
    },
  });
});

test('text that is no UTF-8 keeps every octet', () => {
  const octets = encode({
    type: 'response',
    answers: [{type: 'TXT', name: 'a.org', data: [Buffer.from([0xff, 0x22]), Buffer.from('“')]}],
  });
  const decoded = decodeMessage(octets);
  const text =
    decoded.ok && decoded.message.answers[0]?.type === 'TXT' ? decoded.message.answers[0].text : '';
  expect([...text].map(character => character.charCodeAt(0))).toEqual([0xff, 0x22, 0xe2, 0x80, 0x9c]);
});

test.each([
  [
    'an address of three octets',
    (octets: Buffer) => octets.writeUInt16BE(3, octets.indexOf(Buffer.from([0, 4, 192, 0, 2, 1]))),
  ],
  ['more answers than there are', (octets: Buffer) => octets.writeUInt16BE(65_535, 6)],
  [
    'a string longer than its record',
    (octets: Buffer) => octets.writeUInt8(255, octets.indexOf('v=DKIM1') - 1),
  ],
  ['a name that points to itself', (octets: Buffer) => octets.writeUInt16BE(0xc00c, 12)],
])('%s is refused with a reason', (_, spoil) => {
  const octets = Buffer.from(packet);
  spoil(octets);
  expect(decodeMessage(octets)).toEqual({ok: false, reason: expect.any(String)});
});

test('a record that is longer than its content is refused', () => {
  const octets = encode({type: 'response', answers: [{type: 'A', name: 'a.org', data: '192.0.2.1'}]});
  const longer = Buffer.concat([octets, Buffer.from([9])]);
  longer.writeUInt16BE(5, octets.length - 6);
  expect(decodeMessage(octets).ok).toBe(true);
  expect(decodeMessage(longer)).toEqual({
    ok: false,
    reason: 'the inner lengths of a record do not add up',
  });
});

test('whatever comes, decoding is a value and matching a word', () => {
  const query = encodeQuery(
    {name: dnsName('a.example.org'), type: 'TXT'},
    {id: 7, spelling: 'a.example.org', recursion: false, edns: true},
  );
  fc.assert(
    fc.property(fc.uint8Array({maxLength: 300}), octets => {
      expect(typeof decodeMessage(octets).ok).toBe('boolean');
      expect(['yes', 'other-case', 'bare', 'no']).toContain(matchAnswer(octets, query));
    }),
    {numRuns: 2000},
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(packet.length - 1), fc.nat(255)), {minLength: 1, maxLength: 6}),
      fc.nat(packet.length),
      (changes, length) => {
        const octets = Buffer.from(packet);
        for (const [at, value] of changes) octets[at] = value;
        expect(typeof decodeMessage(octets.subarray(0, length)).ok).toBe('boolean');
      },
    ),
    {numRuns: 5000},
  );
});

test('random case changes letters only, and all of it comes from the bits', () => {
  const name = 'sel-1._domainkey.example.org';
  expect(randomCase(name, new Uint8Array(32))).toBe(name);
  expect(randomCase(name, new Uint8Array(32).fill(255))).toBe(name.toUpperCase());
  expect(randomCase(name, new Uint8Array(32).fill(0b0101_0101)).toLowerCase()).toBe(name);
});
