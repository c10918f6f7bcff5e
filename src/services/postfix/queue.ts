/** What Postfix says of its queues: postqueue(1) and the life times of main.cf. */
import {command} from '../../domain/command.ts';
import {visible} from '../../domain/text.ts';
import type {Ports} from '../../system/ports.ts';
import type {QueueFacts} from '../mta.ts';

type QueuePorts = Pick<Ports, 'commands'>;

export interface QueueEntry {
  readonly id: string;
  /** `deferred`, `hold` */
  readonly queue: string;
  /** Seconds since 1970; undefined where there is no such number. */
  readonly arrival: number | undefined;
}

/** A line of `postqueue -j`; undefined where it cannot be read. */
export function queueEntry(line: string): QueueEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const fields: Readonly<Record<string, unknown>> = Object.fromEntries(Object.entries(value));
  const {arrival_time: arrival, queue_id: id, queue_name: queue} = fields;
  if (typeof id !== 'string' || typeof queue !== 'string') return undefined;
  const isTime = typeof arrival === 'number' && arrival >= 0 && arrival < 8e12;
  return {id, queue, arrival: isTime ? arrival : undefined};
}

interface Message {
  readonly at: string;
  readonly id: string;
  readonly queue: string;
}

/** What one instance holds. */
interface Instance {
  readonly known: true;
  readonly oldest: Message | undefined;
  readonly lifetimeSeconds: number;
  readonly bounceSeconds: number;
  /** Configurations of the other instances; told by the default one. */
  readonly others: readonly string[];
}

type Unknown = Extract<QueueFacts, {known: false}>;

/**
 * All instances taken together (MULTI_INSTANCE_README): one that takes mail in may sign, and another hand it to the world.
 * So the oldest of the oldest messages counts, and the longest of the lives. As `Mta.queue`.
 */
export async function readQueues(
  ports: QueuePorts,
  arrival: (stampMs: number) => number,
): Promise<QueueFacts> {
  const first = await readInstance(ports, [], arrival);
  if (!first.known) return first;
  let {oldest, lifetimeSeconds, bounceSeconds} = first;
  let holder = '';
  for (const directory of first.others) {
    const each = await readInstance(ports, ['-c', directory], arrival);
    if (!each.known) return {...each, why: `${each.why}, of the instance in ${visible(directory)}`};
    lifetimeSeconds = Math.max(lifetimeSeconds, each.lifetimeSeconds);
    bounceSeconds = Math.max(bounceSeconds, each.bounceSeconds);
    if (each.oldest === undefined || (oldest !== undefined && each.oldest.at >= oldest.at)) continue;
    oldest = each.oldest;
    holder = visible(directory);
  }
  const lives = {known: true, lifetimeSeconds, bounceSeconds} as const;
  return oldest === undefined ? lives : {...lives, oldest: inWords(oldest, holder)};
}

/** @param directory configuration of the instance that holds it; '' for the default one */
function inWords(
  {at, id, queue}: Message,
  directory: string,
): NonNullable<Extract<QueueFacts, {known: true}>['oldest']> {
  const which = directory === '' ? [] : ['-c', directory];
  const deliver = `${command('postqueue', ...which, '-i', id)}, ${command('postsuper', ...which, '-H', id)}`;
  return {
    at,
    id: visible(id),
    where: visible(queue) + (directory === '' ? '' : ` of ${directory}`),
    how: `deliver it (${deliver}) or delete it (${command('postsuper', ...which, '-d', id)})`,
  };
}

/** What a program writes is cut there (src/system/ports.ts). */
const OUTPUT_OCTETS = 4 * 1024 * 1024;

/** @param which `-c DIRECTORY`, or nothing for the default instance */
async function readInstance(
  ports: QueuePorts,
  which: readonly string[],
  arrival: (stampMs: number) => number,
): Promise<Instance | Unknown> {
  const names = ['maximal_queue_lifetime', 'bounce_queue_lifetime', 'multi_instance_directories'];
  const lives = await ports.commands.run(['postconf', ...which, '-xh', ...names]);
  const [queue = '', bounce = '', instances = ''] = lives.stdout.split('\n');
  const [lifetimeSeconds, bounceSeconds] = [queueLifetime(queue), queueLifetime(bounce)];
  if (lives.status !== 0 || lifetimeSeconds === undefined || bounceSeconds === undefined) {
    return {known: false, why: 'postconf does not tell the life times'};
  }
  const listed = await ports.commands.run(['postqueue', ...which, '-j'], {timeoutMs: 120_000});
  if (listed.ended === 'timeout') {
    return {known: false, why: 'postqueue -j did not come to its end', isHung: true};
  }
  // A list that was cut may hide the oldest, even where the cut is at the end of a line.
  if (Buffer.byteLength(listed.stdout) >= OUTPUT_OCTETS) {
    return {known: false, why: 'it holds so many messages that postqueue -j cannot be read to its end'};
  }
  const isWhole = listed.stdout === '' || listed.stdout.endsWith('\n');
  const found = listed.status === 0 && isWhole ? oldestQueued(listed.stdout, arrival) : undefined;
  if (found === undefined) return {known: false, why: 'postqueue -j does not tell its messages'};
  return {
    known: true,
    lifetimeSeconds,
    bounceSeconds,
    oldest: found.oldest,
    others: which.length > 0 ? [] : instances.split(/[\s,]+/).filter(path => path.startsWith('/')),
  };
}

/**
 * The oldest message of `postqueue -j` (one JSON object a line); `undefined` where a line cannot be read, since a
 * message that is not understood may be the one that matters.
 */
function oldestQueued(
  text: string,
  arrival: (stampMs: number) => number,
): {readonly oldest: Message | undefined} | undefined {
  let oldest: Message | undefined;
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const entry = queueEntry(line);
    if (entry?.arrival === undefined) return undefined;
    const at = new Date(arrival(entry.arrival * 1000)).toISOString();
    if (oldest === undefined || at < oldest.at) oldest = {at, id: entry.id, queue: entry.queue};
  }
  return {oldest};
}

const UNIT_SECONDS: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
};

/** A time of Postfix: `5d`, `0`, `100s`; without a unit in days, as both queue life times are (postconf(5)). */
function queueLifetime(text: string): number | undefined {
  const match = /^(\d{1,9})([smhdw]?)$/.exec(text.trim());
  return match === null ? undefined : Number(match[1]) * (UNIT_SECONDS[match[2] || 'd'] ?? 0);
}
