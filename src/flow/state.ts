/** Everything a view needs to draw, and everything that can happen. Plain data; only flow/reduce.ts makes a new State. */

import type {PublishChoice} from '../dns/publish/index.ts';
import type {Survey} from '../dns/survey.ts';
import type {DomainName, Selector} from '../domain/names.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import type {Problem} from '../domain/result.ts';
import type {HostFacts} from '../services/facts.ts';
import type {Answers, QuestionId} from './answers.ts';
import type {DomainList} from './domain-list.ts';
import type {
  Advice,
  ApplyResult,
  DomainFacts,
  LookResult,
  PendingSetup,
  PlanReady,
  PublishedRecord,
  StagedDomain,
  StageProgress,
  UnfinishedRun,
  WorkEvent,
} from './operations.ts';
import type {Report} from './report.ts';

export type RecordFormId = 'plain' | 'zone-file' | 'zone-file-wrapped' | 'nsupdate' | 'json';

/** Steps that a person sees counted, `Step 4 of 10`: those of a full run, in order. */
export const SCREENS = [
  ...(['look', 'domain', 'selector', 'key', 'record', 'propagation'] as const),
  ...(['plan', 'apply', 'test', 'summary'] as const),
] as const;

export type ScreenId = (typeof SCREENS)[number];

export type Phase =
  | {readonly at: 'looking'}
  /** What was found; Enter goes on. `choice` where there is something to decide: an unfinished run, a pending setup. */
  | {readonly at: 'host'; readonly offer: 'none' | 'recover' | 'resume' | 'blocked'}
  | {readonly at: 'recovering'}
  | {readonly at: 'installing'}
  | {
      readonly at: 'asking';
      readonly question: QuestionId;
      /** What the entry field starts with: the flag's text, the draft or the suggestion. */
      readonly initial: string;
      readonly problem: Problem | undefined;
      /** True while the answer is being checked (zone walk, selector in DNS); keys but Ctrl-C are ignored. */
      readonly checking: boolean;
      /** Asked from the record, which comes again with the answer: no other question is touched. */
      readonly aside?: true;
    }
  | {readonly at: 'making-key'; readonly progress: StageProgress | undefined}
  | {readonly at: 'record'; readonly form: RecordFormId; readonly notice: string | undefined}
  | {
      readonly at: 'propagation';
      readonly startedAt: string;
      readonly deadlineAt: string | undefined;
      /** A program is entering the record; the servers are asked after it. */
      readonly publishing?: boolean;
    }
  | {readonly at: 'planning'}
  | {readonly at: 'plan'}
  | {readonly at: 'applying'; readonly index: number; readonly of: number; readonly step: string}
  | {readonly at: 'testing'}
  | {readonly at: 'rolling-back'; readonly because: string}
  /** "Leave?" over the phase it came from; nothing is lost by saying no. */
  | {readonly at: 'leaving'; readonly from: Phase}
  | {readonly at: 'finished'; readonly report: Report};

/** How the flow is run: from flags. Never changes during a run. */
export interface Mode {
  readonly interactive: boolean;
  readonly yes: boolean;
  readonly dryRun: boolean;
  /** Milliseconds to wait for the record; 0 for --no-wait; undefined for as long as the user likes. */
  readonly waitMs: number | undefined;
  /** `--resolver-only`: where port 53 is blocked, the word of the resolver is enough. */
  readonly resolverOnly?: boolean;
  readonly sandbox: boolean;
  readonly command: string;
  /** The list of domains that was given, as it is named on a command line. */
  readonly domainsFile?: {readonly path: string; readonly list: DomainList};
  /** Esc on the first screen goes back to the hub, without a question: nothing is lost by it. */
  readonly fromHub?: true;
}

/** One finished, immutable line of the session; the plain view and the log print these. */
export interface Line {
  readonly kind: 'info' | 'ok' | 'warn' | 'error' | 'record';
  readonly text: string;
}

export interface State {
  readonly phase: Phase;
  readonly mode: Mode;
  /** Text of the flags that pre-answer questions; consumed (parsed) when their question comes up. */
  readonly given: Readonly<Partial<Record<QuestionId, string>>>;
  readonly answers: Answers;
  /** Answered questions in the order they were accepted; Back walks them from the end. */
  readonly accepted: readonly QuestionId[];
  readonly facts: HostFacts | undefined;
  readonly pending: PendingSetup | undefined;
  readonly unfinished: UnfinishedRun | undefined;
  readonly domainFacts: readonly DomainFacts[];
  readonly suggestedSelector: Selector | undefined;
  readonly staged: readonly StagedDomain[];
  /** The attempt to have a program enter the records: for which ones, and why it failed. One attempt for the same ones. */
  readonly publication: {readonly key: string; readonly failure: Problem | undefined} | undefined;
  /** Somebody has said (by flag or key) that the resolver's word is enough where no name server can be asked. */
  readonly resolverOnly: boolean;
  /** Latest survey by domain. */
  readonly surveys: Readonly<Record<string, Survey>>;
  readonly ready: PlanReady | undefined;
  /** Events of the apply in order, for the apply and test screens. */
  readonly work: readonly WorkEvent[];
  readonly result: ApplyResult | undefined;
  readonly advice: Advice | undefined;
  /** Texts of answers that are to be given again: Back was pressed, or a draft of an earlier run was found. */
  readonly drafts: Readonly<Partial<Record<QuestionId, string>>>;
  /** Questions whose given text was used; afterwards they are asked like any other. */
  readonly consumed: readonly QuestionId[];
  /** What the staged keys were made from, so that unchanged answers do not make new ones. */
  readonly stagedFor: string;
  /** Packages that this run installed. */
  readonly installed: readonly string[];
  /** The cut-short run that this run put back. */
  readonly recovered: UnfinishedRun | undefined;
  /** Exit code to end with once the running change has put everything back. */
  readonly stopping: 130 | 143 | undefined;
  /** ISO 8601, UTC: when the proof was passed. */
  readonly appliedAt: string | undefined;
  /** What was last said about each domain's servers, and when: a line only when it changes, or after 30 s. */
  readonly told: Readonly<
    Record<string, {readonly text: string; readonly at: string; readonly facts: readonly string[]}>
  >;
  readonly lines: readonly Line[];
  /** Shown on every screen: has anything on this host been changed yet? */
  readonly changed: 'nothing' | 'packages' | 'changing' | 'changed' | 'put-back';
}

export type Event =
  /** From the user, by way of a view. */
  | {readonly type: 'answered'; readonly question: QuestionId; readonly text: string}
  | {readonly type: 'continued'}
  | {readonly type: 'back'}
  | {readonly type: 'leave'}
  | {readonly type: 'stay'}
  | {readonly type: 'form-chosen'; readonly form: RecordFormId}
  | {readonly type: 'save-record'; readonly path: AbsolutePath}
  | {readonly type: 'noticed'; readonly text: string}
  /** Plan screen: yes, apply. */
  | {readonly type: 'confirmed'}
  /** No: at the plan, at the offer to recover, or at the offer to resume (then a new setup begins). */
  | {readonly type: 'declined'}
  /** Ask this question again, from the questions, the record or the plan. */
  | {readonly type: 'edit'; readonly question: QuestionId}
  | {readonly type: 'recheck'}
  /** Propagation screen, where no name server can be asked: go on by the word of the resolver alone. */
  | {readonly type: 'trust-resolver'}
  /** From the process: SIGINT, SIGTERM, SIGHUP. */
  | {readonly type: 'interrupted'; readonly signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP'}
  /** From effects. */
  | {readonly type: 'looked'; readonly look: LookResult}
  | {readonly type: 'recovered'; readonly result: ApplyResult}
  | {readonly type: 'installed'; readonly facts: HostFacts}
  | {
      readonly type: 'answer-checked';
      readonly question: QuestionId;
      readonly domainFacts?: readonly DomainFacts[];
      readonly suggestedSelector?: Selector;
      /** Selectors that single domains keep, since they have keys already. */
      readonly keptSelectors?: ReadonlyMap<DomainName, Selector>;
    }
  | {readonly type: 'answer-refused'; readonly question: QuestionId; readonly problem: Problem}
  | {readonly type: 'stage-progress'; readonly progress: StageProgress}
  | {readonly type: 'staged'; readonly staged: readonly StagedDomain[]}
  /** Surveys that came in together; many domains in one event, since each event makes a new State. */
  | {
      readonly type: 'surveyed';
      readonly surveys: readonly {readonly domain: DomainName; readonly survey: Survey}[];
    }
  | {readonly type: 'published'; readonly records: readonly PublishedRecord[]}
  | {readonly type: 'publish-failed'; readonly problem: Problem}
  | {readonly type: 'watch-ended'; readonly settled: boolean; readonly at: string}
  | {readonly type: 'watch-started'; readonly at: string; readonly deadlineAt: string | undefined}
  | {readonly type: 'planned'; readonly ready: PlanReady}
  | {readonly type: 'worked'; readonly event: WorkEvent}
  | {readonly type: 'applied'; readonly result: ApplyResult; readonly at?: string}
  | {readonly type: 'advised'; readonly advice: Advice}
  | {readonly type: 'failed'; readonly problem: Problem; readonly exitCode: Report['exitCode']};

export type Effect =
  | {readonly do: 'look'}
  | {readonly do: 'recover'; readonly run: UnfinishedRun}
  | {readonly do: 'install'; readonly facts: HostFacts}
  | {readonly do: 'check-answer'; readonly question: QuestionId; readonly answers: Answers}
  | {readonly do: 'save-draft'; readonly answers: Answers}
  | {
      readonly do: 'stage';
      readonly answers: Answers;
      readonly keep: boolean;
      readonly replaces: readonly StagedDomain[];
    }
  | {readonly do: 'discard'; readonly staged: readonly StagedDomain[]}
  | {readonly do: 'save-record'; readonly path: AbsolutePath; readonly text: string}
  | {readonly do: 'publish'; readonly choice: PublishChoice; readonly staged: readonly StagedDomain[]}
  | {
      readonly do: 'watch';
      readonly staged: readonly StagedDomain[];
      readonly deadlineMs: number | undefined;
      readonly resolverOnly: boolean;
    }
  | {readonly do: 'stop-watching'}
  | {readonly do: 'plan'}
  | {readonly do: 'apply'; readonly ready: PlanReady}
  /** Ask the running apply to finish its atomic action and put everything back. */
  | {readonly do: 'abort'}
  | {readonly do: 'advise'}
  | {readonly do: 'finish'; readonly report: Report};

/** What a view is given: the state now, a way to hear of the next, a way to say what the user did. Never a port. */
export interface Session {
  state(): State;
  subscribe(listener: (state: State) => void): () => void;
  send(event: Event): void;
  /** Resolves with the final report after the last effect has ended. */
  done(): Promise<Report>;
}
