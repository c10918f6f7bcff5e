/**
 * The contract of a mail server (MTA): which ways mail comes in, and what happens to it on each before it leaves. Plain
 * data; what a mail server calls its own settings stands in `Decision` and `Breaker` only. `Mta` is what each implements.
 */

import type {DomainName} from '../domain/names.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import type {Problem, Result} from '../domain/result.ts';
import type {Decision, Source} from '../domain/source.ts';
import type {Layout} from '../layouts/layout.ts';
import type {Hint, MtaFault} from '../proof/fault.ts';
import type {Finding} from '../proof/finding.ts';
import type {ProofMail} from '../proof/message.ts';
import type {Ports, SocketEndpoint} from '../system/ports.ts';
import type {HostFacts, MtaFacts} from './facts.ts';
import type {PlanHost} from './files.ts';
import type {Found, LookContext} from './look-context.ts';
import type {Reads} from './snapshot.ts';
import type {Step} from './step.ts';
import type {SignerWords} from './words.ts';

/** What a signer must know of the MTA to choose its socket, and nothing else. */
export interface Reach {
  /** A unix socket in a directory of its own that every process of the MTA can reach, chroot or not. */
  standardSocket(signer: string): AbsolutePath;
  /** The group to which that directory is given. */
  readonly group: string;
  /** Whether the MTA can connect to a socket that a daemon of this group makes with this umask. */
  mayConnect(path: AbsolutePath, made: {readonly gid: number; readonly umask: number}): boolean;
}

/**
 * How mail comes in. `smtp`: a server port without another name; `way-back`: where a content filter returns mail;
 * `forward`: aliases and forwards that the MTA hands in again by itself; `pipe`: a program that calls sendmail(1).
 */
export type EntranceKind =
  | 'smtp'
  | 'submission'
  | 'submissions'
  | 'postscreen'
  | 'local'
  | 'qmqp'
  | 'bounce'
  | 'notice'
  | 'forward'
  | 'way-back'
  | 'pipe';

/** The steps of a milter conversation at which an MTA sends macros. */
export type MilterStage = 'connect' | 'helo' | 'mail' | 'rcpt' | 'data' | 'eoh' | 'eom';

/** One milter that a pass hands mail to. */
export interface MilterHop {
  /** As it is written in the list, made harmless. */
  readonly text: string;
  /** Where the process connects to, a path as seen from outside of its chroot; absent where the text names nothing that it can connect to. */
  readonly endpoint: SocketEndpoint | undefined;
  /** The path as the process opens it, inside of its chroot; absent for TCP. */
  readonly seenFrom?: string;
  /** Why it can never be used, whatever listens there; goes on a sentence: `has no …`. */
  readonly fault?: string;
  /** What becomes of mail while this milter cannot be used. */
  readonly whenDown: 'unsigned' | 'delayed' | 'refused' | 'held' | 'unknown';
}

/** Clients that have milters of their own. */
export interface ClientMilters {
  /** As it is written, made harmless: `203.0.113.0/24`. */
  readonly clients: string;
  /** Whether it is meant for a client with this IP address; `unknown` where waxseal cannot evaluate it. */
  covers(address: string): boolean | 'unknown';
  readonly milters: Pass['milters'];
  readonly decision: Decision;
}

/** One run of a message through the milters of the MTA. */
export interface Pass {
  /** The service that decides: `submission/inet`. */
  readonly service: string;
  readonly chroot: boolean;
  /** Account of the process that connects. */
  readonly account: {readonly user: string; readonly groups: readonly string[]};
  /** In order. `fatal`: a word of the list stops the service: it takes no mail at all. */
  readonly milters: readonly MilterHop[] | {readonly fatal: string};
  /** What chose this list: the winner first, then what it beat. Never empty. */
  readonly decidedBy: readonly Decision[];
  /** In order: the first that covers a client decides for it, in place of `milters`. */
  readonly byClient: readonly ClientMilters[];
  /** False where a milter sees the envelope only, so that it cannot sign. */
  readonly hasContent: boolean;
  /** Whom the milter takes for the client. */
  readonly client: 'remote' | 'localhost';
  /** Applied to the sender before the milters of this pass, in order, for the client that this pass sees. */
  readonly rewrites: readonly SenderRewrite[];
  /**
   * The macros that are really sent at each step; a value that depends on the client stands as `undefined`
   * (authentication, queue id), a fixed one as its text.
   */
  readonly macros: Readonly<Record<MilterStage, ReadonlyMap<string, string | undefined>>>;
  /**
   * As `macros`, for a milter that asks for a list of its own (SMFIF_SETSYMLIST): all that it can get at each step. A
   * value of a later step replaces that of an earlier one with the same name (libmilter, smfi_getsymval).
   */
  readonly macrosOnRequest: Pass['macros'];
  /** What names the macros of the step at which a login is told (MAIL). */
  readonly loginMacros: Decision;
  /** Where the message goes from here, other than to its recipients. */
  readonly next?: {
    readonly by: 'filter' | 'proxy' | 'hold';
    readonly to: string;
    readonly decision: Decision;
  };
}

/** Something on the way that changes a message after it was signed, or takes the signature away. */
export interface Breaker {
  readonly decision: Decision;
  readonly where: 'later-milter' | 'filter' | 'second-pass' | 'delivery' | 'hold';
  readonly changes: 'header' | 'body' | 'removes-signature';
  /** False where it depends on the message, or on a program that cannot be read. */
  readonly isCertain: boolean;
  /** True for a program of which nothing is known, not even that it changes mail: only a real message can show it. */
  readonly isUnknown?: boolean;
  /** Of a later milter: which one of which pass, from 0. It breaks only what an earlier one has signed. */
  readonly after?: {readonly pass: number; readonly milter: number};
}

/** Who hands a message in for a pass: on the way back of a filter that is this host. */
export interface Submitter {
  /** IP address. */
  readonly address: string;
  readonly authenticated: boolean;
}

/** A rule by which the MTA rewrites the sender that signers see. */
export interface SenderRewrite {
  readonly decision: Decision;
  /** The one field that it is for; absent where it is for both. */
  readonly only?: 'from' | 'sender';
  /**
   * The address after it; undefined where it leaves the address alone, `unknown` where its table cannot be read here, or
   * where it depends on who hands the message in and that is not said.
   */
  rewrite(address: string, by?: Submitter): string | undefined | 'unknown';
}

/** Clients by their addresses. */
export interface OwnClients {
  /** As they are written: networks, hosts. */
  readonly clients: readonly string[];
  covers(address: string): boolean | 'unknown';
  readonly decision: Decision;
}

/** What a client may say of itself. */
export interface Believed {
  readonly decision: Decision;
  /** A login, too, and not only an address. */
  readonly asLoggedIn: boolean;
  /** The port is meant for a proxy and closed to everyone else, which the configuration does not show. */
  readonly isForProxy: boolean;
}

/** One way in, with all that happens to a message until it leaves. */
export interface Entrance {
  /** Stable, for `--entrance` and for reports: `submission/inet`, `local`, `bounce`. */
  readonly id: string;
  /** Which of several instances of the MTA; '' where there is one. */
  readonly instance: string;
  readonly kind: EntranceKind;
  /** Port or address where clients reach it, made harmless: `587`, `127.0.0.1:10025`; '' where there is none. */
  readonly listensOn: string;
  readonly source: Source;
  /** Whether clients log in here. */
  readonly login: 'may' | 'must' | 'no';
  /** Only programs of this host can connect; absent where others can, or where it is no port. */
  readonly isLocal?: true;
  /** Why a client may not send here; undefined where it may, or where that cannot be told. */
  refuses?(by: Submitter): Decision | undefined;
  /** Clients that the MTA counts as its own without a login. */
  readonly own?: OwnClients;
  /** Whether a client at this address is believed when it says that it is somebody else. */
  believes?(address: string): Believed | undefined;
  /** In order; two or more where a filter hands mail back. Empty where no milter ever sees this mail. */
  readonly passes: readonly Pass[];
  /** More than one continuation is possible (a filter whose way back cannot be told). */
  readonly isPassUncertain: boolean;
  readonly breakers: readonly Breaker[];
}

/** What sentences of others call a mail server and its settings. */
export interface MtaWords {
  /** As its makers write it. */
  readonly program: string;
  /** The account that connects to milters. */
  readonly user: string;
  /** Where its milters are listed, as in "compare it with". */
  readonly milterSetting: string;
  /** The setting of the host that it hands all mail to. */
  readonly relaySetting: string;
}

export type MtaHints = Readonly<Record<MtaFault, Hint>>;

/** How a proof is handed in: by the program sendmail(1), or by SMTP on this host. */
export type Submission = 'sendmail' | 'smtp';

export type ProvePorts = Pick<Ports, 'commands' | 'sockets' | 'clock' | 'random'>;

export interface ProofSubmission {
  readonly mail: ProofMail;
  readonly way: Submission;
  /** Where SMTP is spoken. */
  readonly smtp: SocketEndpoint;
  /** The signer that is to be met on the way, for sentences and for its log. */
  readonly signer: SignerWords;
}

/** What became of a proof; every trace of it is removed, or `left` says what is there yet. */
export type Caught = (
  | {
      readonly ended: 'caught';
      /** As it would leave, with CRLF line ends. */
      readonly message: Uint8Array;
      /** Why it bears no signature, should it have none. */
      unsigned(): Promise<Finding>;
    }
  /** Not sent, not taken, or lost on the way. */
  | {readonly ended: 'stopped'; readonly finding: Finding}
) & {readonly left?: Pick<Finding, 'cause' | 'fix'>};

/** What the queue says about messages that may still need an old key. */
export type QueueFacts =
  | {
      readonly known: true;
      /** The message that came in first; absent where the queue is empty. Foreign text is made harmless. */
      readonly oldest?: {
        /** ISO 8601. */
        readonly at: string;
        readonly id: string;
        /** In which queue it lies. */
        readonly where: string;
        /** How to get it out of there, to go on a sentence: `deliver it (…) or delete it (…)`. */
        readonly how: string;
      };
      /** How long a message is tried, and how long one that tells of a failure. */
      readonly lifetimeSeconds: number;
      readonly bounceSeconds: number;
    }
  /** `isHung`: the mail server did not answer in time; another question would wait as long. */
  | {readonly known: false; readonly why: string; readonly isHung?: true};

/** How mail is to be handed to the signer. */
export interface MilterLink {
  /** Where the signer will answer. */
  readonly wanted: SocketEndpoint;
  /** Where it answers today; undefined where it does not. */
  readonly before: SocketEndpoint | undefined;
  /** Where it was once meant to answer. */
  readonly former?: readonly SocketEndpoint[];
  /** True for a unix socket that is not there: nobody answers. */
  readonly isGone?: (endpoint: SocketEndpoint) => boolean;
  /** Entries of other signers that this plan takes out of the lists. */
  readonly isSwitchedOff?: (entry: string) => boolean;
  /** Entries that look like the signer's but lead elsewhere go as well. */
  readonly dropsStray?: boolean;
}

export interface MtaChange {
  readonly steps: readonly Step[];
  readonly remarks: readonly Problem[];
}

/** What a look at a mail server found. */
export interface FoundMta<F extends MtaFacts = MtaFacts> extends Found<F> {
  /** Every way in, of all its instances. */
  readonly entrances: readonly Entrance[];
  /** Domains that its configuration names, the best guess for signing first. */
  readonly mailDomains: readonly DomainName[];
}

/** One mail server. */
export interface Mta<F extends MtaFacts = MtaFacts> {
  readonly kind: F['kind'];
  readonly words: MtaWords;
  readonly hints: MtaHints;
  /** The packages that a layout has for it. */
  packages(layout: Layout): readonly string[];
  /** Undefined where it is not installed. */
  detect(context: LookContext): Promise<FoundMta<F> | undefined>;
  /** What the snapshot of a plan must hold; `signers` are the kinds whose sockets may be made. */
  reads(
    ports: Pick<Ports, 'files'>,
    facts: HostFacts,
    signers: readonly string[],
  ): Promise<Reads | undefined>;
  reach(host: PlanHost): Reach;
  /** Steps that make it hand mail to the signer, once; none where it does. */
  plan(host: PlanHost, link: MilterLink): Result<MtaChange>;
  /** IP addresses that it is told to send from; empty where it leaves that to the host. */
  sendsFrom(ports: Pick<Ports, 'commands'>): Promise<readonly string[]>;
  /** Directories where a rotation writes. */
  places(facts: HostFacts): readonly AbsolutePath[];
  /**
   * Its queues, those of all its instances taken together; not known where anything of them is not.
   * @param arrival the earliest moment at which a message of this time stamp can have come in, both in milliseconds
   */
  queue(ports: Pick<Ports, 'commands'>, arrival: (stampMs: number) => number): Promise<QueueFacts>;
  /**
   * Submits the proof, which cannot leave the host, gives it back as it would leave and removes it. Nothing is sent where it
   * could leave. Rejects only with the reason of an abort, after the removal.
   */
  prove(ports: ProvePorts, facts: F, submission: ProofSubmission, signal?: AbortSignal): Promise<Caught>;
}

/** A message of the queue, as far as it tells how it came in. */
export interface QueuedMail {
  /** Address in From, and in Sender where there is one. */
  readonly from: string;
  readonly sender?: string;
  readonly recipients: readonly string[];
  /** undefined where a program of this host handed it in. */
  readonly client: {readonly name: string; readonly address: string} | undefined;
  readonly isLoggedIn: boolean;
}
