import {checkNotes} from '../../doctor/notes.ts';
import {ChangeFailed, Declined, type ExitCode, UsageError} from '../../domain/errors.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {milterReadiness, undoAndCompare} from '../../jobs/change.ts';
import {recordUndone} from '../../jobs/key-book.ts';
import {
  findUnfinished,
  isRunId,
  listUndoable,
  planUndo,
  type RunId,
  readRuns,
  recoverRun,
  undoRun,
} from '../../plan/index.ts';
import type {ApplyEvent, ChangeView} from '../../plan/plan.ts';
import {loadState, undoHazard} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {isSet, textOf} from '../arguments.ts';
import {changing} from '../changing.ts';
import {confirm} from '../confirm.ts';
import {type Context, mustBeRoot} from '../context.ts';
import {changeLines, checkLines, tell} from '../print.ts';

/** `waxseal undo`: puts back what the last change did (or the one of `--id`); a run that was cut off comes first. */
export async function undo(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  mustBeRoot(ports, 'The journal belongs to root.');
  if (isSet(context.flags, 'list')) return await list(context, ports);
  return await changing(ports, 'undo', async () => {
    const [unfinished] = await findUnfinished(ports);
    if (unfinished !== undefined) {
      if (isSet(context.flags, 'dry-run')) {
        return await tell(context, {exitCode: 0}, [`would put back the unfinished run ${unfinished.run}`]);
      }
      await agree(context, `Put back the unfinished run ${unfinished.run} (${visible(unfinished.title)})?`);
      const back = await recoverRun(
        ports,
        unfinished,
        {ready: milterReadiness(ports), lockHeld: true},
        say(context),
      );
      if (back.result === 'incomplete') throw back.error;
      if (back.result === 'finished') {
        const lines = [
          `finished: ${back.run}; it can't be put back`,
          ...back.passed.map(text => visible(text)),
        ];
        return await tell(context, {exitCode: 0, changed: true}, lines);
      }
      return await tell(context, {exitCode: 0, changed: true}, [`put back: ${unfinished.run}`]);
    }
    return await undoOne(context, ports);
  });
}

async function list(context: Context, ports: Ports): Promise<ExitCode> {
  const {runs: all, damaged} = await readRuns(ports);
  const runs = all.filter(({status, final}) => status === 'applied' && !final).reverse();
  const changes = runs.map(
    ({run, title, at}): ChangeView => ({
      kind: 'write',
      target: run,
      action: `${at} ${visible(title)}`,
      diff: '',
    }),
  );
  const lines: string[] = runs.map(
    ({run, title, at, changes: steps}) =>
      `${run}  ${at}  ${visible(title)} (${steps} ${steps === 1 ? 'step' : 'steps'})`,
  );
  const checks = await checkNotes(ports);
  if (lines.length === 0 && damaged.length === 0) lines.push('Nothing to undo.');
  return await tell(context, {exitCode: checks.length === 0 ? 0 : 4, changes, checks}, [
    ...lines,
    ...checks.flatMap(checkLines),
  ]);
}

async function undoOne(context: Context, ports: Ports): Promise<ExitCode> {
  const run = await chosenRun(context, ports);
  if (run === undefined) return await tell(context, {exitCode: 0}, ['Nothing to undo.']);
  const state = await loadState(ports.files);
  const hazard = state.ok ? undoHazard(state.value, run) : undefined;
  if (hazard !== undefined) throw new UsageError(hazard);
  const merged = isSet(context.flags, 'merged');
  const view = await planUndo(ports, run, {merged});
  if (!view.ok) throw new UsageError(view.problem);
  const {changes, conflicts} = view.value;
  const lines = changes.flatMap(changeLines);
  const [conflict] = conflicts;
  const dryRun = isSet(context.flags, 'dry-run');
  if (conflict !== undefined && dryRun) throw new ChangeFailed(conflict);
  const hooks = {ready: milterReadiness(ports), lockHeld: true, merged};
  if (conflict !== undefined) {
    // Refused again, and this time a merge of what was edited is written for the administrator.
    const refused = await undoRun(ports, run, hooks, say(context));
    if (refused.result === 'undone')
      return await tell(context, {exitCode: 0, changed: true}, [`undone: ${run}`]);
    throw new ChangeFailed(problem(refused.error.id, refused.error.message, refused.error.hint));
  }
  if (dryRun) return await tell(context, {exitCode: 0, changes}, lines);
  if (!isSet(context.flags, 'json')) for (const line of lines) context.say(line);
  await agree(context, `Undo ${visible(view.value.run.title)} of ${view.value.run.at}?`);
  const {outcome: done, check} = await undoAndCompare(
    ports,
    view.value.run.domains,
    () => undoRun(ports, run, hooks, say(context)),
    context.signal,
  );
  if (done.result !== 'undone') throw done.error;
  await bookUndone(context, ports, run);
  const isLost = check?.status === 'fail';
  const checks = check === undefined ? {} : {checks: [check]};
  return await tell(context, {exitCode: isLost ? 4 : 0, changed: true, changes, ...checks}, [
    `undone: ${visible(view.value.run.title)}`,
    ...(check === undefined || check.status === 'pass' ? [] : checkLines(check)),
    'The DNS record was not touched: keep it for a week, for mail that is on its way.',
  ]);
}

/** The host is as it was: a note that cannot be written is said, but is no failure of that. */
async function bookUndone(context: Context, ports: Ports, run: RunId): Promise<void> {
  try {
    await recordUndone(ports, run);
  } catch (error) {
    const why = visible(error instanceof Error ? error.message : String(error));
    context.say(`waxseal: warning: the host is as it was, but waxseal status does not say so: ${why}`);
  }
}

async function chosenRun(context: Context, ports: Ports): Promise<RunId | undefined> {
  const wanted = textOf(context.flags, 'id') ?? context.operands[0];
  if (wanted === undefined) return (await listUndoable(ports))[0]?.run;
  if (isRunId(wanted)) return wanted;
  throw new UsageError(
    problem('undo.unknown', `"${visible(wanted)}" is no run.`, 'waxseal undo --list shows them.'),
  );
}

async function agree(context: Context, question: string): Promise<void> {
  if (isSet(context.flags, 'yes')) return;
  if (!(await confirm(context, question))) {
    throw new Declined(problem('declined', 'Nothing was undone.', 'Run it again when you want to.'));
  }
}

const say =
  (context: Context) =>
  (event: ApplyEvent): void => {
    if (event.type === 'step-undone') context.say(`put back: ${visible(event.step)}`);
  };
