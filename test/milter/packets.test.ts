import {expect, test} from 'vitest';
import {
  decodeAddedHeader,
  decodeConnect,
  decodeMacros,
  decodeNegotiation,
  decodeReply,
  decodeStrings,
  encodeAddedHeader,
  encodeConnect,
  encodeHeader,
  encodeMacros,
  encodeNegotiation,
  encodePacket,
  encodeStrings,
  takePacket,
} from '../../src/milter/packets.ts';
import {fc} from '../support/fast-check.ts';

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex');
const octets = (text: string): Uint8Array => Buffer.from(text, 'hex');

test('the offer has the octets that OpenDKIM and rspamd were seen to accept', () => {
  const offer = encodePacket(encodeNegotiation({version: 6, actions: 0x1ff, protocol: 0x1fffff}));
  expect(hex(offer)).toBe('0000000d4f00000006000001ff001fffff');
});

test("OpenDKIM's own answer is read", () => {
  const taken = takePacket(octets('0000000d4f000000060000011100100702'));
  expect(taken.ok && taken.value !== undefined && decodeNegotiation(taken.value.packet)).toEqual({
    ok: true,
    value: {version: 6, actions: 0x111, protocol: 0x100702},
  });
});

test('a macro list after the negotiation is no error, a short or foreign answer is', () => {
  const full = octets('00000006000001ff000ff080000000016a00');
  expect(decodeNegotiation({command: 'O', data: full}).ok).toBe(true);
  expect(decodeNegotiation({command: 'O', data: full.subarray(0, 11)}).ok).toBe(false);
  expect(decodeNegotiation({command: 'c', data: full}).ok).toBe(false);
  expect(decodeNegotiation({command: 'O', data: octets('000000010000000000000000')}).ok).toBe(false);
  expect(decodeNegotiation({command: 'O', data: octets('000000070000000000000000')}).ok).toBe(false);
});

test.each(['', '00', '000000', '0000000563', '00000002'])('%s is not a whole packet yet', text => {
  expect(takePacket(octets(text))).toEqual({ok: true, value: undefined});
});

test.each([
  ['a length of zero', '00000000'],
  ['an SMTP greeting', hex(Buffer.from('220 mail.example.com ESMTP'))],
  ['an HTTP reply', hex(Buffer.from('HTTP/1.1 400 Bad Request'))],
  ['a length just above the limit', '00100001'],
])('%s is refused before more is awaited', (_, text) => {
  expect(takePacket(octets(text)).ok).toBe(false);
});

test('packets survive any cut of the stream', () => {
  const packet = fc.record({
    command: fc.constantFrom('O', 'c', 'h', 'L', '+'),
    data: fc.uint8Array({maxLength: 40}),
  });
  fc.assert(
    fc.property(fc.array(packet, {maxLength: 6}), fc.nat(), (packets, cut) => {
      const all = Buffer.concat(packets.map(encodePacket));
      const at = all.length === 0 ? 0 : cut % all.length;
      const seen: {command: string; data: string}[] = [];
      let rest: Uint8Array = new Uint8Array(0);
      for (const part of [all.subarray(0, at), all.subarray(at)]) {
        rest = Buffer.concat([rest, part]);
        for (;;) {
          const taken = takePacket(rest);
          if (!taken.ok) throw new Error(taken.problem.message);
          if (taken.value === undefined) break;
          seen.push({command: taken.value.packet.command, data: hex(taken.value.packet.data)});
          rest = taken.value.rest;
        }
      }
      expect(rest.length).toBe(0);
      expect(seen).toEqual(packets.map(({command, data}) => ({command, data: hex(data)})));
    }),
  );
});

test('no octets make the decoders throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({maxLength: 60}), data => {
      takePacket(data);
      decodeNegotiation({command: 'O', data});
      decodeConnect(data);
      decodeMacros(data);
      decodeReply(data);
      decodeStrings(data);
      decodeAddedHeader({command: 'i', data});
      decodeAddedHeader({command: 'h', data});
    }),
  );
});

test('strings end with NUL, both ways', () => {
  expect(hex(encodeStrings(['a', '', 'bc']))).toBe('610000626300');
  expect(decodeStrings(octets('610000626300'))).toEqual({ok: true, value: ['a', '', 'bc']});
  expect(decodeStrings(octets('6162')).ok).toBe(false);
  expect(() => encodeStrings(['a\0b'])).toThrow(TypeError);
});

test('the client goes over as family, port and address', () => {
  const four = encodeConnect({host: 'localhost', address: '127.0.0.1', port: 25});
  expect(Buffer.from(four.data).toString('latin1')).toBe('localhost\x004\x00\x19127.0.0.1\x00');
  const six = encodeConnect({host: '[::1]', address: '::1', port: 4660});
  expect(decodeConnect(six.data)).toEqual({ok: true, value: {host: '[::1]', address: '::1', port: 4660}});
  expect(decodeConnect(Buffer.from('unknown\0U'))).toEqual({
    ok: true,
    value: {host: 'unknown', address: '', port: 0},
  });
  expect(decodeConnect(Buffer.from('x\0Z')).ok).toBe(false);
  expect(decodeConnect(Buffer.from('x\x004\x00')).ok).toBe(false);
});

test('macros belong to a step', () => {
  expect(Buffer.from(encodeMacros('M', {i: 'Q1', '{auth_type}': 'PLAIN'}).data).toString('latin1')).toBe(
    'Mi\0Q1\0{auth_type}\0PLAIN\0',
  );
  expect(decodeMacros(Buffer.from('Mi\0Q1\0'))).toEqual({ok: true, value: {step: 'M', macros: {i: 'Q1'}}});
  expect(decodeMacros(Buffer.from('Mi\0')).ok).toBe(false);
  expect(decodeMacros(Buffer.from('')).ok).toBe(false);
});

test('a header value has the blank after the colon only where that was negotiated', () => {
  const field = {name: 'Subject', value: 'a\r\n b'};
  expect(Buffer.from(encodeHeader(field, true).data).toString()).toBe('Subject\0 a\n b\0');
  expect(Buffer.from(encodeHeader(field, false).data).toString()).toBe('Subject\0a\n b\0');
});

test('an added header has its place, name and value', () => {
  const inserted = {place: 'insert', index: 1, name: 'DKIM-Signature', value: 'v=1;\n\tb=x'} as const;
  expect(decodeAddedHeader(encodeAddedHeader(inserted))).toEqual({ok: true, value: inserted});
  const appended = {place: 'append', index: 0, name: 'X', value: ''} as const;
  expect(decodeAddedHeader(encodeAddedHeader(appended))).toEqual({ok: true, value: appended});
  expect(decodeAddedHeader({command: 'h', data: encodeStrings(['X'])}).ok).toBe(false);
  expect(decodeAddedHeader({command: 'h', data: encodeStrings(['X Y', 'v'])}).ok).toBe(false);
  expect(decodeAddedHeader({command: 'i', data: octets('0000')}).ok).toBe(false);
});

test('only SMTP replies are replies', () => {
  expect(decodeReply(encodeStrings(['451 4.7.1 later']))).toEqual({
    ok: true,
    value: {code: 451, text: '4.7.1 later'},
  });
  expect(decodeReply(encodeStrings(['550'])).ok).toBe(true);
  for (const wrong of ['650 x', '354 go on', '55', 'later']) {
    expect(decodeReply(encodeStrings([wrong])).ok, wrong).toBe(false);
  }
});
