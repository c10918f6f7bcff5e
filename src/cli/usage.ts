/** What is wrong with a command line, as the error that ends the run with exit 2. */
import {UsageError} from '../domain/errors.ts';
import {type DomainName, parseDomain} from '../domain/names.ts';
import {problem, type Result} from '../domain/result.ts';
import {visible} from '../domain/text.ts';

export const usage = (id: string, message: string, hint: string): UsageError =>
  new UsageError(problem(id, message, hint));

/** The value that was read; UsageError with the problem of what could not be, under another id or with another hint. */
export function taken<T>(read: Result<T>, as: {readonly id?: string; readonly hint?: string} = {}): T {
  if (!read.ok) throw new UsageError({...read.problem, ...as});
  return read.value;
}

/** Domains as they are typed, commas between them; each once. */
export const domainsIn = (texts: readonly string[]): readonly DomainName[] => [
  ...new Set(texts.flatMap(text => text.split(',')).map(text => taken(parseDomain(text)))),
];

/** What a file holds that the command line names; UsageError where it is not there. */
export async function present(
  reading: Promise<Uint8Array | undefined>,
  file: string,
  id: string,
  hint: string,
): Promise<Uint8Array> {
  const content = await reading;
  if (content === undefined) throw usage(id, `There is no file ${visible(file)}.`, hint);
  return content;
}
