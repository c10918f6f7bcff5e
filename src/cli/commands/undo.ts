import {checkNotes} from '../../doctor/notes.ts';
import type {ExitCode} from '../../domain/errors.ts';
import {visible} from '../../domain/text.ts';
import {type Undoing, undoChange} from '../../jobs/undo/undo.ts';
import {isRunId, type RunId, readRuns} from '../../plan/index.ts';
import type {ChangeView} from '../../plan/plan.ts';
import type {Ports} from '../../system/ports.ts';
import {isSet, textOf} from '../arguments.ts';
import {changing} from '../changing.ts';
import {type Context, rootPorts} from '../context.ts';
import {dialogOf} from '../dialog.ts';
import {changeLines, checkLines, tell} from '../print.ts';
import {usage} from '../usage.ts';

/** `waxseal undo`: puts back what the last change did (or the one of `--id`); a run that was cut off comes first. */
export async function undo(context: Context): Promise<ExitCode> {
  const ports = await rootPorts(context, 'The journal belongs to root.');
  if (isSet(context.flags, 'list')) return await list(context, ports);
  return await changing(context, ports, 'undo', async (own, released) => {
    const options = {run: chosenRun(context), merged: isSet(context.flags, 'merged')};
    const dialog = dialogOf(context, released, 'Nothing was undone.');
    return await tellUndoing(context, await undoChange(ports, dialog, options, own.signal));
  });
}

async function tellUndoing(context: Context, done: Undoing): Promise<ExitCode> {
  switch (done.result) {
    case 'nothing':
      return await tell(context, {exitCode: 0}, ['Nothing to undo.']);
    case 'unfinished':
      return await tell(context, {exitCode: 0}, [`would put back the unfinished run ${done.run}`]);
    case 'recovered':
      return await tell(context, {exitCode: 0, changed: true}, [`put back: ${done.run}`]);
    case 'finished':
      return await tell(context, {exitCode: 0, changed: true}, [
        `finished: ${done.run}; it can't be put back`,
        ...done.passed.map(text => visible(text)),
      ]);
    case 'shown':
      return await tell(context, {exitCode: 0, changes: done.changes}, done.changes.flatMap(changeLines));
    case 'undone': {
      const {title, changes, check} = done;
      const checks = check === undefined ? {} : {checks: [check]};
      return await tell(
        context,
        {exitCode: check?.status === 'fail' ? 4 : 0, changed: true, changes, ...checks},
        [
          `undone: ${visible(title)}`,
          ...(check === undefined || check.status === 'pass' ? [] : checkLines(check)),
          'The DNS record was not touched: keep it for a week, for mail that is on its way.',
        ],
      );
    }
  }
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

function chosenRun(context: Context): RunId | undefined {
  const wanted = textOf(context.flags, 'id') ?? context.operands[0];
  if (wanted === undefined || isRunId(wanted)) return wanted;
  throw usage('undo.unknown', `"${visible(wanted)}" is no run.`, 'waxseal undo --list shows them.');
}
