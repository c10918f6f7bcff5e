/** Finds, reads and removes one message in Postfix's queue, by the token in its recipient. */

import {journalLines} from '../../../proof/journal.ts';
import type {Argv, Ports} from '../../../system/ports.ts';
import {queueEntry} from '../queue.ts';
import {isQueueId} from '../queued.ts';

type QueuePorts = Pick<Ports, 'commands' | 'clock'>;

export type Queued =
  | {readonly state: 'queued'; readonly id: string; readonly message: Uint8Array}
  /**
   * cleanup(8) has not taken it: a milter answers tempfail (daemons/opendkim.md#key-files), or Postfix does not
   * run.
   */
  | {readonly state: 'maildrop'; readonly id: string}
  | {readonly state: 'missing'};

const POLL_MS = 250;
/** Only for what hangs: a busy Postfix may take its time, and one that is gone or has dropped the message says so. */
const PATIENCE_MS = 300_000;
/** How often Postfix is asked whether there is anything to wait for. */
const ASK_MS = 5000;
/** pickup(8) is told of new mail at once; what lies longer in maildrop was sent back. */
const MAILDROP_MS = 5000;

/**
 * Waits until the message is in the queue and reads it. `knownId` where the MTA told it. In the queue it may be
 * incoming, active, deferred or on hold: what the milters did is done by then.
 */
export async function awaitQueued(
  ports: QueuePorts,
  token: string,
  since: Date,
  knownId: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Queued> {
  const started = ports.clock.now().getTime();
  let dropped: string | undefined;
  let asked = 0;
  for (;;) {
    const waited = ports.clock.now().getTime() - started;
    const entry = await findByToken(ports, token);
    const id = entry?.queue === 'maildrop' ? undefined : (entry?.id ?? knownId);
    dropped = entry?.queue === 'maildrop' ? entry.id : undefined;
    const message = id === undefined ? undefined : await readQueued(ports, id);
    if (id !== undefined && message !== undefined) return {state: 'queued', id, message};
    if (dropped !== undefined && waited >= MAILDROP_MS && (await sentBack(ports, token, since))) break;
    if (waited >= PATIENCE_MS) break;
    if (waited - asked >= ASK_MS) {
      asked = waited;
      if (!(await isRunning(ports))) break;
      if (dropped === undefined && (await isGone(ports, token, id, since))) break;
      const found = dropped === undefined ? await byJournal(ports, token, since) : undefined;
      if (found?.state === 'queued') return found;
    }
    await ports.clock.sleep(POLL_MS, signal);
  }
  if (dropped !== undefined) return {state: 'maildrop', id: dropped};
  return await byJournal(ports, token, since);
}

/** A long queue is cut before our entry comes: cleanup(8) logs the Message-ID with the queue id. */
async function byJournal(ports: QueuePorts, token: string, since: Date): Promise<Queued> {
  const lines = await journalLines(ports, 'postfix/cleanup', since, `message-id=<${token}@`);
  const id = /^(\w+): message-id=/.exec(lines.at(-1) ?? '')?.[1];
  const message = id === undefined || !isQueueId(id) ? undefined : await readQueued(ports, id);
  return id === undefined || message === undefined ? {state: 'missing'} : {state: 'queued', id, message};
}

/** True also where that cannot be found out. */
const isRunning = async (ports: QueuePorts): Promise<boolean> => {
  const {status, ended} = await ports.commands.run(['postfix', 'status'], {timeoutMs: 60_000});
  return status === 0 || ended !== 'exit';
};

/** Postfix says itself that it has the message no more: refused by a milter, discarded, delivered or bounced. */
async function isGone(
  ports: QueuePorts,
  token: string,
  id: string | undefined,
  since: Date,
): Promise<boolean> {
  const ended = /\b(?:milter-(?:reject|discard)|reject|discard): |: removed$/;
  const about = [token, ...(id === undefined ? [] : [`${id}: `])];
  for (const program of ['postfix/cleanup', 'postfix/qmgr']) {
    for (const words of about) {
      if ((await journalLines(ports, program, since, words)).some(line => ended.test(line))) return true;
    }
  }
  return false;
}

const sentBack = async (ports: QueuePorts, token: string, since: Date): Promise<boolean> =>
  (await journalLines(ports, 'postfix/cleanup', since, token)).some(line => line.includes('milter-reject'));

/** The queue entry whose recipient holds the token. Lines that are not ours are not even parsed. */
async function findByToken(
  ports: QueuePorts,
  token: string,
): Promise<{readonly id: string; readonly queue: string} | undefined> {
  const {stdout} = await ports.commands.run(['postqueue', '-j']);
  for (const line of stdout.split('\n')) {
    if (!line.includes(token)) continue;
    const entry = queueEntry(line);
    if (entry !== undefined && isQueueId(entry.id)) return entry;
  }
  return undefined;
}

/** The message with CRLF line ends; undefined where it is not (or no longer) in the queue. */
async function readQueued(ports: QueuePorts, id: string): Promise<Uint8Array | undefined> {
  const {status, stdout} = await ports.commands.run(['postcat', '-qbh', id]);
  if (status !== 0) return undefined;
  return contentOf(stdout);
}

/**
 * The message in the output of `postcat -qbh`: header and body with LF. Frame lines (`*** ... ***`), which older
 * versions and other options print around them, are no header field and are taken off both ends.
 */
export function contentOf(printed: string): Uint8Array | undefined {
  const lines = printed.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const isFrame = (line: string | undefined): boolean => /^\*\*\* .+ \*\*\*$/.test(line ?? '');
  while (isFrame(lines[0])) lines.shift();
  while (isFrame(lines.at(-1))) lines.pop();
  if (lines.length === 0) return undefined;
  return Buffer.from(lines.map(line => `${line.replace(/\r$/, '')}\r\n`).join(''));
}

/** Removes every message of the token, `knownId` first. True where nothing is left. Works after an abort, too. */
export async function removeQueued(
  ports: QueuePorts,
  token: string,
  knownId: string | undefined,
): Promise<boolean> {
  if (knownId !== undefined) await ports.commands.run(removal(knownId));
  for (let round = 0; round < 3; round += 1) {
    const entry = await findByToken(ports, token);
    if (entry === undefined) return true;
    await ports.commands.run(removal(entry.id));
  }
  return (await findByToken(ports, token)) === undefined;
}

const removal = (id: string): Argv => ['postsuper', '-d', id];
