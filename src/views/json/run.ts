/** The machine's view: one JSON document on standard output at the end, progress as plain lines on standard error. */
import type {Writable} from 'node:stream';
import type {Report} from '../../flow/report.ts';
import type {Session, State} from '../../flow/state.ts';
import {endText, lineText} from '../plain/lines.ts';

export interface JsonStreams {
  readonly output: Writable;
  readonly errors: Writable;
  /** No progress; the last word only. */
  readonly quiet?: boolean;
}

/** Writes a report as one line of JSON. */
function printReport(report: Report, output: Writable): void {
  output.write(`${JSON.stringify(report)}\n`);
}

/** Follows a session that nobody answers; resolves with the report that was written. */
export async function runJson(session: Session, {output, errors, quiet}: JsonStreams): Promise<Report> {
  let printed = 0;
  const show = (state: State): void => {
    for (const each of state.lines.slice(printed)) errors.write(lineText(each));
    printed = state.lines.length;
  };
  if (quiet !== true) show(session.state());
  const stop = quiet === true ? () => undefined : session.subscribe(show);
  try {
    const report = await session.done();
    errors.write(endText(report));
    printReport(report, output);
    return report;
  } finally {
    stop();
  }
}
