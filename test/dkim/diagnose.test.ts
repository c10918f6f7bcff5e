import {describe, expect, it} from 'vitest';
import {type SignOptions, signMessageSync, verifyMessage} from '../../src/dkim/index.ts';
import {fc} from '../support/fast-check.ts';
import {against, domain, octets, recordOf, rsa, selector, withField} from './support.ts';

const pair = rsa();
const record = recordOf(pair.publicKey);
const base: SignOptions = {domain: domain('example.org'), selector: selector('s1'), key: pair.privateKey};
const HEADER = 'From: ann@example.org\r\nSubject: minutes\r\n';
const BODY = 'Dear  all,\r\n\r\nplease look at this.\r\nFrom here on:\r\n.hidden\r\nna\xefve \r\n\r\nAnn\r\n';
const SIMPLE = {header: 'simple', body: 'simple'} as const;
const RELAXED = {header: 'relaxed', body: 'relaxed'} as const;

/** What is said of a message that was signed with one body and came with another. */
async function told(
  signed: string,
  came: string,
  options: Partial<SignOptions> = {},
  more = '',
  header = HEADER,
) {
  const field = signMessageSync(octets(`${header}\r\n${signed}`), {...base, ...options});
  const message = withField(field, octets(`${more}${header}\r\n${came}`));
  const [verdict] = await verifyMessage(message, {...against(record), diagnose: true});
  const [plain] = await verifyMessage(message, against(record));
  expect(plain?.result).toBe(verdict?.result);
  return verdict;
}

const FOOTER = '_______________\r\nlist@example.net\r\nhttps://lists.example.net/\r\n';
const banner = 'CAUTION: this mail came from outside.\r\n\r\n';
const part = '--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n';
const footerPart = '--b\r\nContent-Type: text/plain\r\n\r\nThe list\r\n';

describe('what changed the body', () => {
  it.each([
    ['a footer', BODY, BODY + FOOTER, 'appended', BODY.length],
    ['a footer behind empty lines', BODY, `${BODY}\r\n\r\n${FOOTER}`, 'appended', BODY.length],
    ['text after an empty body', '', 'Scanned.\r\n', 'appended', 0],
    [
      'a part before the closing boundary',
      `${part}--b--\r\n`,
      `${part}${footerPart}--b--\r\n`,
      'inserted',
      part.length,
    ],
    ['a warning on top', BODY, banner + BODY, 'inserted', 0],
    [
      'a warning on top of a part',
      `${part}--b--\r\n`,
      `${part.replace('Hello', `${banner}Hello`)}--b--\r\n`,
      'inserted',
      part.indexOf('Hello'),
    ],
    [
      'blanks at line ends',
      BODY.replace('  all', ' all').replace(' \r\n', '\r\n'),
      BODY.replace('  all', ' all').replace(' \r\n', '\r\n').replace('this.', 'this. '),
      'white-space',
      BODY.indexOf('this.') + 4,
    ],
    ['CRLF for bare LF', BODY.replace('all,\r\n', 'all,\n'), BODY, undefined, undefined],
    ['CRLF for every LF', BODY.replaceAll('\r\n', '\n'), BODY, 'line-ends', BODY.indexOf('\r')],
    ['LF for CRLF', BODY, BODY.replace('this.\r\n', 'this.\n'), 'line-ends', BODY.indexOf('this.') + 5],
    ['CR for CRLF', BODY, BODY.replace('this.\r\n', 'this.\r'), 'line-ends', BODY.indexOf('this.') + 6],
    ['>From', BODY, BODY.replace('\r\nFrom', '\r\n>From'), 'from-quoting', BODY.indexOf('From')],
    ['a doubled dot', BODY, BODY.replace('.hidden', '..hidden'), 'dot-stuffing', BODY.indexOf('.hidden') + 1],
    ['another word', BODY, BODY.replace('look', 'stare'), undefined, undefined],
  ] as const)('tells %s (simple)', async (_what, signed, came, change, offset) => {
    const verdict = await told(signed, came, {canonicalization: SIMPLE});
    expect(verdict?.result).toBe('fail');
    expect(verdict?.reason.id).toBe('body.hash');
    expect(verdict?.reason.change).toBe(change);
    expect(verdict?.reason.offset).toBe(offset);
    expect(verdict?.reason.message).toMatch(/The header is as it was signed\.$/);
  });

  it('says what was appended, in octets of the canonical body', async () => {
    const verdict = await told(BODY, BODY + FOOTER, {canonicalization: RELAXED});
    const canonical = BODY.replace('  ', ' ').replace(' \r\n', '\r\n');
    expect(verdict?.reason).toMatchObject({
      change: 'appended',
      offset: canonical.length,
      octets: FOOTER.length,
    });
    expect(verdict?.reason.message).toBe(
      `The body was changed: its hash is not the one in bh=. ${FOOTER.length} octets in 3 lines were appended at octet ${canonical.length} of the canonical body, beginning with "_______________". The header is as it was signed.`,
    );
  });

  it.each(['quoted-printable', 'base64'])('tells a body that was encoded as %s', async encoding => {
    const header = `${HEADER}Content-Transfer-Encoding: ${encoding} (by a relay)\r\n`;
    const came =
      encoding === 'base64'
        ? Buffer.from(BODY, 'latin1').toString('base64').replace(/.{40}/g, '$&\r\n')
        : BODY.replace('\xef', '=EF').replace('look at', 'look =\r\nat').replace('ve \r', 've=20\r');
    const verdict = await told(BODY, came, {}, '', header);
    expect(verdict?.reason.change).toBe('transfer-encoding');
  });

  it('tells when the header does not fit either', async () => {
    const verdict = await told(BODY, BODY + FOOTER, {}, 'From: eve@example.net\r\n');
    expect(verdict?.reason).toMatchObject({change: 'appended'});
    expect(verdict?.reason.message).toMatch(
      /The header does not fit the signature either: number 1 of the fields from was added, "eve@example\.net"/,
    );
  });

  it('tells a change before the end of l=', async () => {
    const verdict = await told(BODY, BODY.replace('\r\nFrom', '\r\n>From'), {bodyLength: 'whole'});
    expect(verdict?.reason).toMatchObject({id: 'body.hash', change: 'from-quoting'});
  });

  it('says nothing of it unless asked', async () => {
    const message = withField(
      signMessageSync(octets(`${HEADER}\r\n${BODY}`), base),
      octets(`${HEADER}\r\n${BODY}x`),
    );
    const [verdict] = await verifyMessage(message, against(record));
    expect(verdict?.reason).toEqual({
      id: 'body.hash',
      message: 'The body was changed: its hash is not the one in bh=.',
      section: 'RFC 6376 §6.1.3',
      tag: 'bh',
    });
  });

  it('finds any footer of whole lines, however the message is cut', async () => {
    const line = fc.string({unit: fc.constantFrom('a', 'b', ' ', '.', '-', '\t', '>'), maxLength: 12});
    const lines = fc.array(line, {maxLength: 12}).map(all => all.map(one => `${one}\r\n`).join(''));
    const footer = fc
      .tuple(lines, fc.constantFrom('end', '-- \r\nx'))
      .map(([top, last]) => `${top}${last}\r\n`);
    await fc.assert(
      fc.asyncProperty(
        lines,
        footer,
        fc.constantFrom(SIMPLE, RELAXED),
        fc.integer({min: 1, max: 9}),
        async (body, added, canonicalization, size) => {
          const field = signMessageSync(octets(`${HEADER}\r\n${body}`), {...base, canonicalization});
          const message = withField(field, octets(`${HEADER}\r\n${body}${added}`));
          const pieces = Array.from({length: Math.ceil(message.length / size)}, (_, at) =>
            message.subarray(at * size, (at + 1) * size),
          );
          const [verdict] = await verifyMessage(pieces, {...against(record), diagnose: true});
          expect(verdict?.reason.id).toBe('body.hash');
          expect(['appended', 'inserted']).toContain(verdict?.reason.change);
        },
      ),
      {numRuns: 200},
    );
  });

  it('takes bounded time for bodies made of short lines, and does not look into huge ones', async () => {
    const used = async (size: number): Promise<[number, string | undefined]> => {
      const field = signMessageSync(octets(`${HEADER}\r\nx\r\n`), base);
      const message = withField(field, octets(`${HEADER}\r\n${'ab\r\n'.repeat(size / 4)}`));
      const begin = process.cpuUsage();
      const [verdict] = await verifyMessage(message, {...against(record), diagnose: true});
      const {user, system} = process.cpuUsage(begin);
      return [(user + system) / 1000, verdict?.reason.message];
    };
    const [, huge] = await used(9 * 1024 * 1024);
    expect(huge).toBe('The body was changed: its hash is not the one in bh=.');
    const [time, told] = await used(8_000_000);
    expect(told).toMatch(/as it was signed/);
    expect(time).toBeLessThan(10_000);
    process.stdout.write(`diagnosis of 8 MB of short lines: ${time.toFixed(0)} ms\n`);
  });
});
