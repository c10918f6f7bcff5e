import {createPrivateKey, type KeyObject} from 'node:crypto';
import {type Canonicalization, signMessageSync} from '../../dkim/index.ts';
import type {ExitCode} from '../../domain/errors.ts';
import {parseDomain, parseSelector} from '../../domain/names.ts';
import {visible} from '../../domain/text.ts';
import {importKey} from '../../keys/import.ts';
import {checkFrom, passed} from '../../proof/finding.ts';
import type {Check} from '../../proof/proof.ts';
import {isSet, textOf} from '../arguments.ts';
import type {Context} from '../context.ts';
import {messageInput, withLineEndings} from '../message-input.ts';
import {tell} from '../print.ts';
import {present, taken, usage} from '../usage.ts';
import {writeOut} from '../write-out.ts';

/**
 * `waxseal sign --key FILE --domain D --selector S < in > out`: the message with a signature in front. With `--json`
 * the signature alone, as the evidence of a check: a document and a message do not go together.
 */
export async function sign(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  const domain = taken(parseDomain(required(context, 'domain')));
  const selector = taken(parseSelector(required(context, 'selector')));
  const key = await readKey(context, required(context, 'key'));
  const canonicalization = parseCanonicalization(textOf(context.flags, 'canonicalization'));
  const pieces: Uint8Array[] = [];
  for await (const piece of await messageInput(context)) pieces.push(piece);
  const {lineEndings} = await withLineEndings(pieces);
  const octets = Buffer.concat(pieces);
  if (octets.length === 0) {
    throw usage('usage.no-message', 'The message is empty.', 'Give it on standard input: < message.eml');
  }
  const message = lineEndings === 'normalize' ? withCrlf(octets) : octets;
  const field = signMessageSync(message, {
    domain,
    selector,
    key,
    canonicalization,
    timestamp: Math.floor(ports.clock.now().getTime() / 1000),
  });
  if (isSet(context.flags, 'json')) return await tell(context, {exitCode: 0, checks: [signed(field)]}, []);
  const top = endOfFromLine(message);
  await writeOut(
    context.streams.stdout,
    Buffer.concat([message.subarray(0, top), Buffer.from(`${field}\r\n`, 'latin1'), message.subarray(top)]),
  );
  return 0;
}

const signed = (field: string): Check => checkFrom('sign.signature', 'The message is signed', passed(field));

/** An mbox file has a line "From sender date" on top (RFC 4155). It is no header field, and has to stay the first. */
const endOfFromLine = (message: Buffer): number =>
  message.subarray(0, FROM_LINE.length).toString('latin1') === FROM_LINE ? message.indexOf('\r\n') + 2 : 0;

const FROM_LINE = 'From ';

function required(context: Context, flag: string): string {
  const text = textOf(context.flags, flag);
  if (text !== undefined) return text;
  throw usage(
    'usage.missing',
    `--${flag} is missing.`,
    'Give --key, --domain and --selector, and the message on standard input.',
  );
}

async function readKey(context: Context, file: string): Promise<KeyObject> {
  const reading = (await context.namedFiles()).readDeciding(context.pathOf(file));
  const content = await present(reading, file, 'usage.key', 'Check --key.');
  return createPrivateKey(taken(importKey(content)).pem);
}

function parseCanonicalization(text: string | undefined): Canonicalization {
  if (text === undefined) return {header: 'relaxed', body: 'relaxed'};
  const match = /^(relaxed|simple)(?:\/(relaxed|simple))?$/i.exec(text);
  if (match === null) {
    throw usage(
      'usage.canonicalization',
      `"${visible(text)}" is not a canonicalization.`,
      'Write it as --canonicalization relaxed/simple.',
    );
  }
  // A header part alone means a simple body (RFC 6376 §3.5, c=).
  const [, header = 'relaxed', body = 'simple'] = match.map(part => part?.toLowerCase());
  return {
    header: header === 'simple' ? 'simple' : 'relaxed',
    body: body === 'relaxed' ? 'relaxed' : 'simple',
  };
}

/** Files on a Unix host have LF lines; what is signed is what SMTP carries (RFC 5321 §2.3.8). */
const withCrlf = (message: Buffer): Buffer =>
  Buffer.from(message.toString('latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1');
