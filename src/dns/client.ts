/** One question to one server: retries, truncation, forged datagrams. The only place of dns/ that calls the transport. */
import type {Clock, DnsServer, DnsTransport, Random} from '../system/ports.ts';
import {
  type DnsMessage,
  decodeMessage,
  encodeQuery,
  type Match,
  matchAnswer,
  type Question,
  randomCase,
} from './wire.ts';

/** What the DNS room may touch. */
export interface DnsPorts {
  readonly dns: DnsTransport;
  readonly clock: Clock;
  readonly random: Random;
}

export interface AskOptions {
  /** True for a resolver, false for an authoritative server. */
  readonly recursion: boolean;
  /** Of one try. Default 2000. */
  readonly timeoutMs?: number;
  /** Default 2. */
  readonly tries?: number;
  readonly signal?: AbortSignal | undefined;
  /** Sets DO: signatures come along, and a resolver says by AD whether it validated. */
  readonly dnssec?: boolean;
  /** Sets CD: a resolver answers although the signatures are bad. */
  readonly unchecked?: boolean;
}

/**
 * `no-route`: this host has no way to that address (an IPv6 address on a host without IPv6), which says nothing about
 * the server. `silent`: no answer, `code` says how (`ETIMEDOUT`, `ECONNREFUSED`, ...); `truncated`: over UDP one came that
 * was cut short, over TCP none. `malformed`: what came is no DNS.
 */
export type Outcome =
  | {readonly kind: 'answer'; readonly message: DnsMessage; readonly transport: 'udp' | 'tcp'}
  | {readonly kind: 'silent'; readonly code: string; readonly truncated?: true}
  | {readonly kind: 'no-route'; readonly code: string}
  | {readonly kind: 'malformed'; readonly reason: string};

const TIMEOUT_MS = 2000;
const TRIES = 2;
/** A true answer that follows an odd one comes within that time; a server that changes the case of names sends no other. */
const GRACE_MS = 200;
const NO_ROUTE = new Set(['ENETUNREACH', 'EAFNOSUPPORT', 'EADDRNOTAVAIL', 'ENETDOWN', 'EPERM', 'EACCES']);

/** What the second try does otherwise than the first, learnt from what came. */
interface Manner {
  readonly tcp: boolean;
  readonly edns: boolean;
  readonly truncated?: true;
}

/**
 * Asks one server. UDP first; TCP when the answer is truncated, or when something came that fits but for its case
 * (RFC 5452 §9.3: over TCP it cannot be forged blindly). Rejects only with the reason of `signal`.
 */
export async function ask(
  ports: DnsPorts,
  server: DnsServer,
  question: Question,
  options: AskOptions,
): Promise<Outcome> {
  let manner: Manner = {tcp: server.transport !== undefined, edns: true};
  let last: Outcome = {kind: 'silent', code: 'ETIMEDOUT'};
  for (let left = options.tries ?? TRIES; left > 0; left--) {
    options.signal?.throwIfAborted();
    const turn = await tryOnce(ports, server, question, options, manner);
    last = turn.outcome;
    if (turn.again === undefined) return last;
    // A step to TCP after a truncated answer is part of the same try: the server is there and answers.
    if (turn.free) left++;
    manner = turn.again;
  }
  return last;
}

interface Turn {
  readonly outcome: Outcome;
  /** How to ask again; undefined where the outcome stands. */
  readonly again?: Manner;
  readonly free?: boolean;
}

async function tryOnce(
  ports: DnsPorts,
  server: DnsServer,
  question: Question,
  options: AskOptions,
  manner: Manner,
): Promise<Turn> {
  const query = newQuery(ports.random, question, options, manner);
  let odd: Match = 'no';
  const grace = new AbortController();
  const accept = (answer: Uint8Array): boolean => {
    const match = matchAnswer(answer, query);
    if (match === 'other-case' || match === 'bare') {
      if (odd === 'no') {
        const over = (): void => grace.abort();
        ports.clock.sleep(GRACE_MS, options.signal).then(over, over);
      }
      odd = match;
    }
    return match === 'yes';
  };
  // A signal of its own: forty questions at once must not be forty listeners on the caller's (Node warns from eleven on).
  const limits = {
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
    signal: options.signal === undefined ? grace.signal : AbortSignal.any([grace.signal, options.signal]),
  };
  let octets: Uint8Array;
  try {
    octets = manner.tcp
      ? await ports.dns.tcp(server, query, limits)
      : await ports.dns.udp(server, query, {...limits, accept});
  } catch (error) {
    options.signal?.throwIfAborted();
    const code = codeOf(error);
    if (NO_ROUTE.has(code) || (code === 'EHOSTUNREACH' && server.address.includes(':'))) {
      return {outcome: {kind: 'no-route', code}};
    }
    const noted = oddity(odd);
    const cut = manner.truncated === undefined ? {} : {truncated: manner.truncated};
    const silent: Outcome = {kind: 'silent', code: grace.signal.aborted ? 'ETIMEDOUT' : code, ...cut};
    // As after a truncated answer: the server is there and answers.
    return noted === undefined
      ? {outcome: silent, again: manner}
      : {outcome: silent, again: noted, free: true};
  }
  if (manner.tcp && !fitsOverTcp(octets, query)) {
    return {outcome: {kind: 'malformed', reason: 'the answer is not to the question'}};
  }
  return judge(octets, manner);
}

/** A name in other case or no question at all may be a forger or an old server: TCP tells them apart. */
const oddity = (match: Match): Manner | undefined => {
  if (match === 'other-case') return {tcp: true, edns: true};
  return match === 'bare' ? {tcp: true, edns: false} : undefined;
};

const fitsOverTcp = (octets: Uint8Array, query: Uint8Array): boolean => matchAnswer(octets, query) !== 'no';

function judge(octets: Uint8Array, manner: Manner): Turn {
  const decoded = decodeMessage(octets);
  // Some servers cut a datagram in the middle of a record and say so by TC only.
  const truncated = ((octets[2] ?? 0) & 0x02) !== 0;
  if (truncated && !manner.tcp) {
    return {
      outcome: {kind: 'malformed', reason: 'the answer is truncated'},
      again: {...manner, tcp: true, truncated: true},
      free: true,
    };
  }
  if (!decoded.ok) return {outcome: {kind: 'malformed', reason: decoded.reason}, again: manner};
  const {message} = decoded;
  const outcome: Outcome = {kind: 'answer', message, transport: manner.tcp ? 'tcp' : 'udp'};
  // RFC 6891 §7: a server older than EDNS answers FORMERR or NOTIMP to it.
  if (manner.edns && (message.rcode === 'FORMERR' || message.rcode === 'NOTIMP')) {
    return {outcome, again: {...manner, edns: false}};
  }
  return {outcome};
}

function newQuery(random: Random, question: Question, options: AskOptions, manner: Manner): Uint8Array {
  const bits = random.bytes(34);
  return encodeQuery(question, {
    id: ((bits[0] ?? 0) << 8) | (bits[1] ?? 0),
    spelling: manner.tcp ? question.name : randomCase(question.name, bits.subarray(2)),
    recursion: options.recursion,
    edns: manner.edns,
    dnssec: options.dnssec === true,
    unchecked: options.unchecked === true,
  });
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'EIO';
}
