/**
 * Nobody loses a signature by a change: the running signer is queried about every sender that it has a rule for, before
 * and after, not only about the domains of the plan. Nothing is sent.
 */
import {isWithin} from '../domain/names.ts';
import {visible} from '../domain/text.ts';
import type {Ports, SocketEndpoint} from '../system/ports.ts';
import {askSigner, type Mark, type Signature} from './ask.ts';
import {checkFrom, failed, passed, warned} from './finding.ts';
import {journalLines} from './journal.ts';
import type {Check, ProofReport} from './proof.ts';
import {sampleOf} from './sample.ts';

type KeptPorts = Pick<Ports, 'commands' | 'sockets' | 'clock' | 'random'>;

/** A sender whose mail is signed, or would be, by a rule of the signer. */
export interface Sender {
  readonly address: string;
  /** The domain that its rule is for, lower case; '' for a rule of any domain. */
  readonly domain: string;
  /** For a sentence: the address, and the rule that it stands for, made harmless. */
  readonly text: string;
}

/** Whose mail the rules in effect sign: one address for each. */
export interface Senders {
  readonly all: readonly Sender[];
  /** Sources of rules that cannot be read, for a person. */
  readonly unread: readonly string[];
  /** Whether a change touches what decides about this sender. */
  isTouched(sender: Sender): boolean;
}

/** The signer that is queried. */
export interface QueriedSigner {
  /** As its makers write it. */
  readonly program: string;
  /** Its name in the journal. */
  readonly logTag: string;
  /** What to do about a sender that it signs no more. */
  readonly lostHint: string;
}

/** Another program that may sign here. */
export interface OtherSigning {
  /** As its makers write it. */
  readonly program: string;
  readonly signs: 'yes' | 'perhaps' | 'no';
  /** Whose mail it signs, lower case; absent where that is not known. */
  readonly domains?: {readonly known: readonly string[]};
}

/** The host before a change: who was queried, and what became of their mail. */
export interface SignedBefore {
  readonly signer: QueriedSigner;
  readonly marks: readonly {readonly sender: Sender; readonly mark: Mark}[];
  /** How many senders the rules in effect have. */
  readonly total: number;
  /** Sources of rules that could not be read: their senders are not known. */
  readonly unread: readonly string[];
  readonly others: readonly OtherSigning[];
}

/** What a change is meant to do: domains that get the named selector, or, where it is undefined, no signature of their own. */
export interface Meant {
  readonly domain: string;
  readonly selector: string | undefined;
}

const KEPT = {id: 'live.kept', title: 'Signatures of all senders, before and after'} as const;
const SAMPLE = 20;
/** Senders whose rows a plan touches, over and above the sample. */
const MOST_TOUCHED = 200;
const NAMED = 10;

/**
 * Queries the live signer at `endpoint` about the senders of the rules in effect: all, or, of more than 20, those that
 * the change touches and 20 by chance. Rejects only with the reason of an abort.
 */
export async function signedBefore(
  ports: KeptPorts,
  host: {
    readonly signer: QueriedSigner;
    readonly endpoint: SocketEndpoint;
    readonly others: readonly OtherSigning[];
  },
  {all, unread, isTouched}: Senders,
  signal?: AbortSignal,
): Promise<SignedBefore> {
  const {signer, endpoint, others} = host;
  const touched = all.length <= SAMPLE ? all : sampleOf(all.filter(isTouched), MOST_TOUCHED, ports.random);
  const chosen = new Set([...touched, ...sampleOf(all, SAMPLE, ports.random)]);
  const senders = all.filter(sender => chosen.has(sender));
  const marks = await marksOf(ports, endpoint, senders, signal);
  return {
    signer,
    marks: senders.flatMap(sender => {
      const mark = marks.get(sender.address);
      return mark === undefined ? [] : [{sender, mark}];
    }),
    total: all.length,
    unread,
    others,
  };
}

/** One conversation a sender; after the first silence nobody else is queried, for each would take minutes. */
async function marksOf(
  ports: KeptPorts,
  endpoint: SocketEndpoint,
  senders: readonly Sender[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Mark>> {
  const marks = new Map<string, Mark>();
  for (const {address} of senders) {
    const {mark, isSilent} = await askSigner(ports, endpoint, {address}, signal);
    marks.set(address, mark);
    if (isSilent) break;
  }
  return marks;
}

/**
 * The check `live.kept`: each sender of `before` is queried again at `endpoint`. It fails where one is not signed any
 * more, or by another domain or selector than before, unless the change was `meant` to do that; also where another
 * signer was switched off and a domain of its is not signed now. undefined where nothing was signed before.
 */
export async function keptCheck(
  ports: KeptPorts,
  input: {
    readonly before: SignedBefore;
    readonly endpoint: SocketEndpoint;
    readonly meant: readonly Meant[];
    /** Who else signs now: whoever did and is not among them was switched off. */
    readonly otherSigners: readonly OtherSigning[];
  },
  signal?: AbortSignal,
): Promise<Check | undefined> {
  const {before, endpoint, meant} = input;
  const since = ports.clock.now();
  const signed = before.marks.filter(
    ({sender, mark}) => mark.state === 'signed' && !mark.by.every(each => isGivenUp(sender, each, meant)),
  );
  const {program, logTag, lostHint} = before.signer;
  const taken = takenOver(before.others, input.otherSigners);
  if (signed.length + taken.length === 0) return undefined;
  const after = await marksOf(ports, endpoint, [...signed.map(({sender}) => sender), ...taken], signal);
  const now = (sender: Sender): Mark =>
    after.get(sender.address) ?? {state: 'broken', why: `${program} doesn't answer`};
  const losses = [
    ...signed.flatMap(({sender, mark}) => {
      const loss = lossOf(sender, mark, now(sender), {program, meant});
      return loss === undefined ? [] : [loss];
    }),
    ...taken.flatMap(({by, ...sender}) => {
      const mark = now(sender);
      const isSigned = mark.state === 'signed' && mark.by.some(({domain}) => isWithin(sender.domain, domain));
      return isSigned ? [] : [`${sender.text} was signed by ${by}; ${becomes(mark, program)}`];
    }),
  ];
  const evidence = evidenceOf(before, signed.length + taken.length, losses);
  const [first] = losses;
  if (first !== undefined) {
    const lines = await journalLines(ports, logTag, since);
    return checkFrom(
      KEPT.id,
      KEPT.title,
      failed(
        [evidence, ...lines].join('; '),
        `${losses.slice(0, 3).join('; ')}.${losses.length > 3 ? ` ${losses.length - 3} more lost theirs.` : ''}`,
        lostHint,
      ),
    );
  }
  const broken = before.marks.some(({mark}) => mark.state === 'broken');
  return checkFrom(
    KEPT.id,
    KEPT.title,
    broken
      ? warned(
          evidence,
          `${program} refused or deferred mail of these senders before this change, too.`,
          `sudo waxseal explain ${firstBroken(before)}`,
        )
      : passed(evidence),
  );
}

const firstBroken = ({marks}: SignedBefore): string =>
  visible(marks.find(({mark}) => mark.state === 'broken')?.sender.address ?? '');

/** The domains of signers that were at work before and are not now, as senders; `by` is the signer. */
const takenOver = (
  before: readonly OtherSigning[],
  now: readonly OtherSigning[],
): readonly (Sender & {readonly by: string})[] =>
  before
    .filter(
      ({signs, program}) =>
        signs !== 'no' && !now.some(each => each.program === program && each.signs !== 'no'),
    )
    .flatMap(({program, domains}) =>
      (domains?.known ?? []).map(domain => ({
        address: `postmaster@${domain}`,
        domain,
        text: visible(domain),
        by: program,
      })),
    );

/** What became of a signature that is not there any more, as a sentence; undefined where none is missed. */
function lossOf(
  sender: Sender,
  before: Mark,
  after: Mark,
  {program, meant}: {readonly program: string; readonly meant: readonly Meant[]},
): string | undefined {
  if (before.state !== 'signed') return undefined;
  const by = after.state === 'signed' ? after.by : [];
  const gone = before.by.filter(old => !by.some(each => isSame(each, old)));
  const missed = gone.find(old => !isMeant(sender, old, by, meant));
  if (missed === undefined) return undefined;
  return `${sender.text} was signed with ${signatureText(missed)}; ${becomes(after, program)}`;
}

const isSame = (one: Signature, other: Signature): boolean =>
  one.domain === other.domain && one.selector === other.selector;

/** The change names the domain that signed, or the rule's, and the mail has the signature that it promises instead. */
const isMeant = (
  sender: Sender,
  old: Signature,
  by: readonly Signature[],
  meant: readonly Meant[],
): boolean =>
  meant.some(
    ({domain, selector}) =>
      (old.domain === domain || sender.domain === domain) &&
      (selector === undefined || by.some(each => isSame(each, {domain, selector}))),
  );

/** A removal: what becomes of this signature is not asked. */
const isGivenUp = (sender: Sender, old: Signature, meant: readonly Meant[]): boolean =>
  meant.some(
    ({domain, selector}) => selector === undefined && (old.domain === domain || sender.domain === domain),
  );

const signatureText = ({domain, selector}: Signature): string =>
  `d=${visible(domain)} s=${visible(selector)}`;

function becomes(mark: Mark, program: string): string {
  if (mark.state === 'unsigned') return `now ${program} doesn't sign it`;
  if (mark.state === 'broken') return `now ${program} refuses it (${mark.why})`;
  return `now it is signed with ${mark.by.map(signatureText).join(' and ')}`;
}

function evidenceOf(before: SignedBefore, compared: number, losses: readonly string[]): string {
  const listed = (state: Mark['state']): string => {
    const all = before.marks
      .filter(({mark}) => mark.state === state)
      .map(({sender}) => visible(sender.address));
    const more = all.length > NAMED ? `, and ${all.length - NAMED} more` : '';
    return all.slice(0, NAMED).join(', ') + more;
  };
  const unsigned = listed('unsigned');
  const broken = listed('broken');
  const of = before.marks.length < before.total ? ` (a sample of ${before.total})` : '';
  return [
    losses.length === 0
      ? `${compared} ${compared === 1 ? 'sender' : 'senders'} signed as before${of}`
      : losses.slice(0, NAMED).join('; '),
    ...(unsigned === '' ? [] : [`not signed before either: ${unsigned}`]),
    ...(broken === '' ? [] : [`refused or deferred before, too: ${broken}`]),
    ...(before.unread.length === 0
      ? []
      : [`not known, because it can't be read: ${before.unread.join(', ')}`]),
  ].join('; ');
}

/** A report with one check more. */
export const withCheck = (report: ProofReport, check: Check | undefined): ProofReport =>
  check === undefined
    ? report
    : {checks: [...report.checks, check], passed: report.passed && check.status !== 'fail'};
