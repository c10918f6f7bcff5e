/**
 * Nobody loses a signature by a change: every sender on every way is compared in the picture of the host before and after
 * it, and running signers are queried about a sample and about whoever the change touches. Nothing is sent.
 */
import {isWithin} from '../domain/names.ts';
import {listed, visible} from '../domain/text.ts';
import {
  compare,
  createAsker,
  type Difference,
  type HostPicture,
  type MailAnswer,
  type OwnSender,
  ownSenders,
  ownWays,
  type SignerAsked,
} from '../host/index.ts';
import {askSigner, type Mark, type Signature} from '../proof/ask.ts';
import {checkFrom, failed, passed, warned} from '../proof/finding.ts';
import {journalLines} from '../proof/journal.ts';
import type {Check} from '../proof/proof.ts';
import {sampleOf} from '../proof/sample.ts';
import type {Rival} from '../services/facts.ts';
import type {SignerWords} from '../services/words.ts';
import type {Ports, SocketEndpoint} from '../system/ports.ts';

type AskPorts = Pick<Ports, 'sockets' | 'clock' | 'random'>;

/** The host at one moment. */
export interface SigningHost {
  readonly picture: HostPicture;
  /** Who signs beside the signer that is set up. */
  readonly others: readonly Rival[];
}

/** The host before a change, with what running signers did with the mail of some senders. */
export interface SignedBefore extends SigningHost {
  /** By address. */
  readonly marks: ReadonlyMap<string, Mark>;
}

/** What a change is meant to do: domains that get the named selector, or, where it is undefined, no signature of their own. */
export interface Meant {
  readonly domain: string;
  readonly selector: string | undefined;
}

/** What was signed before a change, and what the change is meant to do: no other sender may lose a signature. */
export interface Kept {
  readonly before: SignedBefore;
  readonly meant: readonly Meant[];
}

const KEPT = {id: 'live.kept', title: 'Signatures of all senders, before and after'} as const;
const SAMPLE = 20;
/** Senders that a change is about or touches, over and above the sample. */
const MOST_TOUCHED = 200;
const NAMED = 10;

/**
 * Queries running signers about the senders of their rows: all, or, of more than 20, those of `domains` and 20 by chance.
 * Rejects only with the reason of an abort.
 */
export async function signedBefore(
  ports: AskPorts,
  host: SigningHost,
  domains: readonly string[],
  signal?: AbortSignal,
): Promise<SignedBefore> {
  const all = ownSenders(host.picture);
  const wanted = new Set(domains);
  const isAbout = ({address, row}: OwnSender): boolean =>
    wanted.has(domainIn(address)) || wanted.has(row.domain ?? '');
  const asked = new Set([
    ...sampleOf(all.length <= SAMPLE ? all : all.filter(isAbout), MOST_TOUCHED, ports.random),
    ...sampleOf(all, SAMPLE, ports.random),
  ]);
  const addresses = all.filter(sender => asked.has(sender)).map(({address}) => address);
  return {...host, marks: await marksOf(ports, host.picture, addresses, signal)};
}

const domainIn = (address: string): string => address.slice(address.lastIndexOf('@') + 1);

/**
 * One conversation a sender, with the signer that its mail is handed to. One that would stop the mail is not queried: that
 * could harm it. After the first silence no other is queried, for each would take minutes.
 */
async function marksOf(
  ports: AskPorts,
  picture: HostPicture,
  addresses: readonly string[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Mark>> {
  const answers = answersOf(picture);
  const marks = new Map<string, Mark>();
  for (const address of addresses) {
    const asked = answers(address).flatMap(answer => answer.asked);
    const best = WILLING.flatMap(outcome => asked.find(each => each.answer.outcome === outcome) ?? [])[0];
    if (best === undefined) continue;
    const answer = await askRunning(ports, best, signal);
    if (answer === undefined) continue;
    marks.set(address, answer.mark);
    if (answer.isSilent) break;
  }
  return marks;
}

const WILLING = ['signed', 'unknown', 'unsigned'] as const;

/** What a signer does with a message that it is handed on some way; undefined where it does not run. */
async function askRunning(
  ports: AskPorts,
  asked: SignerAsked,
  signal?: AbortSignal,
): Promise<{readonly mark: Mark; readonly isSilent: boolean} | undefined> {
  const [place] = asked.signer.endpoints;
  if (!asked.signer.isRunning || place === undefined) return undefined;
  return await askAt(ports, place.endpoint, asked, signal);
}

/** As the mail server would hand the message to it. */
export const askAt = async (
  ports: AskPorts,
  endpoint: SocketEndpoint,
  {from, client, macros, envelope}: SignerAsked,
  signal?: AbortSignal,
): Promise<{readonly mark: Mark; readonly isSilent: boolean}> =>
  await askSigner(
    ports,
    endpoint,
    {address: from, client, macros, ...(envelope === undefined ? {} : {envelope})},
    signal,
  );

/** What becomes of the mail of an address, on each way. */
function answersOf(picture: HostPicture): (address: string) => readonly MailAnswer[] {
  const ask = createAsker(picture);
  const ways = ownWays(picture.entrances);
  return from =>
    ways.map(({entrance, client, authenticated}) =>
      ask(entrance, {from, client, authenticated, recipients: ['someone@example.com']}),
    );
}

/** A signature that is not there any more, as a sentence, or one of which that cannot be told. */
interface Loss {
  readonly address: string;
  readonly text: string;
  readonly isCertain: boolean;
}

/**
 * The check `live.kept`. It fails where a sender is not signed any more on a way, or by another domain, selector, key or
 * algorithm, unless the change was `meant` to do that; where the picture says so or a running signer does; and where
 * another signer was switched off and a domain of its is not signed now. What could not be told before is no loss.
 * undefined where nothing was signed before.
 */
export async function keptCheck(
  ports: AskPorts & Pick<Ports, 'commands'>,
  input: Kept & {readonly after: SigningHost; readonly words: SignerWords},
  signal?: AbortSignal,
): Promise<Check | undefined> {
  const {before, after, words} = input;
  const since = ports.clock.now();
  const senders = sendersBefore(input);
  const signed = senders.filter(({state, by}) => state === 'signed' && by.length > 0);
  // A row of the change itself may sign with its key what another row signed; who had no signature cannot lose one.
  const had = new Set(
    senders.flatMap(({sender, state, isQueried}) =>
      isQueried && state === 'unsigned' ? [] : [sender.address],
    ),
  );
  const rows = new Set(senders.map(({sender}) => sender.address));
  const differences = compare(before.picture, after.picture).filter(({kind, sender: {address}}) =>
    rows.has(address) ? had.has(address) : kind === 'lost',
  );
  const taken = takenOver(before.others, after.others);
  if (signed.length + taken.size === 0) return undefined;
  // What a running signer made before, and what it made by the picture of senders that the change touches.
  const touched = new Set(differences.slice(0, MOST_TOUCHED).map(({sender: {address}}) => address));
  const expected = signed.filter(({isQueried, sender}) => isQueried || touched.has(sender.address));
  const now = await marksOf(
    ports,
    after.picture,
    [...expected.map(({sender}) => sender.address), ...taken.keys()],
    signal,
  );
  const losses = [
    ...differences.flatMap(difference => pictured(difference, input.meant, now)),
    ...expected.flatMap(each => missed(each, now.get(each.sender.address), input.meant)),
    ...[...taken].flatMap(([address, by]) => {
      const mark = now.get(address);
      const isSigned =
        mark?.state === 'signed' && mark.by.some(({domain}) => isWithin(domainIn(address), domain));
      const text = `${visible(domainIn(address))} was signed by ${by}; ${becomes(mark)}`;
      return isSigned ? [] : [{address, text, isCertain: true}];
    }),
  ];
  const once = [...new Map(losses.toReversed().map(loss => [loss.address, loss])).values()].toReversed();
  return await checkOf(ports, {
    before,
    senders,
    signed: signed.length,
    queried: now.size,
    losses: once,
    words,
    since,
  });
}

type Made = Pick<Signature, 'domain' | 'selector'>;

/** What was true of the mail of one sender, by a running signer where one was queried, else by the picture. */
interface BeforeSender {
  readonly sender: OwnSender;
  readonly state: MailAnswer['outcome'];
  /** Without the signatures that are given up. */
  readonly by: readonly Signature[];
  readonly isQueried: boolean;
}

function sendersBefore({before: {picture, marks}, meant}: Kept): readonly BeforeSender[] {
  const answers = answersOf(picture);
  return ownSenders(picture).map(sender => {
    const {address} = sender;
    const mark = marks.get(address);
    const all = answers(address);
    const best = all.find(({outcome}) => outcome === 'signed') ?? all[0];
    const pictured = (best?.signatures ?? []).map(each => ({...each, algorithm: undefined}));
    const by: readonly Signature[] = mark?.state === 'signed' ? mark.by : pictured;
    return {
      sender,
      state: mark?.state === 'broken' ? 'refused' : (mark?.state ?? best?.outcome ?? 'unsigned'),
      by: by.filter(old => !isGivenUp(address, old, meant)),
      isQueried: mark !== undefined,
    };
  });
}

/** A key of the domain, or mail of it. */
const isAbout = ({domain}: Meant, signing: string, address: string): boolean =>
  signing === domain || domainIn(address) === domain;

/** A removal: what becomes of this signature does not matter. */
const isGivenUp = (address: string, old: Made, meant: readonly Meant[]): boolean =>
  meant.some(each => each.selector === undefined && isAbout(each, old.domain, address));

/** The change is about it, and the mail has the signature that the change promises instead. */
const isMeant = (address: string, old: Made, by: readonly Made[], meant: readonly Meant[]): boolean =>
  meant.some(
    each =>
      isAbout(each, old.domain, address) &&
      (each.selector === undefined ||
        by.some(({domain, selector}) => domain === each.domain && selector === each.selector)),
  );

/** What the picture misses. Where it cannot tell any more, a running signer does, if it was queried. */
function pictured(
  {kind, sender, ways, after, gone, because}: Difference,
  meant: readonly Meant[],
  now: ReadonlyMap<string, Mark>,
): readonly Loss[] {
  if (kind === 'gained') return [];
  const lost = gone.find(old => !isMeant(sender.address, old, after, meant));
  if (lost === undefined) return [];
  const {address} = sender;
  const isUnknown = because?.kind === 'unknown';
  // Its own signature tells what the picture cannot; a signature that is missing is found by the query.
  if (isUnknown && now.has(address)) return [];
  const what = isUnknown ? "can't be told" : because?.kind === 'refuses' ? 'is refused' : "isn't signed";
  const why = because?.decision.says ?? "mail doesn't come in there any more";
  const outcome =
    after.length > 0
      ? `is signed with ${after.map(signatureText).join(' and ')}`
      : `${what}: ${why.replace(/\.$/, '')}`;
  const text = `${senderText(sender)} was signed with ${signatureText(lost)} (${listed(ways, 3)}); now it ${outcome}`;
  return [{address, text, isCertain: !isUnknown}];
}

/** What a running signer does not sign any more as it must. */
function missed(
  {sender, by: expected}: BeforeSender,
  mark: Mark | undefined,
  meant: readonly Meant[],
): readonly Loss[] {
  const {address} = sender;
  const by = mark?.state === 'signed' ? mark.by : [];
  const lost = expected.find(old => !by.some(each => isSame(each, old)) && !isMeant(address, old, by, meant));
  if (lost === undefined) return [];
  return [
    {
      address,
      text: `${senderText(sender)} was signed with ${signatureText(lost)}; ${becomes(mark)}`,
      isCertain: true,
    },
  ];
}

const isSame = (one: Signature, other: Signature): boolean =>
  one.domain === other.domain &&
  one.selector === other.selector &&
  (one.algorithm ?? other.algorithm) === (other.algorithm ?? one.algorithm);

/** The domains of signers that were at work before and are not now: `postmaster@domain`, and the signer. */
const takenOver = (before: readonly Rival[], now: readonly Rival[]): ReadonlyMap<string, string> =>
  new Map(
    before
      .filter(
        ({signs, program}) =>
          signs !== 'no' && !now.some(each => each.program === program && each.signs !== 'no'),
      )
      .flatMap(({program, domains}) =>
        (domains?.known ?? []).map(domain => [`postmaster@${domain}`, program] as const),
      ),
  );

const senderText = ({address, row}: OwnSender): string => `${visible(address)} (row ${visible(row.pattern)})`;

const signatureText = ({domain, selector}: Pick<Signature, 'domain' | 'selector'>): string =>
  `d=${visible(domain)} s=${visible(selector)}`;

function becomes(mark: Mark | undefined): string {
  if (mark === undefined) return 'now no running signer gets it';
  if (mark.state === 'unsigned') return "now it isn't signed";
  if (mark.state === 'broken') return `now it is refused (${mark.why})`;
  return `now it is signed with ${mark.by.map(signatureText).join(' and ')}`;
}

async function checkOf(
  ports: Pick<Ports, 'commands' | 'clock'>,
  {
    before,
    senders,
    signed,
    queried,
    losses,
    words,
    since,
  }: {
    readonly before: SignedBefore;
    readonly senders: readonly BeforeSender[];
    readonly signed: number;
    readonly queried: number;
    readonly losses: readonly Loss[];
    readonly words: SignerWords;
    readonly since: Date;
  },
): Promise<Check> {
  const of = (wanted: BeforeSender['state']): readonly string[] =>
    senders.flatMap(({sender, state}) => (state === wanted ? [visible(sender.address)] : []));
  const told = (what: string, names: readonly string[]): readonly string[] =>
    names.length === 0 ? [] : [`${what}: ${listed(names, NAMED)}`];
  const unread = before.picture.signers.flatMap(signer => signer.unread.map(({name}) => name));
  const refused = of('refused');
  const evidence = [
    losses.length === 0
      ? `${signed.toLocaleString('en-US')} ${signed === 1 ? 'sender' : 'senders'} signed as before, ${queried} queried`
      : losses
          .slice(0, NAMED)
          .map(({text}) => text)
          .join('; '),
    ...told('not signed before either', of('unsigned')),
    ...told('refused or deferred before, too', refused),
    ...told("not known before either, because it can't be read", [...of('unknown'), ...new Set(unread)]),
  ].join('; ');
  const certain = losses.filter(({isCertain}) => isCertain);
  if (certain.length > 0) {
    const lines = await journalLines(ports, words.logTag, since);
    const more = certain.length > 3 ? ` ${certain.length - 3} more lost theirs.` : '';
    const cause = `${certain
      .slice(0, 3)
      .map(({text}) => text)
      .join('; ')}.${more}`;
    return checkFrom(KEPT.id, KEPT.title, failed([evidence, ...lines].join('; '), cause, words.lostHint));
  }
  const [unclear] = losses;
  if (unclear !== undefined) {
    return checkFrom(
      KEPT.id,
      KEPT.title,
      warned(evidence, `${unclear.text}.`, `sudo waxseal explain ${visible(unclear.address)}`),
    );
  }
  const [broken] = refused;
  return checkFrom(
    KEPT.id,
    KEPT.title,
    broken === undefined
      ? passed(evidence)
      : warned(
          evidence,
          'Mail of these senders was refused or deferred before this change, too.',
          `sudo waxseal explain ${broken}`,
        ),
  );
}
