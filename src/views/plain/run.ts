/**
 * The line by line view: no cursor movement, no colour, no spinner. The same mode for screen readers, serial lines,
 * dumb terminals, pipes and logs.
 */
import {createInterface} from 'node:readline';
import type {Readable, Writable} from 'node:stream';
import {inReadingOrder} from '../../flow/many.ts';
import type {Report} from '../../flow/report.ts';
import type {Session, State} from '../../flow/state.ts';
import {where} from '../../flow/where.ts';
import {blockText, endText, lineText} from './lines.ts';
import {headerText, meaningOf, promptText} from './prompts.ts';

export interface PlainStreams {
  readonly input: Readable;
  readonly output: Writable;
  /** For the last word where the run did not end well. */
  readonly errors: Writable;
  /** False: nothing is read, only progress is printed. */
  readonly interactive: boolean;
  /** Only the last word. */
  readonly quiet?: boolean;
}

/** Shows a session until it is finished; resolves with its report. */
export async function runPlain(session: Session, streams: PlainStreams): Promise<Report> {
  const close = streams.interactive ? converse(session, streams) : listen(session, streams);
  try {
    const report = await session.done();
    streams.errors.write(endText(report));
    return report;
  } finally {
    close();
  }
}

/** Prints what is new in a state: its lines, then the plan with its diffs once there is one. */
function reporter(output: Writable): (state: State) => void {
  let printed = 0;
  let planned: State['ready'];
  return state => {
    for (const each of state.lines.slice(printed)) output.write(lineText(each));
    printed = state.lines.length;
    if (state.ready === planned) return;
    planned = state.ready;
    for (const change of inReadingOrder(planned?.changes ?? [])) output.write(blockText(change.diff));
  };
}

function listen(session: Session, {output, quiet}: PlainStreams): () => void {
  if (quiet === true) return () => undefined;
  const report = reporter(output);
  report(session.state());
  return session.subscribe(report);
}

function converse(session: Session, {input, output}: PlainStreams): () => void {
  const report = reporter(output);
  // Never `terminal: true`: readline would move the cursor; the terminal itself edits the line well enough.
  const reader = createInterface({input, terminal: false});
  const typed: string[] = [];
  let ended = false;
  let asked = '';
  let screen = '';
  let notice: string | undefined;

  function show(state: State): void {
    report(state);
    const here = where(state).screen;
    if (here !== screen && state.phase.at !== 'finished') output.write(headerText(state));
    screen = here;
    showNotice(state);
    const prompt = promptText(state);
    const now = prompt === undefined ? '' : `${state.phase.at} ${prompt}`;
    if (now !== asked && prompt !== undefined) ask(state, prompt);
    asked = now;
    setImmediate(pump);
  }

  function ask(state: State, prompt: string): void {
    // What was typed ahead must not agree to something nobody has read yet.
    if (state.phase.at === 'plan' || state.phase.at === 'leaving') typed.length = 0;
    output.write(prompt);
  }

  function showNotice(state: State): void {
    const now = state.phase.at === 'record' ? state.phase.notice : undefined;
    if (now !== undefined && now !== notice) output.write(`${now}\n> `);
    notice = now;
  }

  /** Gives typed lines to the flow as long as it asks for them; an ended input leaves. */
  function pump(): void {
    const state = session.state();
    const waiting = promptText(state) !== undefined;
    if (state.phase.at === 'finished') return;
    if (!waiting && typed.at(-1)?.trim().toLowerCase() !== 'q') return;
    const line = waiting ? typed.shift() : typed.pop();
    if (line !== undefined) {
      obey(line);
      setImmediate(pump);
    } else if (ended) {
      session.send({type: 'leave'});
    }
  }

  function obey(line: string): void {
    const meaning = meaningOf(session.state(), line);
    if (meaning === undefined) return;
    if ('send' in meaning) {
      const before = session.state();
      // The same question again (a second wrong answer) is to be printed again.
      const last = asked;
      asked = '';
      session.send(meaning.send);
      if (session.state() !== before) return;
      asked = last;
      // A file is being written; what came of it is said with the next prompt.
      if (meaning.send.type !== 'save-record') output.write('> ');
    } else {
      output.write(`${meaning.show}> `);
    }
  }

  reader.on('line', line => {
    typed.push(line);
    pump();
  });
  // A terminal that hangs up fails reading (EIO); unheard, that would end the process in the middle of a change.
  reader.on('error', () => {
    ended = true;
    pump();
  });
  reader.on('close', () => {
    ended = true;
    pump();
  });
  const stop = session.subscribe(show);
  show(session.state());
  return () => {
    stop();
    reader.close();
  };
}
