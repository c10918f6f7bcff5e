/** Whether one message would be signed: the answer of the picture on each way that is meant, and what the signer says to it. */
import {type Explained, explainedCheck} from '../doctor/answer.ts';
import {STATE_DIRECTORY} from '../domain/places.ts';
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
import type {Mark} from '../proof/ask.ts';
import type {Check} from '../proof/proof.ts';
import type {HostFacts} from '../services/facts.ts';
import type {Entrance} from '../services/mta.ts';
import {readConfiguration} from '../services/read-snapshot.ts';
import {SIGNER} from '../services/registry.ts';
import type {Trial} from '../services/trial.ts';
import type {Ports} from '../system/ports.ts';
import {askAt} from './kept.ts';
import {type PreflightPorts, withTrial} from './trial.ts';

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

/** Signers are asked about so many messages. */
const MOST_ASKED = 8;

/** The temporary signer of the host's configuration, and the view of the picture that it stands for. */
export interface Stand {
  readonly trial: Trial;
  readonly unit: string;
}

/** What can stand for the signer that is set up; undefined where its configuration cannot be read. */
export async function standFor(ports: Ports, facts: HostFacts): Promise<Stand | undefined> {
  const {layout, signer} = facts;
  if (layout === undefined || signer === undefined) return undefined;
  const snapshot = await readConfiguration(ports, facts);
  const trial = SIGNER.currentTrial({facts, snapshot, layout});
  return trial === undefined ? undefined : {trial, unit: signer.unit};
}

/**
 * The answers held against signers. A temporary one with the same configuration and account is asked about every message
 * where it can be run; the running one only about a message that it signs or leaves alone by the picture: one that it
 * refuses, or that nothing can be said about, could harm it. Where the temporary one differs, that is a fault in waxseal.
 */
export async function agreement(
  ports: PreflightPorts,
  explained: readonly Explained[],
  stand: Stand | undefined,
  signal: AbortSignal,
): Promise<readonly Check[]> {
  const each = new Map<string, SignerAsked>();
  for (const {answer} of explained) {
    for (const asked of answer.asked) {
      const {client, from, macros, signer, envelope} = asked;
      const about = [signer.unit, signer.endpoints, client, from, envelope, [...macros]];
      each.set(JSON.stringify(about), asked);
    }
  }
  const all = [...each.values()].slice(0, MOST_ASKED);
  const own = all.filter(({signer}) => signer.unit === stand?.unit);
  const trial =
    stand === undefined || own.length === 0
      ? undefined
      : await withTrial(ports, {trial: stand.trial, stateDirectory: STATE_DIRECTORY, signal}, endpoint =>
          asksOf(own, async asked => triedCheck(asked, (await askAt(ports, endpoint, asked, signal)).mark)),
        );
  const tried = trial !== undefined && 'done' in trial ? trial.done : undefined;
  const untried: readonly Check[] =
    trial !== undefined && 'refused' in trial ? [{...TRIED, ...trial.refused, status: 'skip'}] : [];
  const running = await asksOf(all, async asked => {
    const {signer, answer} = asked;
    const [place] = signer.endpoints;
    if (!signer.isRunning || place === undefined) return undefined;
    if (answer.outcome === 'signed' || answer.outcome === 'unsigned') {
      return agreedCheck(asked, (await askAt(ports, place.endpoint, asked, signal)).mark);
    }
    if (tried !== undefined && own.includes(asked)) return undefined;
    const evidence = `${signer.program} was not asked`;
    const cause = 'A message that it refuses could harm the running signer.';
    return {...AGREED, status: 'skip', evidence, cause, fix: ''};
  });
  return once([...(tried ?? untried), ...running]);
}

async function asksOf(
  asks: readonly SignerAsked[],
  ask: (asked: SignerAsked) => Promise<Check | undefined>,
): Promise<readonly Check[]> {
  const checks: Check[] = [];
  for (const asked of asks) {
    const check = await ask(asked);
    if (check !== undefined) checks.push(check);
  }
  return checks;
}

const once = (checks: readonly Check[]): readonly Check[] => [
  ...new Map(checks.map(check => [`${check.id} ${check.status} ${check.evidence}`, check])).values(),
];

const AGREED = {id: 'explain.agreed', title: 'The running signer says the same'} as const;
const TRIED = {
  id: 'explain.tried',
  title: 'A temporary signer with this configuration says the same',
} as const;

/** What the picture expects, and what the signer did, in the same words. */
function compared({answer: {outcome, by}}: SignerAsked, mark: Mark): {expected: string; said: string} {
  const expected =
    outcome === 'signed' ? by.map(textOf).sort().join(', ') : outcome === 'unsigned' ? 'not signed' : outcome;
  const said =
    mark.state === 'signed'
      ? mark.by.map(textOf).sort().join(', ')
      : mark.state === 'unsigned'
        ? 'not signed'
        : outcome === 'refused'
          ? 'refused'
          : `no answer (${mark.why})`;
  return {expected, said};
}

/** The temporary signer's word against the picture's. */
export function triedCheck(asked: SignerAsked, mark: Mark): Check {
  const {program} = asked.signer;
  const {expected, said} = compared(asked, mark);
  const evidence = visible(`temporary ${program}: ${said}`);
  if (said === expected || asked.answer.outcome === 'unknown') {
    return {...TRIED, status: 'pass', evidence, cause: '', fix: ''};
  }
  return {
    ...TRIED,
    status: 'fail',
    evidence,
    cause: visible(
      `waxseal's reading of this host and the signer's answer differ: waxseal expects ${expected}, a temporary ${program} with the same configuration says ${said}.`,
    ),
    fix: 'This is a bug in waxseal. Report it with the lines above and the configuration files that they name, but no private keys. Until then, believe the signer.',
  };
}

function agreedCheck(asked: SignerAsked, mark: Mark): Check {
  const {program} = asked.signer;
  const {expected, said} = compared(asked, mark);
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
