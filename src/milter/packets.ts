/**
 * The packets of the milter protocol, version 2 to 6: u32 length of what follows, one command octet, data. Text is
 * carried as latin1, so that every octet survives; strings end with NUL. Source: sendmail's libmilter/mfdef.h; what mail
 * servers and signers make of it: docs/explanation/daemons.
 */
import {fail, ok, problem, type Result} from '../domain/result.ts';

export interface Packet {
  /** One character, as `O` or `h`. */
  readonly command: string;
  readonly data: Uint8Array;
}

/** Longest body chunk a milter must take (MILTER_CHUNK_SIZE). */
export const CHUNK_OCTETS = 65_535;

/**
 * Longest packet that is believed. Much more than libmilter sends, much less than what the first octets of an SMTP
 * or HTTP greeting would mean as a length.
 */
const MAX_PACKET_OCTETS = 1_048_576;

export const MILTER_VERSION = 6;

/** What a milter may change (SMFIF_*). */
export const actions = {
  addHeaders: 0x1,
  changeBody: 0x2,
  addRecipients: 0x4,
  deleteRecipients: 0x8,
  changeHeaders: 0x10,
  quarantine: 0x20,
  changeFrom: 0x40,
  addRecipientsWithArguments: 0x80,
  setMacroList: 0x100,
  all: 0x1ff,
} as const;

/** Which steps a milter does not want (no...) or does not answer (silent...), SMFIP_*. */
export const protocol = {
  noConnect: 0x1,
  noHelo: 0x2,
  noMail: 0x4,
  noRcpt: 0x8,
  noBody: 0x10,
  noHeaders: 0x20,
  noEndOfHeaders: 0x40,
  silentHeader: 0x80,
  noUnknown: 0x100,
  noData: 0x200,
  /** The milter may answer `s`: no more body chunks. */
  skip: 0x400,
  rejectedRecipients: 0x800,
  silentConnect: 0x1000,
  silentHelo: 0x2000,
  silentMail: 0x4000,
  silentRcpt: 0x8000,
  silentData: 0x1_0000,
  silentUnknown: 0x2_0000,
  silentEndOfHeaders: 0x4_0000,
  silentBody: 0x8_0000,
  /** Header values go over with the blank that follows the colon. */
  leadingSpace: 0x10_0000,
  all: 0x1f_ffff,
} as const;

export interface Negotiation {
  readonly version: number;
  readonly actions: number;
  readonly protocol: number;
}

const malformed = (what: string): Result<never> =>
  fail(problem('milter.malformed', `${what}.`, 'The peer does not keep to the milter protocol.'));

/** One packet as octets. */
export function encodePacket(packet: Packet): Uint8Array {
  const octets = Buffer.alloc(5 + packet.data.length);
  octets.writeUInt32BE(packet.data.length + 1, 0);
  octets.write(packet.command, 4, 1, 'latin1');
  octets.set(packet.data, 5);
  return octets;
}

/**
 * Takes the first whole packet from `octets`. The value is undefined where more octets are needed; a length of zero
 * or above `limit` is refused at once, before anything is waited for.
 */
export function takePacket(
  octets: Uint8Array,
  limit: number = MAX_PACKET_OCTETS,
): Result<{readonly packet: Packet; readonly rest: Uint8Array} | undefined> {
  if (octets.length < 4) return ok(undefined);
  const length = Buffer.from(octets.buffer, octets.byteOffset, 4).readUInt32BE(0);
  if (length === 0) return malformed('A packet of length 0 was received');
  if (length > limit) return malformed(`A packet claims to have ${length} octets`);
  if (octets.length < 4 + length) return ok(undefined);
  return ok({
    packet: {command: String.fromCharCode(octets[4] ?? 0), data: octets.slice(5, 4 + length)},
    rest: octets.subarray(4 + length),
  });
}

/** Strings of a packet, each ended by NUL. A value must not contain one. */
export function encodeStrings(values: readonly string[]): Uint8Array {
  for (const value of values) {
    if (value.includes('\0')) throw new TypeError('a milter string cannot contain NUL');
  }
  return Buffer.from(values.map(value => `${value}\0`).join(''), 'latin1');
}

/** Every NUL-terminated string; data after the last NUL is an error. */
export function decodeStrings(data: Uint8Array): Result<readonly string[]> {
  if (data.length === 0) return ok([]);
  const text = Buffer.from(data).toString('latin1');
  if (!text.endsWith('\0')) return malformed('A string without its end was received');
  return ok(text.slice(0, -1).split('\0'));
}

/** Writes SMFIC_OPTNEG: version, actions and protocol steps. */
export function encodeNegotiation(value: Negotiation): Packet {
  const data = Buffer.alloc(12);
  data.writeUInt32BE(value.version, 0);
  data.writeUInt32BE(value.actions, 4);
  data.writeUInt32BE(value.protocol, 8);
  return {command: 'O', data};
}

/** Reads SMFIC_OPTNEG. A list of wanted macros may follow the three numbers; it changes nothing for a probe. */
export function decodeNegotiation(packet: Packet): Result<Negotiation> {
  if (packet.command !== 'O') return malformed('The negotiation was not answered');
  if (packet.data.length < 12) return malformed('The negotiation is too short');
  const data = Buffer.from(packet.data);
  const version = data.readUInt32BE(0);
  if (version < 2 || version > MILTER_VERSION) return malformed(`Milter version ${version} is unknown`);
  return ok({version, actions: data.readUInt32BE(4), protocol: data.readUInt32BE(8)});
}

export interface HeaderField {
  readonly name: string;
  /** What follows the colon and its blank; folded lines are joined by LF or CRLF. */
  readonly value: string;
}

/** `L`: one header field on its way to the milter. Lines inside a value are joined by LF, as in sendmail. */
export function encodeHeader(field: HeaderField, leadingSpace: boolean): Packet {
  const value = field.value.replaceAll('\r\n', '\n');
  return {command: 'L', data: encodeStrings([field.name, leadingSpace ? ` ${value}` : value])};
}

/** `C`: the client. `family` is 4, 6, L (unix) or U (unknown); port and address are left out for U. */
export function encodeConnect(client: {
  readonly host: string;
  readonly address: string;
  readonly port: number;
}): Packet {
  const family = client.address.includes(':') ? '6' : '4';
  const port = Buffer.alloc(2);
  port.writeUInt16BE(client.port, 0);
  const data = Buffer.concat([
    encodeStrings([client.host]),
    Buffer.from(family, 'latin1'),
    port,
    encodeStrings([client.address]),
  ]);
  return {command: 'C', data};
}

export interface ConnectedClient {
  readonly host: string;
  /** '' where the family is unknown. */
  readonly address: string;
  readonly port: number;
}

/** Reads the body of SMFIC_CONNECT: host name, address family, port and address. */
export function decodeConnect(data: Uint8Array): Result<ConnectedClient> {
  const octets = Buffer.from(data);
  const end = octets.indexOf(0);
  if (end < 0 || end + 1 >= octets.length) return malformed('The client is not complete');
  const host = octets.toString('latin1', 0, end);
  const family = String.fromCharCode(octets[end + 1] ?? 0);
  if (family === 'U') return ok({host, address: '', port: 0});
  if (!'46L'.includes(family)) return malformed(`Address family ${JSON.stringify(family)} is unknown`);
  if (octets.length < end + 5 || octets.at(-1) !== 0) return malformed('The client is not complete');
  return ok({
    host,
    port: octets.readUInt16BE(end + 2),
    address: octets.toString('latin1', end + 4, octets.length - 1),
  });
}

/** `D`: macros for the step whose command letter is given. */
export function encodeMacros(step: string, macros: Readonly<Record<string, string>>): Packet {
  return {
    command: 'D',
    data: Buffer.concat([Buffer.from(step, 'latin1'), encodeStrings(Object.entries(macros).flat())]),
  };
}

/** Reads the body of SMFIC_MACRO: the step it is for, then names and values. */
export function decodeMacros(
  data: Uint8Array,
): Result<{readonly step: string; readonly macros: Readonly<Record<string, string>>}> {
  if (data.length === 0) return malformed('Macros without a step were received');
  const strings = decodeStrings(data.subarray(1));
  if (!strings.ok) return strings;
  if (strings.value.length % 2 !== 0) return malformed('A macro without a value was received');
  const macros: Record<string, string> = {};
  for (let index = 0; index < strings.value.length; index += 2) {
    macros[strings.value[index] ?? ''] = strings.value[index + 1] ?? '';
  }
  return ok({step: String.fromCharCode(data[0] ?? 0), macros});
}

/** A header field that a milter adds: `i` at a place (0 and 1 are the top), `h` at the end. */
export interface AddedHeader {
  readonly place: 'insert' | 'append';
  readonly index: number;
  readonly name: string;
  /** Exactly as it came; with `leadingSpace` it brings the blank after the colon itself. */
  readonly value: string;
}

/** Writes SMFIR_ADDHEADER or SMFIR_INSHEADER, as the place says. */
export function encodeAddedHeader(header: AddedHeader): Packet {
  const strings = encodeStrings([header.name, header.value]);
  if (header.place === 'append') return {command: 'h', data: strings};
  const index = Buffer.alloc(4);
  index.writeUInt32BE(header.index, 0);
  return {command: 'i', data: Buffer.concat([index, strings])};
}

/** Reads `i` or `h`. */
export function decodeAddedHeader(packet: Packet): Result<AddedHeader> {
  const inserted = packet.command === 'i';
  if (inserted && packet.data.length < 4) return malformed('An added header has no place');
  const strings = decodeStrings(inserted ? packet.data.subarray(4) : packet.data);
  if (!strings.ok) return strings;
  const [name, value, ...more] = strings.value;
  if (name === undefined || value === undefined || more.length > 0 || !/^[!-9;-~]+$/.test(name)) {
    return malformed('An added header is not a name and a value');
  }
  return ok({
    place: inserted ? 'insert' : 'append',
    index: inserted ? Buffer.from(packet.data).readUInt32BE(0) : 0,
    name,
    value,
  });
}

/** `y`: an SMTP reply, one or several lines. */
export function decodeReply(data: Uint8Array): Result<{readonly code: number; readonly text: string}> {
  const strings = decodeStrings(data);
  if (!strings.ok) return strings;
  const match = /^([245]\d\d)(?:[ -](.*))?$/s.exec(strings.value[0] ?? '');
  if (strings.value.length !== 1 || match === null) return malformed('A reply is not an SMTP reply');
  return ok({code: Number(match[1]), text: match[2] ?? ''});
}
