import {Declined} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import type {Dialog} from '../jobs/run-change.ts';
import {isSet} from './arguments.ts';
import {confirm} from './confirm.ts';
import type {Context} from './context.ts';
import {changeLines} from './print.ts';

/** A job speaks through this with a person, or obeys `--yes`, `--dry-run` and `--json`. */
export const dialogOf = (context: Context, declined = 'Nothing was changed.'): Dialog => ({
  dryRun: isSet(context.flags, 'dry-run'),
  show(changes, further) {
    if (isSet(context.flags, 'json')) return;
    for (const line of [...changes.flatMap(changeLines), ...further]) context.say(line);
  },
  async agree(question) {
    if (isSet(context.flags, 'yes') || (await confirm(context, question))) return;
    throw new Declined(problem('declined', declined, 'Run it again when you want to.'));
  },
  say: line => context.say(line),
});
