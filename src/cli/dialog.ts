import {ChangeFailed, Declined} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import type {Released} from '../jobs/lock-turns.ts';
import type {Dialog} from '../jobs/run-change.ts';
import {isSet} from './arguments.ts';
import {confirm} from './confirm.ts';
import type {Context} from './context.ts';
import {changeLines} from './print.ts';

/**
 * A job speaks through this with a person, or obeys `--yes`, `--dry-run` and `--json`. The lock of the host is given back
 * by `released` while that person is asked.
 */
export const dialogOf = (
  context: Context,
  released: Released,
  declined = 'Nothing was changed.',
): Dialog => ({
  dryRun: isSet(context.flags, 'dry-run'),
  show(changes, further) {
    if (isSet(context.flags, 'json')) return;
    for (const line of [...changes.flatMap(changeLines), ...further]) context.say(line);
  },
  async agree(question, isSame) {
    if (isSet(context.flags, 'yes')) return;
    if (!(await released(() => confirm(context, question)))) {
      throw new Declined(problem('declined', declined, 'Run it again when you want to.'));
    }
    if (await isSame()) return;
    throw new ChangeFailed(
      problem(
        'plan.stale',
        `The host has changed since you were asked. ${declined}`,
        'Run the same command again: it shows what it would do now.',
      ),
    );
  },
  say: line => context.say(line),
});
