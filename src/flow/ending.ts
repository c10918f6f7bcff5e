/** How a run ends: the report, and what leaving means in each phase. */
import {formatMoment} from '../domain/duration.ts';
import type {ExitCode} from '../domain/errors.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import {type Problem, problem} from '../domain/result.ts';
import type {ChangeView} from '../plan/plan.ts';
import {secretPlaces} from '../services/step.ts';
import {commandLine} from './command-line.ts';
import {dnsReport, problemReport, resolverOnlyCheck, serverReport} from './dns-report.ts';
import {line, problemLines, tell} from './lines.ts';
import type {StagedDomain} from './operations.ts';
import {type DomainReport, type Report, reportOf} from './report.ts';
import type {Effect, Phase, State} from './state.ts';
import {isEnough, isResolverWord, knownByResolver} from './survey-facts.ts';

export type Next = readonly [State, readonly Effect[]];

/** Whether anything on the host is different from before this run; its own state directory does not count. */
const hasChanged = (state: State): boolean =>
  state.installed.length > 0 ||
  state.recovered !== undefined ||
  state.changed === 'changing' ||
  state.changed === 'changed';

/** The report of a run that ends here. */
export function buildReport(state: State, exitCode: ExitCode, problem?: Problem): Report {
  const common: Common = {
    keyPaths: secretPlaces(state.ready?.plan.steps ?? []),
    again: `Go on with: ${commandLine(state)}`,
  };
  return reportOf(state.mode.command, {
    exitCode,
    changed: hasChanged(state),
    domains: state.staged.map(each => domainReport(state, each, exitCode, common)),
    changes: changesOf(state),
    checks: [
      ...knownByResolver(state).map(resolverOnlyCheck),
      ...(state.ready?.preflight.checks ?? []),
      ...(state.result?.proof.checks ?? []),
    ],
    advice: state.advice?.checks ?? [],
    error: problem === undefined ? null : problemReport(problem),
  });
}

// A plan that was put back whole is no change; one that was only shown is what would be changed.
function changesOf(state: State): readonly ChangeView[] {
  const packages = state.mode.dryRun ? (state.facts?.missingPackages ?? []) : state.installed;
  const wanted = packages.map(
    (target): ChangeView => ({kind: 'package', target, action: 'install', diff: ''}),
  );
  return state.changed === 'put-back' || state.result?.applied === false
    ? [...wanted, ...(state.changed === 'changing' ? (state.ready?.changes ?? []) : [])]
    : [...wanted, ...(state.ready?.changes ?? [])];
}

/** What is the same for every domain of a report. */
interface Common {
  /** Where the plan put each staged key. */
  readonly keyPaths: ReadonlyMap<AbsolutePath, AbsolutePath>;
  readonly again: string;
}

function domainReport(state: State, staged: StagedDomain, exitCode: ExitCode, common: Common): DomainReport {
  const survey = state.surveys[staged.domain];
  const active = state.result?.applied === true;
  const now = active
    ? 'active'
    : survey !== undefined && (isEnough(survey, state.resolverOnly) || survey.notBefore !== undefined)
      ? 'ready'
      : stateBefore(staged, survey !== undefined);
  return {
    domain: staged.domain,
    selector: staged.selector,
    algorithm: staged.algorithm,
    bits: staged.bits,
    state: now,
    keyPath: keyPath(state, staged, common),
    record: {
      name: staged.record.absoluteName,
      zone: staged.record.zone,
      relativeName: staged.record.relativeName,
      value: staged.record.value,
      strings: staged.record.strings,
    },
    servers: (survey?.servers ?? []).map(serverReport),
    dns: survey === undefined ? null : dnsReport(survey),
    publishedAt: survey?.settled === true || survey?.notBefore !== undefined ? survey.at : null,
    activatedAt: active ? (state.appliedAt ?? null) : null,
    provenAt: active ? (state.appliedAt ?? null) : null,
    nextStep: nextStep(state, staged, now, exitCode, common),
  };
}

const stateBefore = (staged: StagedDomain, asked: boolean): StagedDomain['state'] =>
  staged.state === 'staged' && asked ? 'pending' : staged.state;

// In a dry run the key was thrown away again; after an apply it is where the plan put it.
function keyPath(state: State, staged: StagedDomain, {keyPaths}: Common): string | null {
  if (state.mode.dryRun && state.pending === undefined) return null;
  if (state.result?.applied !== true) return staged.stagedPath;
  return keyPaths.get(staged.stagedPath) ?? staged.stagedPath;
}

function nextStep(
  state: State,
  staged: StagedDomain,
  now: DomainReport['state'],
  exitCode: ExitCode,
  {again}: Common,
): string {
  if (state.mode.dryRun) return 'Run the same command without --dry-run.';
  if (now === 'active') return 'Nothing now; rotate the key in half a year with waxseal rotate.';
  if (state.mode.sandbox) return AFTER_SANDBOX;
  const until = state.surveys[staged.domain]?.notBefore;
  if (now === 'ready' && until !== undefined) return `Wait until ${formatMoment(until, 'up')}. ${again}`;
  if (now === 'ready') {
    return exitCode === 6 || exitCode === 7 ? 'Mend what failed, then run the same command again.' : again;
  }
  return `Publish the TXT record ${staged.record.absoluteName}. ${again}`;
}

/** Ends the run with its report; views show its error. A key of a dry run is thrown away. */
export function finish(state: State, exitCode: ExitCode, problem?: Problem): Next {
  const report = buildReport(state, exitCode, problem);
  const discard: readonly Effect[] =
    state.mode.dryRun && state.pending === undefined && state.staged.length > 0
      ? [{do: 'discard', staged: state.staged}]
      : [];
  return [{...state, phase: {at: 'finished', report}}, [...discard, {do: 'finish', report}]];
}

/** Said at the end of a run in the sandbox: nothing is there to go on with, and its commands would meet the real host. */
export const AFTER_SANDBOX =
  'That was the sandbox, which is gone now; nothing of this machine was touched. On a mail host: sudo waxseal';

/** The end of a finished job: the command line for next time, then exit 0. */
export const finishDone = (state: State): Next =>
  finish(
    tell(
      state,
      line(
        'info',
        `The same without questions: ${commandLine({...state, mode: {...state.mode, yes: true}})}`,
      ),
      ...(state.mode.sandbox ? [line('info', AFTER_SANDBOX)] : []),
    ),
    0,
  );

/** What has happened to the host so far, as a sentence for the header, the leave question and the last word. */
export function changedSentence(state: State): string {
  if (state.phase.at === 'applying' && state.changed !== 'put-back') return 'Changes are being made.';
  if (state.unfinished !== undefined && state.changed === 'nothing') {
    return 'What an earlier run changed is still there; nothing was added to it.';
  }
  const packages = state.installed.length > 0 ? `Packages installed: ${state.installed.join(' ')}.` : '';
  switch (state.changed) {
    case 'nothing':
      return 'Nothing was changed.';
    case 'packages':
      return `${packages} Nothing else was changed.`;
    case 'changing':
      return 'Changes are being made.';
    case 'changed':
      return 'This host was changed.';
    case 'put-back':
      return packages === '' ? 'Everything was put back.' : `Everything but this was put back. ${packages}`;
  }
}

/** The key waits on disk and the record is (or may be) on its way: leaving loses nothing. */
const isKept = (phase: Phase): boolean => phase.at === 'record' || phase.at === 'propagation';

/** The question that is asked before leaving, with what stays. */
export function leaveQuestion(state: State): {readonly title: string; readonly text: string} {
  const from = state.phase.at === 'leaving' ? state.phase.from : state.phase;
  const kept = isKept(from) || (state.staged.length > 0 && !state.mode.dryRun);
  const stays = state.mode.sandbox
    ? 'The sandbox is thrown away, and its key with it.'
    : `The key is kept; go on later with: ${commandLine(state)}`;
  const text = kept ? `${changedSentence(state)} ${stays}` : changedSentence(state);
  return {title: 'Leave?', text};
}

/** Why a run ends with exit 3, and what goes on with it. */
export function pendingProblem(state: State): Problem {
  if (state.mode.sandbox) {
    return problem('record.pending', 'The record was not yet on every authoritative server.', AFTER_SANDBOX);
  }
  const until = notBeforeOf(state);
  const heard = state.staged.flatMap(({domain}) => state.surveys[domain] ?? []).find(isResolverWord);
  if (heard !== undefined && !state.resolverOnly && state.mode.command !== 'rotate') {
    return problem(
      'record.resolver-only',
      `The resolver has the record, but no name server of ${heard.zone.apex} can be asked from this host; the key is kept.`,
      `Open port 53 (UDP and TCP) outward, or go on by the resolver's word alone with: ${commandLine({...state, resolverOnly: true})}`,
    );
  }
  return until === undefined
    ? problem(
        'record.pending',
        'The record is not yet on every authoritative server; the key is kept.',
        `Publish it, then go on with: ${commandLine(state)}`,
      )
    : problem(
        'record.remembered',
        `Every server has the record, but until ${formatMoment(until, 'up')} caches may remember that nothing was there; the old key goes on signing.`,
        `Nothing has to be done before that; then let the new key sign with: ${commandLine(state)}`,
      );
}

/** The last moment that a rotation waits for where every record is everywhere; ISO 8601, UTC. */
function notBeforeOf({staged, surveys}: State): string | undefined {
  const seen = staged.map(({domain}) => surveys[domain]);
  return seen.every(survey => survey?.agreed === true)
    ? seen
        .flatMap(survey => survey?.notBefore ?? [])
        .toSorted()
        .at(-1)
    : undefined;
}

/** Leaves at once with what the phase makes of it; a running change is asked to put everything back first. */
export function leaveNow(state: State, code: 130 | 143): Next {
  const phase = state.phase.at === 'leaving' ? state.phase.from : state.phase;
  const here: State = {...state, phase};
  switch (phase.at) {
    case 'finished':
      return [state, []];
    case 'recovering':
      return [{...here, stopping: here.stopping ?? code}, []];
    case 'installing':
    case 'applying':
    case 'testing':
    case 'rolling-back':
      return stopWork(here, code);
    case 'host':
      return phase.offer === 'blocked' ? finishBlocked(here) : finish(here, code, stopped(here, code));
    case 'record':
    case 'propagation':
      // By key on a terminal this is a pause, not an accident: the job is pending.
      return code === 130 && here.mode.interactive
        ? finish(here, 3, pendingProblem(here))
        : finish(here, code, stopped(here, code));
    case 'looking':
    case 'asking':
    case 'making-key':
    case 'planning':
    case 'plan':
    case 'leaving':
      return finish(here, code, stopped(here, code));
  }
}

// Once the proof is passed only advice is outstanding: the job is done, and stopping is no failure.
function stopWork(state: State, code: 130 | 143): Next {
  if (state.result !== undefined) return finishDone(state);
  if (state.stopping !== undefined) return [state, []];
  return [
    tell(
      {...state, stopping: code},
      line('warn', 'Stopping: the step in hand is ended, then all is put back'),
    ),
    [{do: 'abort'}],
  ];
}

/** Who leaves or declines has got what was asked for: that is told, but is no error. */
export const isWish = (errorId: string): boolean => errorId === 'interrupted' || errorId === 'declined';

export function stopped(state: State, code: 130 | 143): Problem {
  const kept = state.staged.length > 0 && !state.mode.dryRun;
  const made = keysMade(state);
  const id = code === 130 ? 'interrupted' : 'terminated';
  const message = `Ended ${code === 130 ? 'by the user' : 'by a signal'}. ${changedSentence(state)}`;
  if (state.mode.sandbox) return problem(id, message, AFTER_SANDBOX);
  return problem(
    id,
    message,
    made > 0
      ? `${made === 1 ? 'The key that is made is' : `The ${made} keys that are made are`} kept; go on with: ${commandLine(state)}`
      : kept
        ? `The key is kept; go on with: ${commandLine(state)}`
        : '',
  );
}

/** Keys that a run leaves which ends while they are made; none of a dry run. */
const keysMade = ({phase, mode}: State): number =>
  phase.at === 'making-key' && !mode.dryRun ? (phase.progress?.done ?? 0) : 0;

/** Exit 5 with the first obstacle as the error and the others as lines. */
export function finishBlocked(state: State): Next {
  const [first, ...others] = state.facts?.blockers ?? [];
  if (first === undefined)
    return finish(state, 5, problem('host.unsupported', 'This host is not supported.', ''));
  return finish(tell(state, ...others.flatMap(each => problemLines('error', each))), 5, first);
}
