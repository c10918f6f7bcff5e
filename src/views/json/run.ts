/** The machine's view: one JSON document on standard output at the end, progress as plain lines on standard error. */
import type {Writable} from 'node:stream';
import {hearLines} from '../../flow/lines.ts';
import type {Report} from '../../flow/report.ts';
import type {Session} from '../../flow/state.ts';
import {endText, lineText} from '../plain/lines.ts';

export interface JsonStreams {
  readonly output: Writable;
  readonly errors: Writable;
  /** No progress; the last word only. */
  readonly quiet?: boolean;
}

/** Follows a session that nobody answers; resolves with the report that was written. */
export async function runJson(session: Session, {output, errors, quiet}: JsonStreams): Promise<Report> {
  const stop = quiet === true ? () => undefined : hearLines(session, line => errors.write(lineText(line)));
  try {
    const report = await session.done();
    errors.write(endText(report));
    output.write(`${JSON.stringify(report)}\n`);
    return report;
  } finally {
    stop();
  }
}
