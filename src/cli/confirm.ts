import {createInterface} from 'node:readline/promises';
import {UsageError} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import type {Context} from './context.ts';

/** Asks for a typed "yes"; without a terminal the missing answer names its flag. */
export async function confirm(context: Context, question: string): Promise<boolean> {
  if (!context.view.interactive) {
    throw new UsageError(
      problem(
        'usage.missing',
        'Nobody can be asked here.',
        'Agree beforehand with --yes, or look first with --dry-run.',
      ),
    );
  }
  const {stdin, stdout} = context.streams;
  const reader = createInterface({input: stdin, output: stdout});
  try {
    return /^y(es)?$/i.test((await reader.question(`${question} [y/N] `)).trim());
  } finally {
    reader.close();
  }
}
