/**
 * Messages through the host's own Postfix that never leave it. TEST-NET-1 has no route, so a message to an address
 * literal there stays in the queue with everything the milters have done to it, and can be read and removed.
 */

import {randomBytes} from 'node:crypto';
import path from 'node:path';
import type {Internet} from './dns.ts';
import {RESOLVER} from './dns.ts';
import type {Host} from './host.ts';
import {describeOutcome, until} from './process.ts';

export interface Signature {
  readonly valid: boolean;
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: string;
  readonly headers: readonly string[];
  /** The signing domain is that of From, or a parent of it. */
  readonly aligned: boolean;
  readonly error: string;
}

export interface Captured {
  readonly text: string;
  /** As judged by dkimpy. */
  readonly signatures: readonly Signature[];
  /** Exit status of opendkim-testmsg on the same message; 0 where all is well, 70 for no or a bad signature. */
  readonly testmsg: number | null;
}

export interface Envelope {
  readonly from: string;
  /** How it enters Postfix: by sendmail(1), or by SMTP on loopback. */
  readonly by: 'sendmail' | 'smtp';
  /** Attributes of XCLIENT, by which the client says that it is another: `ADDR=203.0.113.5 LOGIN=alice`. */
  readonly as?: string;
}

export async function send(host: Host, internet: Internet, envelope: Envelope): Promise<Captured> {
  const token = `probe-${randomBytes(6).toString('hex')}`;
  const recipient = `${token}@[192.0.2.1]`;
  const message = [
    `From: Alice Example <${envelope.from}>`,
    `To: <${recipient}>`,
    `Subject: lab ${token}`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${token}@lab.example.com>`,
    '',
    'A line,  with  blanks inside and after   ',
    '.a line that begins with a dot',
    '',
    'and two empty lines at the end.',
    '',
    '',
    '',
  ].join('\n');
  if (envelope.by === 'sendmail') {
    await host.must(['sendmail', '-i', '-f', envelope.from, recipient], {input: message});
  } else {
    await submit(internet, envelope, recipient, message);
  }
  const queueId = await until(`${token} in the queue`, () => findInQueue(host, recipient));
  const text = await host.must(['postcat', '-qbh', queueId]);
  await host.must(['postsuper', '-d', queueId]);
  return {text, ...(await judge(host, internet, text))};
}

/** SMTP as a mail program on the host speaks it. */
async function submit(
  internet: Internet,
  {from, as}: Envelope,
  recipient: string,
  message: string,
): Promise<void> {
  const program = path.join(import.meta.dirname, 'submit.py');
  const argv = [program, from, recipient, ...(as === undefined ? [] : ['127.0.0.1', as])];
  const outcome = await internet.run(['/usr/bin/python3', ...argv], message);
  if (outcome.status !== 0) throw new Error(`SMTP: ${describeOutcome(outcome)}`);
}

async function findInQueue(host: Host, recipient: string): Promise<string | undefined> {
  const listing = await host.must(['postqueue', '-j']);
  for (const line of listing.split('\n').filter(Boolean)) {
    const entry: unknown = JSON.parse(line);
    if (!isQueueEntry(entry)) throw new Error(`postqueue printed something else: ${line}`);
    // In the deferred queue it is at rest; before that the queue manager still has it open.
    if (entry.queue_name === 'deferred' && entry.recipients.some(each => each.address === recipient)) {
      return entry.queue_id;
    }
  }
  return undefined;
}

interface QueueEntry {
  readonly queue_name: string;
  readonly queue_id: string;
  readonly recipients: readonly {readonly address: string}[];
}

const isQueueEntry = (value: unknown): value is QueueEntry =>
  typeof value === 'object' &&
  value !== null &&
  'queue_name' in value &&
  typeof value.queue_name === 'string' &&
  'queue_id' in value &&
  typeof value.queue_id === 'string' &&
  'recipients' in value &&
  Array.isArray(value.recipients);

/** Has two programs that share no code with waxseal, nor with each other, look at a message. */
async function judge(
  host: Host,
  internet: Internet,
  text: string,
): Promise<{signatures: readonly Signature[]; testmsg: number | null}> {
  // Not any python3 on PATH: the one for which the distribution's dkimpy is installed.
  const program = path.join(import.meta.dirname, 'verify.py');
  const verified = await internet.run(['/usr/bin/python3', program, RESOLVER], text);
  if (verified.status !== 0) throw new Error(`dkimpy: ${describeOutcome(verified)}`);
  const report: unknown = JSON.parse(verified.stdout);
  if (!isReport(report)) throw new Error(`dkimpy printed something else: ${verified.stdout}`);
  const testmsg = await host.exec(['opendkim-testmsg'], {input: text.replaceAll('\n', '\r\n')});
  return {signatures: report.signatures, testmsg: testmsg.status};
}

const isReport = (value: unknown): value is {signatures: readonly Signature[]} =>
  typeof value === 'object' && value !== null && 'signatures' in value && Array.isArray(value.signatures);

/** One line that says all that matters about a message; scenarios compare with it. */
export const verdict = (captured: Captured): string =>
  captured.signatures.length === 0
    ? 'unsigned'
    : captured.signatures
        .map(
          each =>
            `${each.valid ? 'valid' : 'invalid'} ${each.aligned ? 'aligned' : 'unaligned'} ` +
            `d=${each.domain} s=${each.selector} a=${each.algorithm}`,
        )
        .join('; ');

export const VALID = (domain: string, selector: string): string =>
  `valid aligned d=${domain} s=${selector} a=rsa-sha256`;
