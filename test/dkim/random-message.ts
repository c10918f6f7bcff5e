/** What in a message is outside what mail may be, and known to be treated differently by one peer or another. */
export type Trait =
  | 'bare-line-end'
  | 'vertical-white'
  | 'no-final-crlf'
  | 'nul'
  | 'blank-tail'
  | '8-bit-header'
  | 'odd-name';

export interface RandomMessage {
  readonly octets: Buffer;
  readonly traits: ReadonlySet<Trait>;
}

/**
 * Random messages: MIME, 8-bit, bare CR and LF, empty bodies, trailing white space, very long lines, odd folding.
 *
 * @param header `counted`: with a Date, and each field as often as RFC 5322 §3.6 allows; `any`: repeated at will
 */
export function randomMessage(random: () => number, header: 'any' | 'counted' = 'any'): RandomMessage {
  const below = (limit: number): number => Math.floor(random() * limit);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const traits = new Set<Trait>();
  const wild = random() < 0.15;

  const word = (): string => {
    if (random() < 0.03) {
      traits.add('8-bit-header');
      return pick(['Zoë', 'naïve', 'äöü', '日本']);
    }
    return pick([
      'hello',
      'a',
      'Re:',
      'b=x;',
      '=?utf-8?q?caf=C3=A9?=',
      '"quoted  text"',
      '(comment)',
      'x'.repeat(1 + below(90)),
      ';',
      'v=1',
    ]);
  };
  const fold = (): string =>
    pick([' ', ' ', ' ', '  ', '\t', ' \t', '\r\n ', '\r\n\t', '\r\n \t ', ' \r\n ']);
  const value = (): string => {
    let text = pick(['', ' ', ' ', ' ', '\t', '  ']);
    for (let count = below(12); count >= 0; count--) text += word() + (count > 0 ? fold() : '');
    return text + pick(['', '', '', ' ', '\t ']);
  };
  const address = (): string =>
    pick([
      'Ann <ann@example.org>',
      'bob@dest.example',
      '"Carol, C."\r\n <carol@dest.example>',
      'a@b.example,\r\n\tc@d.example',
    ]);

  const fields = [`From: ${address()}`];
  if (header === 'counted') fields.push('Date: Sun, 15 Jun 2025 15:06:40 +0000');
  const used = new Set(['date']);
  const others = [
    'To',
    'Cc',
    'Subject',
    'Date',
    'Message-ID',
    'Received',
    'X-Test',
    'MIME-Version',
    'Reply-To',
    'List-ID',
    'SUBJECT',
    'References',
    'In-Reply-To',
  ];
  for (let count = below(12); count > 0; count--) {
    const name = pick(others);
    if (header === 'counted' && !/^(?:Received|X-Test)$/.test(name)) {
      if (used.has(name.toLowerCase())) continue;
      used.add(name.toLowerCase());
    }
    fields.splice(
      below(fields.length + 1),
      0,
      `${name}:${/^(?:To|Cc|Reply-To)$/.test(name) ? ` ${address()}` : value()}`,
    );
  }

  const line = (): string => {
    const kind = random();
    if (kind < 0.2) return pick(['', '', ' ', '\t', '  \t ', '.', '..', '-- ', '>From x']);
    if (kind < 0.3) return Buffer.from(Array.from({length: 57}, () => below(256))).toString('base64');
    if (kind < 0.33) return pick(['x', 'word ', ' y\t']).repeat(500 + below(500));
    let text = pick(['', '', ' ', '\t']);
    for (let count = below(12); count > 0; count--) {
      text +=
        pick(['lorem', 'ipsum', 'é', 'ü', '=20', '日本', '<p>', 'a', '\xa0', '']) +
        pick([' ', ' ', '  ', '\t', ' \t ', '']);
    }
    return text + pick(['', '', '', ' ', '\t', ' \t']);
  };

  let body = '';
  const kind = random();
  if (kind < 0.05) body = '';
  else if (kind < 0.1) body = '\r\n'.repeat(1 + below(4));
  else {
    if (kind < 0.3) {
      const boundary = 'b1_0123456789';
      fields.push(`Content-Type: multipart/mixed;\r\n\tboundary="${boundary}"`);
      body = `--${boundary}\r\nContent-Type: text/plain\r\n\r\n`;
    }
    for (let count = below(30); count >= 0; count--) body += `${line()}\r\n`;
    body += '\r\n'.repeat(pick([0, 0, 0, 1, 3]));
    if (wild) {
      if (random() < 0.4) body = body.replace(/\r\n$/, '');
      if (random() < 0.3) body += pick([' ', '\t ', 'x ']);
      if (random() < 0.4) {
        const at = below(body.length + 1);
        body = body.slice(0, at) + pick(['\r', '\n', '\n\n', '\r\r\n', ' \n', '\n ']) + body.slice(at);
        traits.add('bare-line-end');
      }
      if (random() < 0.2) {
        body = body.replace(' ', pick(['\v', '\f', ' \v ']));
        traits.add('vertical-white');
      }
      if (random() < 0.1) {
        body = `\0${body}`;
        traits.add('nul');
      }
    }
  }
  if (wild && random() < 0.1) {
    fields.push('X-Odd : space before the colon');
    traits.add('odd-name');
  }
  if (body !== '' && !body.endsWith('\r\n')) traits.add(/[ \t]$/.test(body) ? 'blank-tail' : 'no-final-crlf');
  return {octets: Buffer.from(`${fields.join('\r\n')}\r\n\r\n${body}`, 'utf8'), traits};
}
