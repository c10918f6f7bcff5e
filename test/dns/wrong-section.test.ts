/** Where in a message a record stands decides what it is worth: only one of the name itself, in the answer, is the record. */
import {type Answer, decode, encode, type Packet} from 'dns-packet';
import {expect, test} from 'vitest';
import {serveDns} from '../../src/demo/dns-server.ts';
import {surveyOnce} from '../../src/dns/authoritative.ts';
import type {DnsPorts} from '../../src/dns/client.ts';
import {createRandom} from '../../src/system/real/random.ts';
import {dnsName, fastClock, NAME, realTransport, VALUE} from './world.ts';

const ports: DnsPorts = {dns: realTransport, clock: fastClock(10), random: createRandom()};
const record: Answer = {
  type: 'TXT',
  name: NAME,
  ttl: 60,
  data: [VALUE.slice(0, 200), VALUE.slice(200)],
};
const elsewhere: Answer = {...record, name: 'other._domainkey.example.org'};

const statusOf = async (sections: Partial<Packet>): Promise<string | undefined> => {
  const server = await serveDns(query => {
    const {id, questions} = decode(query);
    return encode({type: 'response', id: id ?? 0, flags: 0x0400, questions: questions ?? [], ...sections});
  });
  try {
    const zone = {
      apex: dnsName('example.org'),
      primary: dnsName('ns1.example.org'),
      serial: 1,
      negativeTtlSeconds: 60,
      servers: [{name: dnsName('ns1.example.org'), address: server.address, port: server.port}],
      remarks: [],
    };
    const survey = await surveyOnce(ports, {name: NAME, expected: VALUE, zone}, {explain: false});
    return survey.servers[0]?.status;
  } finally {
    await server.close();
  }
};

test('in the answer it is the record', async () => {
  expect(await statusOf({answers: [record]})).toBe('matching');
});

test.each<[string, Partial<Packet>]>([
  ['in the authority section', {authorities: [record]}],
  ['in the additional section', {additionals: [record]}],
  ['in the answer under another name', {answers: [elsewhere]}],
  [
    'in the authority and additional sections beside another name',
    {answers: [elsewhere], authorities: [record], additionals: [record]},
  ],
])('%s it is not', async (_where, sections) => {
  expect(await statusOf(sections)).toBe('absent');
});

test('a second one in another section does not make it two', async () => {
  const other: Answer = {...record, data: ['v=DKIM1; p=AAAA']};
  expect(await statusOf({answers: [record], authorities: [other], additionals: [other]})).toBe('matching');
});
