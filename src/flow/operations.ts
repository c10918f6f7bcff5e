/**
 * The work behind the effects, as the flow sees it: each job of the main line as one function. The real ones are made
 * in jobs/ from the ports; tests of the flow give their own. Jobs report bad news as a Problem or by throwing a
 * ToolError; an aborted signal rejects with its reason.
 */

import type {PublishChoice} from '../dns/publish/index.ts';
import type {RecordForms, Survey, Zone} from '../dns/survey.ts';
import type {DnsName, DomainName, Selector} from '../domain/names.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import type {Problem, Result} from '../domain/result.ts';
import type {ApplyEvent, ChangeView, Plan} from '../plan/plan.ts';
import type {Check, ProofReport} from '../proof/proof.ts';
import type {HostFacts} from '../services/facts.ts';
import type {ProvenFile} from '../services/trial.ts';
import type {SocketEndpoint} from '../system/ports.ts';
import type {Answers, KeyChoice} from './answers.ts';

/** A key on its way in that an earlier run left: the wizard goes on there. */
export interface PendingSetup {
  readonly staged: readonly StagedDomain[];
  /** Answers of that run, to make the same plan; no secrets. */
  readonly answers: Answers;
  /** ISO 8601, UTC: when it was left. */
  readonly since: string;
}

/** An apply that ended without its end (power, kill -9). Nothing else may start before it is rolled back. */
export interface UnfinishedRun {
  readonly id: string;
  readonly title: string;
  readonly startedAt: string;
}

export interface LookResult {
  readonly facts: HostFacts;
  readonly pending: PendingSetup | undefined;
  readonly unfinished: UnfinishedRun | undefined;
  /** Answers kept by an earlier wizard that did not get as far as a key. */
  readonly draft: Answers | undefined;
}

export interface DomainFacts {
  readonly domain: DomainName;
  readonly zone: Zone;
  readonly provider: string | undefined;
}

/** A domain whose key is made (or imported), kept under the state directory, and proven against its record. */
export interface StagedDomain {
  readonly domain: DomainName;
  readonly selector: Selector;
  readonly algorithm: 'rsa' | 'ed25519';
  readonly bits: number;
  readonly state: 'staged' | 'pending' | 'ready' | 'active';
  readonly stagedPath: AbsolutePath;
  /** Hex SHA-256 of the private key file. */
  readonly sha256: string;
  readonly zone: Zone;
  readonly record: RecordForms;
  readonly remarks: readonly Problem[];
}

export interface PublishedRecord {
  readonly domain: DomainName;
  /** `there`: every server had it already, and nothing was done. */
  readonly outcome: 'published' | 'there';
  /** Where it is: at the end of an alias, if there is one. */
  readonly name: DnsName;
}

export interface StageProgress {
  readonly domain: DomainName;
  readonly done: number;
  readonly of: number;
}

export interface StageOptions {
  /** False for a dry run: nothing may be left of these keys once `discard` was called. */
  readonly keep: boolean;
  /** Keys that this same run staged before another answer was given; they may be put away for the new ones. */
  readonly replaces: readonly StagedDomain[];
}

export interface PlanReady {
  readonly plan: Plan;
  readonly changes: readonly ChangeView[];
  /** The candidate configuration proven in a temporary signer; no checks where there is nothing to change. */
  readonly preflight: ProofReport;
  /** The files that the preflight was about; an apply refuses where it would leave others. */
  readonly proven: readonly ProvenFile[];
  /** Ids of the steps that put private keys in place: a rotation carries them out first, and never takes them back. */
  readonly placed: readonly string[];
  /** Where the mail server will reach the signer. */
  readonly endpoint: SocketEndpoint;
  readonly remarks: readonly Problem[];
}

export type WorkEvent = ApplyEvent | {readonly type: 'check'; readonly check: Check};

export interface ApplyResult {
  readonly applied: boolean;
  readonly changed: boolean;
  readonly proof: ProofReport;
  /** Set where it failed; `whole` tells whether everything was put back. */
  readonly failure?: {
    readonly problem: Problem;
    readonly whole: boolean;
    readonly remains: readonly string[];
    /** Where the host has changed since the plan was made: what, as unified diffs without secrets. */
    readonly differences?: readonly string[];
  };
  /** True where it stopped because the user asked (then everything was put back). */
  readonly interrupted: boolean;
}

/** What is worth doing next beside DKIM: SPF, DMARC, rotation, undo. */
export interface Advice {
  readonly lines: readonly {
    readonly topic: 'spf' | 'dmarc' | 'rotation' | 'undo' | 'dns';
    readonly text: string;
  }[];
  /** The same in full, for the report: every finding with its evidence, the DMARC stages. Never a failure. */
  readonly checks?: readonly Check[];
}

export interface Operations {
  look(signal: AbortSignal): Promise<LookResult>;
  /** Rolls an unfinished run back. */
  recover(run: UnfinishedRun, emit: (event: WorkEvent) => void): Promise<ApplyResult>;
  /** Installs what is missing and looks again. */
  install(facts: HostFacts, emit: (event: WorkEvent) => void, signal: AbortSignal): Promise<HostFacts>;
  /** Zone cut, servers, provider. A Problem where the domain is not in the DNS. */
  inspectDomain(domain: DomainName, signal: AbortSignal): Promise<Result<DomainFacts>>;
  /** A selector that is free on disk; DNS is asked by checkSelector. */
  suggestSelector(domains: readonly DomainName[]): Selector;
  /**
   * The selectors of keys that these domains have already, on their way or signing: another run goes on with them. None
   * for a rotation, which is to make new ones.
   */
  knownSelectors(domains: readonly DomainName[]): ReadonlyMap<DomainName, Selector>;
  /**
   * Free on disk and on every authoritative server, for each domain. The Problem's id is `selector.taken` where it is
   * in use (the flow then proposes the next name) and another where that could not be found out. A record of the very
   * key that is to be imported is no obstacle.
   *
   * @param key the answer to the question of the key, where it is known already
   */
  checkSelector(
    domains: readonly DomainFacts[],
    selector: Selector,
    signal: AbortSignal,
    key?: string,
  ): Promise<Result<true>>;
  /**
   * Whether this run may sign for these domains with these selectors: a set-up never replaces the key that signs. The
   * Problem is `rotate.running` or `rotate.needed`.
   *
   * @param wished the selector that a person names for a domain
   */
  checkStart(
    domains: readonly DomainName[],
    wished: (domain: DomainName) => Selector | undefined,
    signal: AbortSignal,
  ): Promise<Result<true>>;
  checkKey(key: KeyChoice, facts: HostFacts): Promise<Result<true>>;
  /** Makes or imports the keys, tests each against its record, writes them under the state directory. */
  stage(
    answers: Answers,
    domains: readonly DomainFacts[],
    emit: (progress: StageProgress) => void,
    signal: AbortSignal,
    options: StageOptions,
  ): Promise<Result<readonly StagedDomain[]>>;
  /** Removes every trace of keys that were staged with `keep: false`. */
  discard(staged: readonly StagedDomain[]): Promise<void>;
  /**
   * Has the records entered by the program that was chosen; those that every server has already are left alone. What it
   * says proves nothing: `watch` comes after it in any case.
   */
  publish(
    choice: PublishChoice,
    staged: readonly StagedDomain[],
    signal: AbortSignal,
  ): Promise<Result<readonly PublishedRecord[]>>;
  /** Asks until every domain is settled, the deadline is over or the signal aborts; one survey a domain, in order. */
  watch(
    staged: readonly StagedDomain[],
    options: {
      readonly deadlineMs: number | undefined;
      /** Where no name server can be asked, a resolver that has the record ends the wait, too. */
      readonly resolverOnly?: boolean;
      readonly onSurvey: (survey: Survey) => void;
      readonly signal: AbortSignal;
    },
  ): Promise<readonly Survey[]>;
  plan(
    answers: Answers,
    staged: readonly StagedDomain[],
    facts: HostFacts,
    signal: AbortSignal,
  ): Promise<Result<PlanReady>>;
  /** Applies and proves; puts everything back where either fails or the signal aborts. */
  apply(
    ready: PlanReady,
    staged: readonly StagedDomain[],
    emit: (event: WorkEvent) => void,
    signal: AbortSignal,
  ): Promise<ApplyResult>;
  /** @param isByHand somebody enters the records, no program */
  advise(staged: readonly StagedDomain[], signal: AbortSignal, isByHand?: boolean): Promise<Advice>;
  saveDraft(answers: Answers): Promise<void>;
  /** Writes a record to a file the user named, 0644, never over another file. */
  saveRecord(path: AbsolutePath, text: string): Promise<Result<true>>;
}
