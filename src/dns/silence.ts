/**
 * Servers that do not answer are not asked again for each of ten thousand names. What is remembered is evidence, for one
 * server and one way to it (UDP or TCP): so many questions in a row without an answer, and then one more that it could
 * have answered. It lasts as long as the run, and is put to the test again after a minute.
 */
import type {DnsName} from '../domain/names.ts';
import type {DnsServer, DnsTransport} from '../system/ports.ts';
import type {DnsPorts} from './client.ts';
import {encodeQuery, matchAnswer} from './wire.ts';

/** Questions in a row, without an answer of any kind between them, before a server is suspected. */
const IN_A_ROW = 20;
/** A server that was found silent is tried again with one question after that time. */
const AGAIN_MS = 60_000;
/** RD in the third octet: a question for a resolver. */
const RECURSION_DESIRED = 0x01;
/** The `code` of a question that was not sent. */
const UNASKED = 'EUNASKED';

export interface SilentServer {
  readonly address: string;
  readonly port: number;
  /** Questions in a row that it did not answer. */
  readonly unanswered: number;
}

/** The transport of one piece of work: what it could not ask is known afterwards. */
export interface Watched {
  readonly dns: DnsTransport;
  /** Servers that it would have asked, and that were known to be silent. */
  unasked(): readonly SilentServer[];
}

export interface Silence {
  /** As the transport below; a question to a silent server is not sent and rejects at once (`code: 'EUNASKED'`). */
  readonly dns: DnsTransport;
  watched(): Watched;
}

interface Line {
  readonly server: DnsServer;
  unanswered: number;
  /** Until then it is not asked; undefined where it is not known to be silent. Milliseconds of the clock. */
  silentUntil: number | undefined;
  /** True where it was heard. One at a time. */
  trial: Promise<boolean> | undefined;
}

type Exchange = (
  query: Uint8Array,
  accept: (answer: Uint8Array) => boolean,
  signal: AbortSignal | undefined,
) => Promise<Uint8Array>;

/**
 * Only time-outs count: a closed port or a missing route says so at once and costs no time. A resolver is not blamed for
 * names whose own servers are dead (it may take longer over them than a question waits): it is silent only where it does
 * not answer for the root either, which it always has.
 * @param signal ends the trial of a server that is suspected
 */
export function createSilence({dns, clock, random}: DnsPorts, signal?: AbortSignal): Silence {
  const lines = new Map<string, Line>();
  let resolvers: Promise<readonly DnsServer[]> | undefined;
  /** Those of the host, read once a run. */
  const hostResolvers = (): Promise<readonly DnsServer[]> => {
    resolvers ??= dns.hostResolvers();
    return resolvers;
  };
  const lineOf = (server: DnsServer, way: 'udp' | 'tcp'): Line => {
    const key = `${server.address} ${server.port} ${server.transport ?? way}`;
    const known = lines.get(key);
    if (known !== undefined) return known;
    const line = {server, unanswered: 0, silentUntil: undefined, trial: undefined};
    lines.set(key, line);
    return line;
  };

  const tried = async (line: Line, query: Uint8Array, exchange: Exchange): Promise<boolean> => {
    const isRecursive = ((query[2] ?? 0) & RECURSION_DESIRED) !== 0;
    const id = random.bytes(2);
    const question = isRecursive
      ? encodeQuery(
          {name: '' as DnsName, type: 'NS'},
          {id: ((id[0] ?? 0) << 8) | (id[1] ?? 0), spelling: '', recursion: true, edns: true},
        )
      : query;
    try {
      await exchange(question, answer => matchAnswer(answer, question) !== 'no', signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (codeOf(error) === 'ETIMEDOUT') {
        line.unanswered++;
        line.silentUntil = clock.now().getTime() + AGAIN_MS;
        return false;
      }
    }
    heard(line);
    return true;
  };
  const trialOf = (line: Line, query: Uint8Array, exchange: Exchange): Promise<boolean> => {
    line.trial ??= tried(line, query, exchange).finally(() => {
      line.trial = undefined;
    });
    return line.trial;
  };
  /** Whether a question may be sent. While a server is on trial its questions wait for the end of it. */
  const mayAsk = async (line: Line, query: Uint8Array, exchange: Exchange): Promise<boolean> => {
    const {silentUntil} = line;
    const isTrusted = silentUntil === undefined && line.unanswered < IN_A_ROW;
    if (isTrusted) return true;
    const isSettled = silentUntil !== undefined && clock.now().getTime() < silentUntil;
    return isSettled ? false : await trialOf(line, query, exchange);
  };

  const through = async (
    line: Line,
    query: Uint8Array,
    accept: (answer: Uint8Array) => boolean,
    own: AbortSignal | undefined,
    exchange: Exchange,
    onUnasked: (line: Line) => void,
  ): Promise<Uint8Array> => {
    if (!(await mayAsk(line, query, exchange))) {
      onUnasked(line);
      throw Object.assign(new Error('not asked: the server is silent'), {code: UNASKED});
    }
    let isHeard = false;
    try {
      const answer = await exchange(
        query,
        each => {
          // Also one that is not taken, as from a server that changes the case of names: it is there.
          isHeard = true;
          return accept(each);
        },
        own,
      );
      isHeard = true;
      return answer;
    } catch (error) {
      if (!isHeard && own?.aborted !== true && codeOf(error) === 'ETIMEDOUT') line.unanswered++;
      throw error;
    } finally {
      if (isHeard) heard(line);
    }
  };

  const transport = (onUnasked: (line: Line) => void): DnsTransport => ({
    udp: (server, query, {timeoutMs, accept, signal: own}) =>
      through(
        lineOf(server, 'udp'),
        query,
        accept,
        own,
        (octets, isMeant, until) => dns.udp(server, octets, {timeoutMs, accept: isMeant, ...given(until)}),
        onUnasked,
      ),
    tcp: (server, query, {timeoutMs, signal: own}) =>
      through(
        lineOf(server, 'tcp'),
        query,
        () => true,
        own,
        (octets, _isMeant, until) => dns.tcp(server, octets, {timeoutMs, ...given(until)}),
        onUnasked,
      ),
    hostResolvers,
  });

  return {
    dns: transport(() => undefined),
    watched() {
      const unasked = new Set<Line>();
      return {
        dns: transport(line => unasked.add(line)),
        unasked: () =>
          [...unasked].map(({server: {address, port}, unanswered}) => ({address, port, unanswered})),
      };
    },
  };
}

/** The ports of one run, in which a server that is silent is given up. */
export const givingUpSilent = <P extends DnsPorts>(ports: P, signal?: AbortSignal): P => ({
  ...ports,
  dns: createSilence(ports, signal).dns,
});

function heard(line: Line): void {
  line.unanswered = 0;
  line.silentUntil = undefined;
}

const given = (signal: AbortSignal | undefined): {readonly signal?: AbortSignal} =>
  signal === undefined ? {} : {signal};

const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined;
