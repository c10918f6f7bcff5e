import {command} from '../domain/command.ts';
import {DRAFT_FILE, STATE_DIRECTORY} from '../domain/places.ts';
import {fail, ok, problem, type Result} from '../domain/result.ts';
import {makeStateDirectory, OWN_FILE, oddKind} from '../keys/index.ts';
import type {Files} from '../system/ports.ts';

export type DraftValue = string | number | boolean | readonly string[];

/** Answers of a wizard that was left, by the id of their question. Never a secret: those are asked again. */
export type Draft = Readonly<Record<string, DraftValue>>;

/** The answers that were kept; `undefined` where there are none. Problem `draft.damaged` or `state.kind` where they can't be read. */
export async function loadDraft(files: Files): Promise<Result<Draft> | undefined> {
  const odd = await oddKind(files, DRAFT_FILE);
  if (odd !== undefined) return fail(odd);
  const content = await files.read(DRAFT_FILE, {follow: false});
  return content === undefined ? undefined : parseDraft(Buffer.from(content).toString('utf8'));
}

/** Keeps the answers, readable for root only. Throws TypeError for a private key: a fault of the caller. */
export async function saveDraft(files: Files, draft: Draft): Promise<void> {
  const text = `${JSON.stringify({version: 1, answers: draft}, null, 2)}\n`;
  if (text.includes('PRIVATE KEY')) throw new TypeError('a draft must not hold a private key');
  await makeStateDirectory(files, STATE_DIRECTORY);
  await files.replace(DRAFT_FILE, Buffer.from(text, 'utf8'), OWN_FILE);
}

export const dropDraft = (files: Files): Promise<void> => files.remove(DRAFT_FILE);

const damaged = (): Result<never> =>
  fail(
    problem(
      'draft.damaged',
      `${DRAFT_FILE} is damaged: the answers that a wizard kept there can't be read.`,
      `Remove it: ${command('rm', DRAFT_FILE)}`,
    ),
  );

function parseDraft(text: string): Result<Draft> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return damaged();
  }
  if (typeof value !== 'object' || value === null || !('version' in value) || value.version !== 1)
    return damaged();
  if (!('answers' in value) || typeof value.answers !== 'object' || value.answers === null) return damaged();
  const entries = Object.entries(value.answers);
  return entries.every(isAnswer) ? ok(Object.fromEntries(entries)) : damaged();
}

const isAnswer = (entry: [string, unknown]): entry is [string, DraftValue] => {
  const [, value] = entry;
  return (
    ['string', 'number', 'boolean'].includes(typeof value) ||
    (Array.isArray(value) && value.every(item => typeof item === 'string'))
  );
};
