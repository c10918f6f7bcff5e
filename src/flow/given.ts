/** From flags to the texts that answer questions beforehand. */
import {fail, ok, problem, type Result} from '../domain/result.ts';
import type {QuestionId} from './answers.ts';
import {QUESTION_ORDER, questionOf} from './questions.ts';

export type Given = Readonly<Partial<Record<QuestionId, string>>>;

/** Flag values as node:util's parseArgs returns them, by name without the dashes. */
export type FlagValues = Readonly<
  Record<string, string | boolean | readonly (string | boolean)[] | undefined>
>;

/**
 * The texts that the flags give, one a question. They are parsed when their question comes up. `--algorithm`, `--bits`
 * and `--key` combine into one text, and so do `--publish` and its own; a combination that contradicts itself is a Problem.
 */
export function givenFrom(values: FlagValues): Result<Given> {
  const given: Partial<Record<QuestionId, string>> = {};
  for (const id of QUESTION_ORDER) {
    if (id === 'key' || id === 'publish') continue;
    const text = textOf(id, values);
    if (text !== undefined) given[id] = text;
  }
  const key = keyText(
    single(values['algorithm']),
    single(values['bits']),
    single(values['key']),
    values['shared-key'] === true,
  );
  if (!key.ok) return key;
  if (key.value !== undefined) given.key = key.value;
  const publish = publishText(values);
  if (publish !== undefined) given.publish = publish;
  return ok(given);
}

function textOf(id: QuestionId, values: FlagValues): string | undefined {
  const spec = questionOf(id).flags[0];
  const value = spec === undefined ? undefined : values[spec.flag.slice(2)];
  if (spec === undefined || value === undefined || value === false) return undefined;
  if (spec.metavar === undefined) return spec.flag.startsWith('--no-') ? 'no' : 'yes';
  return Array.isArray(value) ? value.join(',') : String(value);
}

/** `--publish` and what belongs to it in one text, as `nsupdate key=FILE`. */
function publishText(values: FlagValues): string | undefined {
  const more = Object.entries(PUBLISH_WORDS).flatMap(([name, word]) => {
    const value = single(values[name]);
    return value === undefined ? [] : [`${word}=${value}`];
  });
  const way = single(values['publish']);
  return way === undefined && more.length === 0 ? undefined : [way ?? 'manual', ...more].join(' ');
}

const PUBLISH_WORDS: Readonly<Record<string, string>> = {
  'tsig-key': 'key',
  'update-server': 'server',
  'update-ttl': 'ttl',
  'lexicon-config': 'config',
};

const single = (value: FlagValues[string]): string | undefined =>
  typeof value === 'string' ? value : undefined;

function keyText(
  algorithm: string | undefined,
  bits: string | undefined,
  file: string | undefined,
  shared: boolean,
): Result<string | undefined> {
  const common = shared ? ' shared' : '';
  const contradiction = (message: string, hint: string): Result<string | undefined> =>
    fail(problem('key.flags', message, hint));
  if (file !== undefined) {
    return algorithm === undefined && bits === undefined
      ? ok(`file:${file}`)
      : contradiction('--key brings its own algorithm and size.', 'Leave --algorithm and --bits out.');
  }
  if (algorithm === 'ed25519') {
    return bits === undefined
      ? ok(`ed25519${common}`)
      : contradiction('An Ed25519 key has no choice of size.', 'Leave --bits out.');
  }
  if (algorithm !== undefined && algorithm !== 'rsa') return ok(algorithm);
  const isDefault = algorithm === undefined && bits === undefined && !shared;
  return ok(isDefault ? undefined : `rsa:${bits ?? '2048'}${common}`);
}
