/**
 * Would this message be signed? Walks the picture as the message would walk the host: entrance, passes, milters in
 * order, the decision of each signer, and what comes after the signature. Pure; nothing is sent.
 */
import type {AbsolutePath} from '../domain/paths.ts';
import type {Decision} from '../domain/source.ts';
import {visible} from '../domain/text.ts';
import type {Breaker, Entrance, MilterHop, MilterStage, Pass} from '../services/mta.ts';
import type {SignerView, SigningAnswer, SigningRow} from '../services/signer.ts';
import {filterOf, type HostPicture, placeText, reachKey, signerAt} from './picture.ts';

export interface Client {
  /** As the MTA has it: a name, or the address in brackets. */
  readonly name: string;
  readonly address: string;
}

export const LOCALHOST: Client = {name: 'localhost', address: '127.0.0.1'};

export interface MailQuestion {
  /** Address in the From field as it is handed in. */
  readonly from: string;
  /** Address in the Sender field, where there is one. */
  readonly sender?: string;
  /** Sender of the envelope; where it is absent, that of From. */
  readonly envelope?: string;
  /** Who hands it in; of no effect at entrances that only this host itself uses. */
  readonly client: Client;
  readonly authenticated: boolean;
  /** The name of the login; where it is absent, the address in From. */
  readonly login?: string;
  readonly recipients: readonly string[];
}

export interface SignatureMade {
  /** d= and s=, lower case. */
  readonly domain: string;
  readonly selector: string;
  readonly keyPath: AbsolutePath | undefined;
  readonly row: SigningRow;
  /** The program that signs, and the service of the MTA that asked it. */
  readonly program: string;
  readonly service: string;
  /** Whether this signature verifies when the message leaves. */
  readonly survives: Survival;
}

export type Survival = 'yes' | 'no' | 'depends';

/** `stops`: keeps the message from being signed here. `unknown`: nothing can be said about what it does. */
export type StepKind = 'passes' | 'signs' | 'stops' | 'refuses' | 'breaks' | 'unknown';

export interface AnswerStep {
  readonly kind: StepKind;
  /** The service of the MTA, or the program, that decides. */
  readonly by: string;
  readonly decision: Decision;
}

export interface MailAnswer {
  readonly outcome: 'signed' | 'unsigned' | 'refused' | 'unknown';
  /** In the order in which they are made: none, one, or more where a message passes a signer twice. */
  readonly signatures: readonly SignatureMade[];
  /** Of a signed message: whether it leaves with a signature that verifies, by the best of them. */
  readonly survives: Survival;
  /** The address in From after the last pass. */
  readonly from: string;
  /** Every decision on the way, in order. */
  readonly steps: readonly AnswerStep[];
  /** The first step that says so; undefined where the message leaves with a good signature. */
  readonly because: AnswerStep | undefined;
  /** In order: each time that a signer sees the message as a whole. */
  readonly asked: readonly SignerAsked[];
}

export const wouldSign = (picture: HostPicture, entrance: Entrance, question: MailQuestion): MailAnswer =>
  createAsker(picture)(entrance, question);

/** What a signer was asked on the way, and what it would answer. */
export interface SignerAsked {
  readonly signer: SignerView;
  readonly client: Client;
  /** The address in From as it sees it. */
  readonly from: string;
  /** Sender of the envelope, '' for a bounce; where it is absent, that of From. */
  readonly envelope?: string;
  readonly macros: ReadonlyMap<string, string>;
  readonly answer: SigningAnswer;
}

export type Ask = (entrance: Entrance, question: MailQuestion) => MailAnswer;

/** For many questions about one picture: what does not depend on the sender is worked out once. */
export function createAsker(picture: HostPicture): Ask {
  const prepared = new Map<Entrance, Map<string, readonly PreparedPass[]>>();
  const signers = new Map<SignerView, number>(picture.signers.map((signer, index) => [signer, index]));
  let about = '';
  let answers = new Map<string, SignerAsked>();
  const passesOf = (entrance: Entrance, question: MailQuestion): readonly PreparedPass[] => {
    const isLoggedIn = question.authenticated;
    const key = `${question.client.name} ${question.client.address} ${isLoggedIn}`;
    const known = prepared.get(entrance) ?? new Map<string, readonly PreparedPass[]>();
    prepared.set(entrance, known);
    const before = known.get(key);
    if (before !== undefined) return before;
    // A filter tells nothing of the login of the client before it.
    const passes = entrance.passes.map((pass, at) =>
      prepare(picture, pass, question.client, isLoggedIn && at === 0),
    );
    known.set(key, passes);
    return passes;
  };
  return (entrance, question) => {
    const {from, sender, envelope, login, recipients} = question;
    const subject = JSON.stringify([from, sender, envelope, login, recipients]);
    if (subject !== about) {
      about = subject;
      answers = new Map();
    }
    const askSigner: AskSigner = (signer, {client}, {macros: sent, likeness}, senders) => {
      const isBounce = entrance.kind === 'bounce';
      const key = `${signers.get(signer)} ${likeness} ${senders.from} ${senders.sender ?? ''} ${isBounce}`;
      const before = answers.get(key);
      if (before !== undefined) return before;
      const told = {client, ...envelopeOf(entrance, question), macros: filled(sent, question)};
      const answer = signer.wouldSign({...senders, ...told, recipients: question.recipients});
      const asked = {signer, ...told, from: senders.from, answer};
      answers.set(key, asked);
      return asked;
    };
    return walk(entrance, question, passesOf(entrance, question), askSigner);
  };
}

/** A bounce has no sender that could get another one. */
const envelopeOf = (entrance: Entrance, {envelope}: MailQuestion): Pick<MailQuestion, 'envelope'> =>
  entrance.kind === 'bounce' ? {envelope: ''} : envelope === undefined ? {} : {envelope};

interface PreparedHop {
  readonly hop: MilterHop;
  readonly signer: SignerView | undefined;
  /** Why it cannot be used; undefined where it can, as far as is known. */
  readonly trouble: string | undefined;
  readonly answers: boolean;
  readonly macros: ReadonlyMap<string, string>;
  /** Equal for hops that a signer cannot tell apart. */
  readonly likeness: string;
}

interface PreparedPass {
  readonly pass: Pass;
  readonly milters: Pass['milters'];
  /** What chose the list for this client; `unclear` where that cannot be told. */
  readonly winner: Decision | undefined;
  readonly unclear: Decision | undefined;
  readonly hops: readonly PreparedHop[];
  /** The content filter behind the milters, where that may sign. */
  readonly filter: SignerView | undefined;
  readonly client: Client;
  readonly isLoggedIn: boolean;
}

const LOGGED_IN: readonly (readonly [string, string])[] = [
  ['{auth_type}', 'PLAIN'],
  ['{auth_authen}', ''],
  ['{auth_author}', ''],
];

function prepare(picture: HostPicture, pass: Pass, client: Client, isLoggedIn: boolean): PreparedPass {
  const seen = pass.client === 'localhost' ? LOCALHOST : client;
  const values = new Map<string, string>([
    ...(isLoggedIn ? LOGGED_IN : []),
    ['{client_addr}', seen.address],
    ['{client_name}', seen.name],
    ['_', `${seen.name} [${seen.address}]`],
    ['i', 'ABCDEF12345'],
  ]);
  const {milters, winner, unclear} = listFor(pass, seen);
  const hops =
    'fatal' in milters
      ? []
      : milters.map((hop): PreparedHop => {
          const signer = signerAt(picture.signers, hop);
          const macros = macrosFor(pass, signer, values);
          const likeness = JSON.stringify([seen, [...macros]]);
          return {hop, signer, ...stateOf(picture, pass, hop, signer), macros, likeness};
        });
  const filter = filterOf(picture.signers, pass);
  return {...{pass, milters, winner, unclear, hops, filter, isLoggedIn}, client: seen};
}

/** The milters for one client: a list by its address comes before that of the service. */
function listFor(pass: Pass, {address}: Client): Pick<PreparedPass, 'milters' | 'winner' | 'unclear'> {
  const [winner] = pass.decidedBy;
  for (const {covers, milters, decision} of pass.byClient) {
    const isCovered = covers(address);
    if (isCovered === 'unknown') return {milters: pass.milters, winner, unclear: decision};
    if (isCovered) return {milters, winner: decision, unclear: undefined};
  }
  return {milters: pass.milters, winner, unclear: undefined};
}

/**
 * What a signer knows of the client. A macro of a later step takes the place of an earlier one; where the signer asks for
 * macros of its own, they take the place of the list for the end of the headers.
 */
function macrosFor(
  pass: Pass,
  signer: SignerView | undefined,
  values: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const sent = new Map<string, string>();
  const asked = signer?.asksFor;
  for (const stage of STAGES) {
    const isAsked = asked !== undefined && stage === 'eoh';
    const names = isAsked
      ? [...pass.macrosOnRequest.eoh].filter(([name]) => asked.includes(name))
      : [...pass.macros[stage]];
    for (const [name, fixed] of names) {
      // A fixed value is a default: what the client really has comes before it.
      const value = values.get(name) ?? fixed;
      if (value !== undefined) sent.set(name, value);
      else if (ABOUT_THE_MESSAGE.has(name)) sent.set(name, '');
    }
  }
  return sent;
}

const STAGES: readonly MilterStage[] = ['connect', 'helo', 'mail', 'rcpt', 'data', 'eoh', 'eom'];

const ABOUT_THE_MESSAGE: ReadonlySet<string> = new Set(['{mail_addr}', '{rcpt_addr}']);

/** The macros with what depends on the message filled in. */
function filled(macros: ReadonlyMap<string, string>, question: MailQuestion): ReadonlyMap<string, string> {
  const [recipient = ''] = question.recipients;
  const {from, sender = from, login = from} = question;
  const values = {
    '{mail_addr}': sender,
    '{rcpt_addr}': recipient,
    '{auth_authen}': login,
    '{auth_author}': login,
  };
  const open = Object.entries(values).filter(
    ([name]) => macros.has(name) && (ABOUT_THE_MESSAGE.has(name) || macros.get(name) === ''),
  );
  if (open.length === 0) return macros;
  const all = new Map([...macros, ...open]);
  return all;
}

function stateOf(
  picture: HostPicture,
  pass: Pass,
  hop: MilterHop,
  signer: SignerView | undefined,
): Pick<PreparedHop, 'trouble' | 'answers'> {
  const reach = picture.reach.get(reachKey(pass, hop));
  const trouble =
    hop.endpoint === undefined || hop.fault !== undefined
      ? (hop.fault ?? 'names nothing that can be connected to')
      : reach !== undefined && reach.outcome !== 'answers'
        ? `can't be used: ${reach.detail}`
        : reach === undefined && signer?.isRunning === false
          ? `leads to ${signer.program}, which isn't running`
          : undefined;
  return {trouble, answers: reach?.outcome === 'answers'};
}

/** The addresses in From and Sender at one place of the way. */
interface Senders {
  readonly from: string;
  readonly sender?: string;
}

interface Rewritten {
  readonly address: string;
  readonly steps: readonly AnswerStep[];
  /** Each rule that changed it. */
  readonly changes: readonly Decision[];
}

/** An address in From or Sender after every rule of a pass. */
function rewritten(
  {pass, hops, client, isLoggedIn}: PreparedPass,
  mayLogIn: boolean,
  field: 'from' | 'sender',
  address: string,
): Rewritten {
  const by = {address: client.address, authenticated: isLoggedIn && mayLogIn};
  let now = address;
  const steps: AnswerStep[] = [];
  const changes: Decision[] = [];
  for (const {decision, only, rewrite} of pass.rewrites) {
    if (only !== undefined && only !== field) continue;
    const next = rewrite(now, by);
    if (next === undefined || next === now) continue;
    if (next === 'unknown') {
      steps.push({kind: hops.length === 0 ? 'passes' : 'unknown', by: pass.service, decision});
      continue;
    }
    const says = `${visible(now)} becomes ${visible(next)}`;
    const when = hops.length === 0 ? '' : ' before milters see it';
    steps.push({kind: 'passes', by: pass.service, decision: {...decision, says: `${says}${when}.`}});
    changes.push({...decision, says: `${says} at ${pass.service}, after mail was signed.`});
    now = next;
  }
  return {address: now, steps, changes};
}

/** As signers have it. */
function withLowerDomain(address: string): string {
  const at = address.lastIndexOf('@');
  return at < 0 ? address : address.slice(0, at) + address.slice(at).toLowerCase();
}

type AskSigner = (signer: SignerView, pass: PreparedPass, hop: PreparedHop, senders: Senders) => SignerAsked;

function walk(
  entrance: Entrance,
  question: MailQuestion,
  passes: readonly PreparedPass[],
  askSigner: AskSigner,
): MailAnswer {
  const now: {from: string; sender: string | undefined} = {from: question.from, sender: question.sender};
  const steps: AnswerStep[] = [...atTheDoor(entrance, question)];
  const rewrites: Rewriting[] = [];
  const made: Made[] = [];
  const asked: SignerAsked[] = [];
  /** What comes after a signature and changes what it signs. What is known to change a sender stands there already. */
  const breakersOf = ({at, invalid}: Made): readonly BreakerOnWay[] => {
    const late = rewrites.filter(({pass}) => pass > at.pass);
    const isKnown = ({where, decision: {name}}: Breaker): boolean =>
      where === 'second-pass' && late.some(({decision}) => decision.name === name);
    const none = invalid === undefined ? [] : [{decision: invalid, isCertain: true}];
    return [
      ...none,
      ...late,
      ...entrance.breakers.filter(each => isAfter(each, at, passes.length) && !isKnown(each)),
    ];
  };
  const answer = (outcome: MailAnswer['outcome'], kinds: readonly StepKind[]): MailAnswer => ({
    ...{outcome, from: withLowerDomain(now.from), steps, asked, survives: 'yes'},
    signatures: made.map(each => ({
      ...each.signature,
      survives: survivalOf(breakersOf(each), entrance.isPassUncertain),
    })),
    because: steps.find(({kind}) => kinds.includes(kind)),
  });
  if (steps.some(({kind}) => kind === 'refuses')) return answer('refused', ['refuses']);
  if (entrance.passes.length === 0) {
    const says = 'Mail on this way passes no milter: it keeps the signature that it has.';
    steps.push({kind: 'stops', by: entrance.id, decision: entranceDecision(entrance, says)});
  }
  for (const [index, pass] of passes.entries()) {
    for (const field of ['from', 'sender'] as const) {
      const before = now[field];
      if (before === undefined) continue;
      const after = rewritten(pass, entrance.login !== 'no', field, before);
      now[field] = after.address;
      steps.push(...after.steps);
      // From is in every signature (RFC 6376 §5.4), Sender in some.
      const isCertain = field === 'from' && !entrance.isPassUncertain;
      if (after.address !== before)
        rewrites.push(...after.changes.map(decision => ({decision, pass: index, isCertain})));
    }
    const senders: Senders = {
      from: withLowerDomain(now.from),
      ...(now.sender === undefined ? {} : {sender: withLowerDomain(now.sender)}),
    };
    const sign: Found['sign'] = (milter, signature, invalid) => {
      made.push({signature, at: {pass: index, milter}, invalid});
    };
    const clear = (): void => {
      made.length = 0;
    };
    for (const step of stepsOf(pass, senders, askSigner, {asked, sign, clear})) {
      steps.push(step);
      if (step.kind === 'refuses') return answer('refused', ['refuses']);
    }
  }
  const last = made.at(-1);
  if (last === undefined) {
    const isUnknown = entrance.isPassUncertain || steps.some(({kind}) => kind === 'unknown');
    if (entrance.isPassUncertain) steps.push(uncertain(entrance));
    return isUnknown ? answer('unknown', ['unknown']) : answer('unsigned', ['stops']);
  }
  // Whatever breaks the last signature breaks those before it.
  const breakers = breakersOf(last);
  const earlier = new Map<Decision, Made>();
  for (const each of made) {
    for (const {decision} of breakersOf(each)) {
      if (!breakers.some(known => known.decision === decision)) earlier.set(decision, each);
    }
  }
  const survives = survivalOf(breakers, entrance.isPassUncertain);
  for (const {decision} of breakers) steps.push({kind: 'breaks', by: decision.name, decision});
  const signed = answer('signed', ['breaks']);
  for (const [decision, {signature}] of earlier) {
    const says = `${decision.says} That breaks the signature made at ${signature.service} only.`;
    steps.push({kind: 'breaks', by: decision.name, decision: {...decision, says}});
  }
  return {...signed, survives};
}

type BreakerOnWay = Pick<Breaker, 'decision' | 'isCertain'>;

const survivalOf = (breakers: readonly BreakerOnWay[], isPassUncertain: boolean): Survival =>
  breakers.some(({isCertain}) => isCertain)
    ? 'no'
    : breakers.length > 0 || isPassUncertain
      ? 'depends'
      : 'yes';

/** A signature, and where it was made. */
interface Made {
  readonly signature: Omit<SignatureMade, 'survives'>;
  readonly at: SignedAt;
  readonly invalid: Decision | undefined;
}

/** A rule that changed From or Sender, and in which pass. */
interface Rewriting extends BreakerOnWay {
  readonly pass: number;
}

/** The milter that signed, and in which pass. */
interface SignedAt {
  readonly pass: number;
  readonly milter: number;
}

/** A filter and a second pass come before a signature of the last pass, and do it no harm; so do milters before a signer. */
function isAfter({where, after}: Breaker, signed: SignedAt, passes: number): boolean {
  if (after !== undefined)
    return after.pass > signed.pass || (after.pass === signed.pass && after.milter > signed.milter);
  return (where !== 'filter' && where !== 'second-pass') || signed.pass < passes - 1;
}

const entranceDecision = ({id, listensOn, source}: Entrance, says: string): Decision => ({
  ...{name: id, value: listensOn, source, says},
});

const uncertain = (entrance: Entrance): AnswerStep => ({
  kind: 'unknown',
  by: entrance.id,
  decision: entranceDecision(entrance, "How mail comes back from the filter can't be told."),
});

function atTheDoor(entrance: Entrance, {client, authenticated}: MailQuestion): readonly AnswerStep[] {
  const refused = entrance.refuses?.({address: client.address, authenticated});
  if (refused !== undefined) return [{kind: 'refuses', by: entrance.id, decision: refused}];
  if (entrance.login === 'must' && !authenticated) {
    const decision = entranceDecision(entrance, 'Only clients that log in may send here.');
    return [{kind: 'refuses', by: entrance.id, decision}];
  }
  if (entrance.login === 'no' && authenticated && entrance.listensOn !== '') {
    const decision = entranceDecision(
      entrance,
      "Clients can't log in here as it is set up; this is about one that has logged in all the same.",
    );
    return [{kind: 'passes', by: entrance.id, decision}];
  }
  return [];
}

/** What the walk has found so far. */
interface Found {
  readonly asked: SignerAsked[];
  /** Hears of each signature, and which milter of the pass made it. */
  sign(milter: number, signature: Made['signature'], invalid: Decision | undefined): void;
  /** Takes out what was signed before. */
  clear(): void;
}

function* stepsOf(
  prepared: PreparedPass,
  senders: Senders,
  askSigner: AskSigner,
  {asked, sign, clear}: Found,
): Generator<AnswerStep> {
  const {pass, milters, winner, unclear, hops, filter} = prepared;
  const {service} = pass;
  const about = (says: string, value = winner?.value ?? ''): Decision => ({
    name: winner?.name ?? service,
    value,
    source: winner?.source ?? {by: 'default', program: service},
    says,
  });
  if ('fatal' in milters) {
    yield {kind: 'refuses', by: service, decision: about(`${service} takes no mail: ${milters.fatal}`)};
    return;
  }
  if (unclear !== undefined) yield {kind: 'unknown', by: service, decision: unclear};
  if (winner !== undefined)
    yield {kind: milters.length === 0 ? 'stops' : 'passes', by: service, decision: winner};
  for (const [index, each] of hops.entries()) {
    const {hop, signer, trouble, answers} = each;
    if (trouble !== undefined) {
      yield {kind: DOWN[hop.whenDown], by: service, decision: about(downText(hop, trouble), hop.text)};
      continue;
    }
    if (!pass.hasContent) {
      const decision = pass.next?.decision ?? about('');
      const says = `${hop.text} sees the envelope only, before the filter: it can't sign.`;
      yield {kind: 'stops', by: service, decision: {...decision, says}};
      continue;
    }
    if (signer === undefined) {
      const says = answers
        ? `A program that waxseal doesn't know answers at ${hop.text}; it may sign.`
        : `No signer that waxseal knows is set up for ${hop.text}.`;
      yield {kind: 'unknown', by: service, decision: about(says, hop.text)};
      continue;
    }
    const question = askSigner(signer, prepared, each, senders);
    const {answer} = question;
    asked.push(question);
    if (answer.outcome === 'unsigned' && prepared.isLoggedIn && !each.macros.has('{auth_type}')) {
      const told = askSigner(signer, prepared, withLogin(each), senders);
      if (told.answer.outcome === 'signed') yield {kind: 'stops', by: service, decision: pass.loginMacros};
    }
    const last = answer.decisions.length - 1;
    for (const [at, decision] of answer.decisions.entries()) {
      const end = answer.dies === true ? DOWN[hop.whenDown] : ENDS[answer.outcome];
      yield {kind: at === last ? end : 'passes', by: signer.program, decision};
    }
    if (answer.removesOlder === true) clear();
    for (const by of answer.by) sign(index, {...by, program: signer.program, service}, answer.invalid);
  }
  if (filter === undefined) return;
  const {client} = prepared;
  const {outcome, decisions} = filter.wouldSign({...senders, client, macros: new Map(), recipients: []});
  for (const decision of decisions) yield {kind: ENDS[outcome], by: filter.program, decision};
}

/** The same client, had its login been told. */
const withLogin = (hop: PreparedHop): PreparedHop => ({
  ...{...hop, macros: new Map([...hop.macros, ...LOGGED_IN])},
  likeness: `${hop.likeness} with login`,
});

const ENDS: Readonly<Record<SigningAnswer['outcome'], StepKind>> = {
  signed: 'signs',
  unsigned: 'stops',
  refused: 'refuses',
  unknown: 'unknown',
};

const DOWN: Readonly<Record<MilterHop['whenDown'], StepKind>> = {
  unsigned: 'stops',
  delayed: 'refuses',
  refused: 'refuses',
  held: 'refuses',
  unknown: 'unknown',
};

const BECOMES: Readonly<Record<MilterHop['whenDown'], string>> = {
  unsigned: 'mail leaves unsigned',
  delayed: 'mail is refused for the time being',
  refused: 'mail is refused',
  held: 'mail is put on hold',
  unknown: "what becomes of mail can't be told",
};

const downText = (hop: MilterHop, trouble: string): string =>
  `${hop.endpoint === undefined ? `"${hop.text}"` : placeText(hop.endpoint)} ${trouble}, so ${BECOMES[hop.whenDown]}.`;
