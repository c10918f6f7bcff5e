/** A resolver that answers from a table, in real DNS messages: `example.org MX` -> records. */
import {type Answer, decode, encode} from 'dns-packet';
import type {DnsPorts} from '../../src/dns/client.ts';
import {fastClock} from './world.ts';

export type Table = Readonly<Record<string, readonly string[] | 'servfail'>>;

const answerOf = (name: string, type: string, data: string): Answer => {
  const base = {name, ttl: 60};
  switch (type) {
    case 'MX': {
      const [preference, exchange] = data.split(' ');
      return {...base, type, data: {preference: Number(preference), exchange: exchange ?? ''}};
    }
    case 'TXT':
      return {...base, type, data: data.match(/[\s\S]{1,255}/g) ?? ['']};
    case 'A':
    case 'AAAA':
    case 'CNAME':
    case 'PTR':
      return {...base, type, data};
    default:
      throw new TypeError(type);
  }
};

export function tablePorts(table: Table): DnsPorts & {readonly asked: string[]} {
  const asked: string[] = [];
  const reply = async (octets: Uint8Array): Promise<Uint8Array> => {
    const query = decode(Buffer.from(octets));
    const [question] = query.questions ?? [];
    if (question === undefined) throw new TypeError('no question');
    const key = `${question.name.toLowerCase()} ${question.type}`;
    asked.push(key);
    const found = table[key];
    return encode({
      type: 'response',
      id: query.id ?? 0,
      flags: 0x8180 | (found === 'servfail' ? 2 : 0),
      questions: [question],
      answers:
        found === undefined || found === 'servfail'
          ? []
          : found.map(data => answerOf(question.name, question.type, data)),
    });
  };
  return {
    asked,
    clock: fastClock(1),
    random: {bytes: length => new Uint8Array(length)},
    dns: {
      udp: (_, query) => reply(query),
      tcp: (_, query) => reply(query),
      hostResolvers: async () => [{address: '192.0.2.53', port: 53}],
    },
  };
}
