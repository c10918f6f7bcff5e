/** The message that is signed for the proof: harmless, short, ASCII, and recognisable by its token. */
import type {HeaderField} from '../milter/packets.ts';
import type {Random} from '../system/ports.ts';

export interface ProofMail {
  /** `waxseal-` and 16 hex digits: in the recipient, the Message-ID and the body. */
  readonly token: string;
  readonly from: string;
  readonly recipient: string;
  readonly headers: readonly HeaderField[];
  /** CRLF lines. */
  readonly body: Uint8Array;
}

/**
 * Where proof messages are addressed: the limited broadcast address (RFC 919 §7) as a domain literal. Linux refuses a
 * TCP connection to it at once (ENETUNREACH) whatever the routing table says, so the message is deferred and no packet
 * leaves the host. An address of TEST-NET-1 would be sent to the default gateway, where something may answer.
 */
export const UNREACHABLE_LITERAL = '[255.255.255.255]';

export const proofToken = (random: Random): string =>
  `waxseal-${Buffer.from(random.bytes(8)).toString('hex')}`;

/** Builds the message. `postmaster` exists in every domain (RFC 5321 §4.5.1), so that no sender check refuses it. */
export function composeProof(
  token: string,
  domain: string,
  now: Date,
  from: string = `postmaster@${domain}`,
): ProofMail {
  const recipient = `${token}@${UNREACHABLE_LITERAL}`;
  return {
    token,
    from,
    recipient,
    headers: [
      {name: 'From', value: from},
      {name: 'To', value: recipient},
      {name: 'Subject', value: 'DKIM signing test'},
      {name: 'Date', value: mailDate(now)},
      {name: 'Message-ID', value: `<${token}@${domain}>`},
      // RFC 3834 §5: no vacation notice, should it ever reach a mailbox.
      {name: 'Auto-Submitted', value: 'auto-generated'},
    ],
    body: Buffer.from(
      [
        'waxseal sends this message to itself to see whether it is signed.',
        'It is never delivered and can be deleted.',
        '',
        token,
        '',
      ].join('\r\n'),
    ),
  };
}

/** The message as octets with CRLF line ends (RFC 5322 §2.3). */
export function octetsOf(mail: ProofMail): Uint8Array {
  const header = mail.headers.map(field => `${field.name}: ${field.value}\r\n`).join('');
  return Buffer.concat([Buffer.from(`${header}\r\n`), mail.body]);
}

/** Date of RFC 5322 §3.3 in UTC: `Sat, 21 Nov 2026 03:08:06 +0000`. */
export const mailDate = (date: Date): string => date.toUTCString().replace('GMT', '+0000');
