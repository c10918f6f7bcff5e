/** Whether each milter can be used by the process that connects to it: its account, its groups, its root directory. */
import {visible} from '../domain/text.ts';
import {greetMilter} from '../milter/client.ts';
import type {Entrance, MilterHop, Pass} from '../services/mta.ts';
import type {Ports} from '../system/ports.ts';
import {type HopReach, placeText, reachKey} from './picture.ts';

type ReachPorts = Pick<Ports, 'files' | 'commands' | 'sockets' | 'clock'>;

/** Only for what hangs: nothing is asked of the milter, and on a busy host an answer takes its time. */
const LIMITS = {connectTimeoutMs: 20_000, replyTimeoutMs: 60_000, totalTimeoutMs: 60_000} as const;

/** By `reachKey`, each kind of connection once, all at the same time. No milter hears of a message. */
export async function lookAtReach(
  ports: ReachPorts,
  entrances: readonly Entrance[],
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, HopReach>> {
  const found = new Map<string, Promise<HopReach>>();
  for (const {passes} of entrances) {
    for (const pass of passes) {
      if ('fatal' in pass.milters) continue;
      for (const hop of pass.milters) {
        const key = reachKey(pass, hop);
        if (hop.endpoint !== undefined && !found.has(key)) found.set(key, tried(ports, pass, hop, signal));
      }
    }
  }
  const all = [...found].map(async ([key, reach]) => [key, await reach] as const);
  return new Map(await Promise.all(all));
}

const OUTCOMES = {
  missing: 'absent',
  denied: 'denied',
  refused: 'refused',
  timeout: 'silent',
  other: 'refused',
} as const;

async function tried(
  ports: ReachPorts,
  {account}: Pass,
  {endpoint}: MilterHop,
  signal: AbortSignal | undefined,
): Promise<HopReach> {
  if (endpoint === undefined) return {outcome: 'absent', detail: ''};
  const place = placeText(endpoint);
  if (endpoint.kind === 'unix') {
    const stat = await ports.files.stat((await ports.files.resolve(endpoint.path)) ?? endpoint.path);
    if (stat === undefined) return {outcome: 'absent', detail: `there is no ${visible(endpoint.path)}`};
    if (stat.kind !== 'socket') return {outcome: 'refused', detail: `${visible(endpoint.path)} is no socket`};
    // connect(2) wants what test(1) tells: every directory searchable, the socket writable.
    const {status, ended} = await ports.commands.run(
      ['runuser', '-u', account.user, '--', 'test', '-w', endpoint.path],
      {timeoutMs: 60_000},
    );
    if (ended === 'exit' && status !== 0) {
      return {outcome: 'denied', detail: `${account.user} may not use ${visible(endpoint.path)}`};
    }
  }
  const answer = await greetMilter(ports, endpoint, {...LIMITS, ...(signal === undefined ? {} : {signal})});
  if (answer.ended === 'greeted') return {outcome: 'answers', detail: `a milter answers at ${place}`};
  if (answer.ended === 'unreachable') {
    const detail = answer.cause === 'refused' ? `nothing listens at ${place}` : answer.detail;
    return {outcome: OUTCOMES[answer.cause], detail};
  }
  return {outcome: answer.cause === 'timeout' ? 'silent' : 'not-a-milter', detail: answer.detail};
}
