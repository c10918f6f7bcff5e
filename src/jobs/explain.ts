/** Whether one message would be signed: the answer of the picture on each way that is meant, and what the signer says to it. */
import {type Explained, explainedCheck} from '../doctor/answer.ts';
import {fail, ok, problem, type Result} from '../domain/result.ts';
import {listed, visible} from '../domain/text.ts';
import {
  type Client,
  createAsker,
  type HostPicture,
  LOCALHOST,
  ownWays,
  type SignerAsked,
} from '../host/index.ts';
import {askSigner, type Mark} from '../proof/ask.ts';
import type {Check} from '../proof/proof.ts';
import type {Entrance} from '../services/mta.ts';
import type {Ports} from '../system/ports.ts';

export interface ExplainRequest {
  /** Address in From, and in Sender where there is one. */
  readonly from: string;
  readonly sender?: string;
  /** Sender of the envelope, '' for a bounce. Default: that of From. */
  readonly envelope?: string;
  /** The name of the login. Default: the address in From. */
  readonly login?: string;
  readonly recipients: readonly string[];
  /** Id or kind of an entrance: `submission/inet`, `smtp`, `local`. Undefined: those that the rest fits. */
  readonly entrance: string | undefined;
  readonly client: Client | undefined;
  readonly authenticated: boolean;
}

/** An address for documentation (RFC 5737 §3): somebody elsewhere. */
const SOMEWHERE: Client = {name: 'client.invalid', address: '198.51.100.77'};

/** Problem `usage.entrance` names those that there are. */
export function explainAll(picture: HostPicture, request: ExplainRequest): Result<readonly Explained[]> {
  const ways = waysOf(picture.entrances, request);
  if (!ways.ok) return ways;
  const ask = createAsker(picture);
  const {from, sender, envelope, login, recipients} = request;
  return ok(
    ways.value.map(({entrance, client, authenticated}) => {
      const question = {
        ...{from, client, authenticated, recipients},
        ...(sender === undefined ? {} : {sender}),
        ...(envelope === undefined ? {} : {envelope}),
        ...(login === undefined ? {} : {login}),
      };
      return {entrance, question, answer: ask(entrance, question)};
    }),
  );
}

interface Way {
  readonly entrance: Entrance;
  readonly client: Client;
  readonly authenticated: boolean;
}

function waysOf(
  entrances: readonly Entrance[],
  {entrance: wanted, client, authenticated}: ExplainRequest,
): Result<readonly Way[]> {
  const of = (entrance: Entrance): Way => ({
    entrance,
    client: client ?? (authenticated && entrance.listensOn !== '' ? SOMEWHERE : LOCALHOST),
    authenticated,
  });
  if (wanted !== undefined) {
    const found = entrances.filter(({id, kind}) => id === wanted || kind === wanted);
    return found.length > 0 ? ok(found.map(of)) : unknownEntrance(entrances, wanted);
  }
  if (authenticated) {
    const logins = entrances.filter(({login}) => login !== 'no');
    const own = logins.filter(({kind}) => kind === 'submission' || kind === 'submissions');
    const [open] = own.length > 0 ? own : logins.length > 0 ? logins : entrances.filter(isSmtp);
    return open === undefined ? unknownEntrance(entrances, 'submission') : ok([of(open)]);
  }
  if (client !== undefined) {
    const [smtp] = entrances.filter(isSmtp);
    return smtp === undefined ? unknownEntrance(entrances, 'smtp') : ok([of(smtp)]);
  }
  const own = ownWays(entrances);
  // What a program of this host sends is what is meant most often.
  return ok([
    ...own.filter(({entrance}) => entrance.kind === 'local'),
    ...own.filter(({entrance}) => entrance.kind !== 'local'),
  ]);
}

const isSmtp = ({kind}: Entrance): boolean => kind === 'smtp' || kind === 'postscreen';

const unknownEntrance = (entrances: readonly Entrance[], wanted: string): Result<never> =>
  fail(
    problem(
      'usage.entrance',
      `No mail comes in by "${visible(wanted)}" here.`,
      entrances.length === 0
        ? 'No mail server is known on this host.'
        : `Use one of: ${listed(entrances.map(({id}) => id))}.`,
    ),
  );

/** The running signer is asked about so many messages. */
const MOST_ASKED = 8;

const AGREED = {id: 'explain.agreed', title: 'The running signer says the same'} as const;

/**
 * The answers held against the running signer. It is asked only about a message that it signs or leaves alone by the
 * picture: one that it refuses, or that nothing can be said about, could harm it. A disagreement is a fault in waxseal.
 */
export async function agreement(
  ports: Pick<Ports, 'sockets' | 'clock' | 'random'>,
  explained: readonly Explained[],
  signal: AbortSignal,
): Promise<readonly Check[]> {
  const asked = new Map<string, SignerAsked>();
  for (const {answer} of explained) {
    for (const each of answer.asked) {
      const {client, from, macros, signer} = each;
      asked.set(JSON.stringify([signer.unit, signer.endpoints, client, from, [...macros]]), each);
    }
  }
  const checks: Check[] = [];
  for (const {signer, client, envelope, macros, answer, from} of [...asked.values()].slice(0, MOST_ASKED)) {
    const [place] = signer.endpoints;
    const isHarmless = answer.outcome === 'signed' || answer.outcome === 'unsigned';
    if (!signer.isRunning || place === undefined) continue;
    if (!isHarmless) {
      const evidence = `${signer.program} was not asked`;
      const cause = 'A message that it refuses could harm the running signer.';
      checks.push({...AGREED, status: 'skip', evidence, cause, fix: ''});
      continue;
    }
    const about = {address: from, client, macros, ...(envelope === undefined ? {} : {envelope})};
    const {mark} = await askSigner(ports, place.endpoint, about, signal);
    checks.push(agreedCheck(signer.program, answer, mark));
  }
  return once(checks);
}

const once = (checks: readonly Check[]): readonly Check[] => [
  ...new Map(checks.map(check => [`${check.status} ${check.evidence}`, check])).values(),
];

function agreedCheck(program: string, {outcome, by}: SignerAsked['answer'], mark: Mark): Check {
  const expected = outcome === 'signed' ? by.map(textOf).sort().join(', ') : 'not signed';
  const said =
    mark.state === 'signed'
      ? mark.by.map(textOf).sort().join(', ')
      : mark.state === 'unsigned'
        ? 'not signed'
        : `no answer (${mark.why})`;
  const evidence = visible(`${program}: ${said}`);
  if (said === expected) return {...AGREED, status: 'pass', evidence, cause: '', fix: ''};
  if (mark.state === 'broken') {
    return {
      ...AGREED,
      status: 'warn',
      evidence,
      cause: visible(`By its configuration: ${expected}.`),
      fix: 'Look for what is wrong with it: sudo waxseal check',
    };
  }
  return {
    ...AGREED,
    status: 'fail',
    evidence,
    cause: visible(
      `By its configuration waxseal expects: ${expected}. Either it still runs with an older configuration, or this is a bug in waxseal.`,
    ),
    fix: 'Reload the signer and run this again. If it stays so, report it with the lines above.',
  };
}

const textOf = ({domain, selector}: {readonly domain: string; readonly selector: string}): string =>
  `d=${domain.toLowerCase()} s=${selector.toLowerCase()}`;

/** Passes where every way ends with a good signature. */
export const explainChecks = (explained: readonly Explained[]): readonly Check[] =>
  explained.map(explainedCheck);
