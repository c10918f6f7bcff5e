/** DNS packets that lie, by the hundred thousand: the same ones for the same seed. */
import {encode} from 'dns-packet';
import {NAME, VALUE} from './world.ts';

/** Numbers below `limit`; the same sequence for the same seed (mulberry32). */
export function seeded(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return limit => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

const soa = {
  mname: 'ns1.example.org',
  rname: 'h.example.org',
  serial: 1,
  refresh: 1,
  retry: 1,
  expire: 1,
  minimum: 60,
};

/** Answers as real servers give them. */
const HONEST: readonly Buffer[] = [
  encode({
    type: 'response',
    id: 0x1234,
    flags: 0x8400,
    questions: [{type: 'TXT', name: NAME}],
    answers: [{type: 'TXT', name: NAME, ttl: 60, data: [VALUE.slice(0, 255), VALUE.slice(255)]}],
    authorities: [{type: 'NS', name: 'example.org', ttl: 60, data: 'ns1.example.org'}],
    additionals: [
      {type: 'A', name: 'ns1.example.org', ttl: 60, data: '192.0.2.1'},
      {type: 'AAAA', name: 'ns1.example.org', ttl: 60, data: '2001:db8::1'},
    ],
  }),
  encode({
    type: 'response',
    id: 0x1234,
    flags: 0x8403,
    questions: [{type: 'TXT', name: NAME}],
    authorities: [{type: 'SOA', name: 'example.org', ttl: 60, data: soa}],
  }),
  encode({
    type: 'response',
    id: 0x1234,
    flags: 0x8400,
    questions: [{type: 'TXT', name: NAME}],
    answers: [
      {type: 'CNAME', name: NAME, ttl: 60, data: 'a.example.net'},
      {type: 'MX', name: 'example.org', ttl: 60, data: {preference: 1, exchange: 'mx.example.org'}},
    ],
  }),
];

export const QUERY = encode({
  type: 'query',
  id: 0x1234,
  flags: 0,
  questions: [{type: 'TXT', name: NAME, class: 'IN'}],
});

/** What is done to an honest answer, or made up; each by what a forger or a broken server does. */
const SHAPES: readonly ((packet: Buffer, pick: (limit: number) => number) => Buffer)[] = [
  // Octets changed anywhere.
  (packet, pick) => {
    for (let left = 1 + pick(8); left > 0; left--) packet[pick(packet.length)] = pick(256);
    return packet;
  },
  // Cut short, or with something behind it.
  (packet, pick) =>
    pick(2) === 0
      ? packet.subarray(0, pick(packet.length))
      : Buffer.concat([packet, Buffer.alloc(pick(40), pick(256))]),
  // Counts that lie, up to the largest.
  (packet, pick) => {
    packet.writeUInt16BE(pick(3) === 0 ? 0xffff : pick(20), 4 + 2 * pick(4));
    return packet;
  },
  // Compression: a pointer anywhere to anywhere, to itself, forward.
  (packet, pick) => {
    const at = 12 + pick(packet.length - 14);
    packet.writeUInt16BE(0xc000 | (pick(3) === 0 ? at : pick(packet.length + 20)), at);
    return packet;
  },
  // A length of a record or a string that lies: sixteen bits anywhere after the question.
  (packet, pick) => {
    const at = 40 + pick(packet.length - 44);
    packet.writeUInt16BE(pick(2) === 0 ? 0xffff - pick(3) : pick(600), at);
    return packet;
  },
  // Sections changed about: the same records counted elsewhere.
  (packet, pick) => {
    const total = [6, 8, 10].reduce((sum, at) => sum + packet.readUInt16BE(at), 0);
    if (total > 0xffff) return packet;
    const first = pick(total + 1);
    packet.writeUInt16BE(first, 6);
    packet.writeUInt16BE(0, 8);
    packet.writeUInt16BE(total - first, 10);
    return packet;
  },
  // A header and noise.
  (packet, pick) => {
    const noise = Buffer.alloc(12 + pick(300));
    packet.copy(noise, 0, 0, 12);
    for (let at = 12; at < noise.length; at++) noise[at] = pick(256);
    return noise;
  },
  // A header full of counts and nothing but one octet repeated: root names, pointers, long labels.
  (packet, pick) => {
    const body = Buffer.alloc(12 + pick(1200), [0, 0xc0, 0x3f, 0x01, 0xff][pick(5)]);
    packet.copy(body, 0, 0, 4);
    body.writeUInt16BE(pick(0x10000), 6);
    return body;
  },
];

export function hostilePacket(pick: (limit: number) => number): Buffer {
  let packet: Buffer = Buffer.from(HONEST[pick(HONEST.length)] ?? QUERY);
  for (let layers = 1 + pick(2); layers > 0 && packet.length > 60; layers--) {
    packet = SHAPES[pick(SHAPES.length)]?.(packet, pick) ?? packet;
  }
  return packet;
}

/** Half of the packet is a chain of pointers, the other half records that each begin at its end. */
export function pointerChain(size: number): Buffer {
  const packet = Buffer.alloc(size);
  packet.writeUInt16BE(0x8400, 2);
  packet.writeUInt16BE(10, 13);
  packet.writeUInt16BE(1, 15);
  const start = 23;
  const end = start + 2 * Math.floor((Math.min(16_383, Math.floor(size / 2)) - start) / 2);
  packet.writeUInt16BE(end - start, 21);
  for (let at = start + 2; at < end; at += 2) packet.writeUInt16BE(0xc000 | (at - 2), at);
  let count = 1;
  let at = end;
  for (; at + 16 <= size; at += 16, count++) {
    packet.writeUInt16BE(0xc000 | (end - 2), at);
    packet.writeUInt16BE(1, at + 2);
    packet.writeUInt16BE(1, at + 4);
    packet.writeUInt16BE(4, at + 10);
  }
  packet.writeUInt16BE(count, 6);
  return packet.subarray(0, at);
}

/** As many records as fit, each with the longest name there is, spelled out once and pointed to by all others. */
export function manyLongNames(size: number): Buffer {
  const label = Buffer.concat([Buffer.from([1]), Buffer.from('a')]);
  const name = Buffer.concat([...Array.from({length: 120}, () => label), Buffer.from([0])]);
  const packet = Buffer.alloc(size);
  packet.writeUInt16BE(0x8400, 2);
  name.copy(packet, 12);
  let at = 12 + name.length;
  const fixed = (): void => {
    packet.writeUInt16BE(1, at);
    packet.writeUInt16BE(1, at + 2);
    packet.writeUInt16BE(4, at + 8);
    at += 14;
  };
  fixed();
  let count = 1;
  for (; at + 16 <= size; count++) {
    packet.writeUInt16BE(0xc00c, at);
    at += 2;
    fixed();
  }
  packet.writeUInt16BE(count, 6);
  return packet.subarray(0, at);
}
