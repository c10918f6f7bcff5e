/**
 * DNS messages as typed values (RFC 1035 §4.1). dns-packet does the octets; what it takes on trust is checked here:
 * it follows the counts of the header and the inner lengths of a record wherever they lead.
 */
import {type Answer, type DecodedPacket, DNSSEC_OK, decode, encode} from 'dns-packet';
import {type DnsName, parseDnsName} from '../domain/names.ts';

export type QueryType = 'A' | 'AAAA' | 'CNAME' | 'MX' | 'NS' | 'PTR' | 'SOA' | 'TXT';

export interface Question {
  readonly name: DnsName;
  readonly type: QueryType;
}

interface Owned {
  /** Lower case. */
  readonly name: DnsName;
  readonly ttlSeconds: number;
}

export interface SoaRecord extends Owned {
  readonly type: 'SOA';
  readonly primary: DnsName;
  readonly serial: number;
  readonly minimumSeconds: number;
}

export interface TxtRecord extends Owned {
  readonly type: 'TXT';
  /** The character-strings as they are in the record. */
  readonly strings: readonly Uint8Array[];
  /** All strings joined without anything between them (RFC 6376 §3.6.2.2): UTF-8 where they are, else Latin-1. */
  readonly text: string;
}

export interface AddressRecord extends Owned {
  readonly type: 'A' | 'AAAA';
  readonly address: string;
}

export interface TargetRecord extends Owned {
  readonly type: 'NS' | 'CNAME' | 'DNAME' | 'MX' | 'PTR';
  readonly target: DnsName;
}

/** RFC 4034 §3; comes only where DO was set. */
export interface SignatureRecord extends Owned {
  readonly type: 'RRSIG';
  /** Type of the records that are signed: `TXT`. */
  readonly covered: string;
  /** Seconds since 1970. */
  readonly expiresAt: number;
  /** Fewer than the owner has where a wildcard was expanded (RFC 4034 §3.1.3). */
  readonly labels: number;
}

export type DnsRecord = SoaRecord | TxtRecord | AddressRecord | TargetRecord | SignatureRecord;

export type Rcode = 'NOERROR' | 'FORMERR' | 'SERVFAIL' | 'NXDOMAIN' | 'NOTIMP' | 'REFUSED' | 'OTHER';

/** A response. Records of other types, of other classes and with names that are no names are left out. */
export interface DnsMessage {
  readonly id: number;
  readonly rcode: Rcode;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  /** AD (RFC 4035 §3.2.3): the resolver has validated what it says. */
  readonly authentic: boolean;
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
}

export type Decoded =
  | {readonly ok: true; readonly message: DnsMessage}
  | {readonly ok: false; readonly reason: string};

/** Flag Day 2020: what passes everywhere without fragments. */
const UDP_PAYLOAD = 1232;
const HEADER = 12;
const RCODES: readonly Rcode[] = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];
const DNAME = 39;
const RRSIG = 46;
const TYPE_CODES: Readonly<Record<QueryType, number>> = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
};

/**
 * A query with EDNS(0) (RFC 6891) where `edns`.
 * @param spelling the name as it goes out: the case of each letter may be random (0x20).
 */
export function encodeQuery(
  question: Question,
  options: {
    id: number;
    spelling: string;
    recursion: boolean;
    edns: boolean;
    /** Sets DO, and AD to hear whether a resolver validated (RFC 6840 §5.7). */
    dnssec?: boolean;
    /** Sets CD: the answer even where it is bogus. */
    unchecked?: boolean;
  },
): Uint8Array {
  return encode({
    type: 'query',
    id: options.id,
    flags:
      (options.recursion ? 0x0100 : 0) |
      (options.dnssec === true ? 0x0020 : 0) |
      (options.unchecked === true ? 0x0010 : 0),
    questions: [{type: question.type, name: options.spelling === '' ? '.' : options.spelling, class: 'IN'}],
    additionals: options.edns
      ? [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize: UDP_PAYLOAD,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: options.dnssec === true ? DNSSEC_OK : 0,
            flag_do: options.dnssec === true,
            options: [],
          },
        ]
      : [],
  });
}

/** The letters of a name in random case: 32 octets of `bits` are enough for any name (draft-vixie-dnsext-dns0x20). */
export function randomCase(name: string, bits: Uint8Array): string {
  return [...name]
    .map((letter, at) => (((bits[at >> 3] ?? 0) >> (at & 7)) & 1 ? letter.toUpperCase() : letter))
    .join('');
}

export type Match = 'yes' | 'other-case' | 'bare' | 'no';

/**
 * Whether a datagram answers the query: ID, QR and the question octet by octet. `other-case`: all of it but the case of
 * the letters (a forger, or one of the few servers that change it). `bare`: the ID fits and an error code came without
 * a question, as servers do that understand nothing of the query.
 */
export function matchAnswer(answer: Uint8Array, query: Uint8Array): Match {
  const got = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength);
  const sent = Buffer.from(query.buffer, query.byteOffset, query.byteLength);
  if (got.length < HEADER || got.readUInt16BE(0) !== sent.readUInt16BE(0)) return 'no';
  const flags = got.readUInt16BE(2);
  if ((flags & 0x8000) === 0 || (flags & 0x7800) !== 0) return 'no';
  const count = got.readUInt16BE(4);
  if (count === 0) return (flags & 0x000f) === 0 ? 'no' : 'bare';
  if (count !== 1) return 'no';
  const end = endOfQuestion(sent);
  const question = got.subarray(HEADER, end);
  const asked = sent.subarray(HEADER, end);
  if (question.equals(asked)) return 'yes';
  return lowered(question).equals(lowered(asked)) ? 'other-case' : 'no';
}

const lowered = (octets: Uint8Array): Buffer =>
  Buffer.from(octets.map(octet => (octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet)));

/** Of our own query, whose name is never compressed. */
function endOfQuestion(query: Buffer): number {
  let at = HEADER;
  while ((query[at] ?? 0) !== 0) at += (query[at] ?? 0) + 1;
  return at + 5;
}

/** Decodes a response. Never throws: a packet that lies about its lengths is `ok: false` with the reason. */
export function decodeMessage(octets: Uint8Array): Decoded {
  const buffer = Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);
  const broken = brokenStructure(buffer);
  if (broken !== undefined) return {ok: false, reason: broken};
  let packet: DecodedPacket;
  try {
    packet = decode(buffer);
  } catch (error) {
    return {ok: false, reason: error instanceof Error ? error.message : 'not a DNS message'};
  }
  return {
    ok: true,
    message: {
      id: packet.id ?? 0,
      rcode: RCODES[buffer.readUInt16BE(2) & 0x000f] ?? 'OTHER',
      authoritative: packet.flag_aa,
      truncated: packet.flag_tc,
      authentic: packet.flag_ad,
      answers: (packet.answers ?? []).flatMap(typed),
      authorities: (packet.authorities ?? []).flatMap(typed),
      additionals: (packet.additionals ?? []).flatMap(typed),
    },
  };
}

/** Answers to our questions have a few dozen at most; 64 KiB have room for thousands of them, which only cost time. */
const MAX_RECORDS = 1000;

/** Walks the sections by their own lengths; says what is wrong, or undefined. Linear in the size of the packet. */
function brokenStructure(buffer: Buffer): string | undefined {
  if (buffer.length < HEADER) return 'shorter than a header';
  let at: number | undefined = HEADER;
  for (let left = buffer.readUInt16BE(4); left > 0; left--) {
    at = endOfName(buffer, at);
    if (at === undefined || at + 4 > buffer.length) return 'the question section runs over the end';
    at += 4;
  }
  const records = buffer.readUInt16BE(6) + buffer.readUInt16BE(8) + buffer.readUInt16BE(10);
  if (records > MAX_RECORDS) return 'more records than any answer has';
  for (let left = records; left > 0; left--) {
    at = endOfName(buffer, at);
    if (at === undefined || at + 10 > buffer.length) return 'fewer records than the header says';
    const type = buffer.readUInt16BE(at);
    const start: number = at + 10;
    const end: number = start + buffer.readUInt16BE(at + 8);
    if (end > buffer.length) return 'a record runs over the end';
    if (!fillsExactly(buffer, type, start, end)) return 'the inner lengths of a record do not add up';
    at = end;
  }
  return undefined;
}

/** Where the name at `at` ends in place (a compression pointer ends it), or undefined. */
function endOfName(buffer: Buffer, from: number): number | undefined {
  let at = from;
  for (;;) {
    const length = buffer[at];
    if (length === undefined) return undefined;
    if (length === 0) return at + 1;
    if ((length & 0xc0) === 0xc0) return endsSoon(buffer, at) ? at + 2 : undefined;
    if ((length & 0xc0) !== 0) return undefined;
    at += length + 1;
  }
}

/** Pointers that one name may go through; senders that compress at all need one. */
const MAX_POINTERS = 16;
/** RFC 1035 §3.1: a name has 127 labels at most. */
const MAX_LABELS = 127;

/**
 * Whether the name goes on over few pointers. dns-packet follows any number of them: a long chain, pointed to by each of
 * many records, would take time in the square of the packet's size.
 */
function endsSoon(buffer: Buffer, pointer: number): boolean {
  let at = pointer;
  let labels = 0;
  for (let pointers = 0; pointers <= MAX_POINTERS; ) {
    const length = buffer[at];
    if (length === undefined || (length & 0xc0) === 0x80 || (length & 0xc0) === 0x40) return false;
    if (length === 0) return true;
    if ((length & 0xc0) === 0xc0) {
      const low = buffer[at + 1];
      if (low === undefined) return false;
      at = ((length & 0x3f) << 8) | low;
      pointers++;
    } else {
      at += length + 1;
      if (++labels > MAX_LABELS) return false;
    }
  }
  return false;
}

/** dns-packet reads these types without looking at RDLENGTH and would go on at the wrong place. */
function fillsExactly(buffer: Buffer, type: number, start: number, end: number): boolean {
  if (type === TYPE_CODES.A) return end - start === 4;
  if (type === TYPE_CODES.AAAA) return end - start === 16;
  if (type === TYPE_CODES.NS || type === TYPE_CODES.CNAME || type === TYPE_CODES.PTR || type === DNAME) {
    return endOfName(buffer, start) === end;
  }
  if (type === TYPE_CODES.MX) return endOfName(buffer, start + 2) === end;
  if (type === RRSIG) {
    const signer = endOfName(buffer, start + 18);
    return signer !== undefined && signer <= end;
  }
  if (type === TYPE_CODES.SOA) {
    const middle = endOfName(buffer, start);
    const last = middle === undefined ? undefined : endOfName(buffer, middle);
    return last !== undefined && last + 20 === end;
  }
  if (type === TYPE_CODES.TXT) {
    let at = start;
    while (at < end) at += (buffer[at] ?? 0) + 1;
    return at === end;
  }
  return true;
}

function typed(answer: Answer): readonly DnsRecord[] {
  if (answer.type === 'OPT' || ('class' in answer && answer.class !== 'IN')) return [];
  const name = parseDnsName(answer.name);
  if (!name.ok) return [];
  // RFC 2181 §8: a TTL with the high bit set is zero.
  const raw = 'ttl' in answer ? (answer.ttl ?? 0) : 0;
  const owned: Owned = {name: name.value, ttlSeconds: raw > 0x7fff_ffff ? 0 : raw};
  switch (answer.type) {
    case 'A':
    case 'AAAA':
      return [{...owned, type: answer.type, address: answer.data}];
    case 'NS':
    case 'CNAME':
    case 'DNAME':
    case 'PTR':
      return pointing(owned, answer.type, answer.data);
    case 'MX':
      return pointing(owned, answer.type, answer.data.exchange);
    case 'RRSIG': {
      const {typeCovered, expiration, labels} = answer.data;
      return [{...owned, type: 'RRSIG', covered: typeCovered, expiresAt: expiration, labels}];
    }
    case 'SOA': {
      const primary = parseDnsName(answer.data.mname);
      return [
        {
          ...owned,
          type: 'SOA',
          primary: primary.ok ? primary.value : ('' as DnsName),
          serial: answer.data.serial ?? 0,
          minimumSeconds: answer.data.minimum ?? 0,
        },
      ];
    }
    case 'TXT': {
      const strings = [answer.data].flat().map(part => (typeof part === 'string' ? Buffer.from(part) : part));
      return [{...owned, type: 'TXT', strings, text: asText(Buffer.concat(strings))}];
    }
    default:
      return [];
  }
}

function pointing(owned: Owned, type: TargetRecord['type'], name: string): readonly DnsRecord[] {
  const target = parseDnsName(name);
  return target.ok ? [{...owned, type, target: target.value}] : [];
}

/** Octets as text: UTF-8 where they are valid UTF-8, else one character an octet. */
function asText(octets: Buffer): string {
  try {
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(octets);
  } catch {
    return octets.toString('latin1');
  }
}
