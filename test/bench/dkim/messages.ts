/** Bodies to measure with. `text`: short lines as people and mailers write them, with indentation, doubled blanks and blanks at line ends. `mime`: base64. */
export type Kind = 'text' | 'mime';

const HEADER = [
  'Received: from mail.example.net (mail.example.net [192.0.2.1])\r\n\tby mx.example.org (Postfix) with ESMTPS id 4ABC\r\n\tfor <bob@example.org>; Sun, 15 Jun 2025 15:06:40 +0000 (UTC)',
  'From: "Ann Author" <ann@example.org>',
  'To: Bob <bob@dest.example>, Carol <carol@dest.example>',
  'Cc: list@dest.example',
  'Subject: Minutes of the meeting, with the numbers   that were asked for',
  'Date: Sun, 15 Jun 2025 15:06:40 +0000',
  'Message-ID: <20250615150640.1@example.org>',
  'In-Reply-To: <20250614090000.7@dest.example>',
  'References: <20250613080000.3@dest.example>\r\n <20250614090000.7@dest.example>',
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: 8bit',
  'User-Agent: Example/1.0',
  '',
  '',
].join('\r\n');

const SENTENCES = [
  'Dear all,',
  '',
  'thank you for coming. Here is what we agreed on; please correct me where I am wrong.  ',
  '  1. The old key goes out of use at the end of the month,  not before.',
  '  2. Bob looks after the zone, and Carol\tafter the mail host.',
  '    <td class="total">  1 234,56 </td>',
  'Nobody has to do anything until the record is seen everywhere.',
  'Regards, Ann ',
];

/** A block of body to repeat, about 64 KiB. */
export function bodyBlock(kind: Kind): Buffer {
  const lines: string[] = [];
  let length = 0;
  for (let at = 0; length < 65_536; at++) {
    const line =
      kind === 'text'
        ? (SENTENCES[at % SENTENCES.length] ?? '')
        : Buffer.from(Array.from({length: 57}, (_, index) => (index * 37 + at * 11) & 0xff)).toString(
            'base64',
          );
    lines.push(line);
    length += line.length + 2;
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1');
}

export const header = (): Buffer => Buffer.from(HEADER, 'latin1');

/** A message of about `size` octets in pieces, without having it in memory. */
export function* messagePieces(kind: Kind, size: number): Generator<Buffer> {
  const top = header();
  const block = bodyBlock(kind);
  yield top;
  for (let left = size - top.length; left > 0; left -= block.length)
    yield block.subarray(0, Math.min(left, block.length));
}

/** The same message whole. */
export const message = (kind: Kind, size: number): Buffer => Buffer.concat([...messagePieces(kind, size)]);

/** Pieces of 64 KiB of a message in memory, as a socket or a file would give them. */
export function* cut(octets: Buffer): Generator<Buffer> {
  for (let at = 0; at < octets.length; at += 65_536) yield octets.subarray(at, at + 65_536);
}
