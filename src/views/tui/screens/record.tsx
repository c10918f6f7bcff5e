import {type ReactNode, useLayoutEffect, useMemo, useState} from 'react';
import {parseAbsolutePath} from '../../../domain/paths.ts';
import type {Problem} from '../../../domain/result.ts';
import {visible} from '../../../domain/text.ts';
import {delegationText} from '../../../flow/delegation-text.ts';
import {publisherName, publishesItself} from '../../../flow/publisher-name.ts';
import type {Phase, State} from '../../../flow/state.ts';
import {DrawRows} from '../components/draw.tsx';
import {Frame, type KeyHint, useRoom} from '../components/frame.tsx';
import {ScrollPane} from '../components/scroll-pane.tsx';
import {TextField} from '../components/text-field.tsx';
import {useKeys, useUi} from '../components/ui.tsx';
import {letterOf} from '../input/keys.ts';
import {clipboardText, FORM_NAMES, nextForm, recordsText} from '../record-text.ts';
import {BLANK, paragraph, type Row} from '../rows.ts';
import {problemRows, remarkRows} from '../status.ts';
import {type Theme, useTheme} from '../theme.tsx';

type RecordPhase = Extract<Phase, {at: 'record'}>;

const keysFor = ({answers, mode}: State): readonly KeyHint[] => [
  [
    'Enter',
    publishesItself(answers) ? `${publisherName(answers)} publishes it` : 'I have published it: look for it',
  ],
  ['p', publishesItself(answers) ? 'who else' : 'a program does it'],
  ['c', 'copies'],
  ['f', 'other form'],
  ['s', 'saves to a file'],
  ['d', 'delegates'],
  ['Esc', 'back'],
  ['?', 'explains'],
  ['Ctrl-C', mode.sandbox ? 'leaves the sandbox' : 'leaves, the key is kept'],
];
const SAVE_KEYS: readonly KeyHint[] = [
  ['Enter', 'saves'],
  ['Esc', 'does not'],
];
const DELEGATE_KEYS: readonly KeyHint[] = [
  ['Enter', 'shows the records for that'],
  ['Esc', 'does not'],
];

/** The record to publish. It stands above the frame, unboxed and unbroken, so that it can be selected whole. */
export function RecordScreen({phase}: {readonly phase: RecordPhase}): ReactNode {
  const {state, send, print, copy, drain} = useUi();
  const theme = useTheme();
  const [entry, setEntry] = useState<'none' | 'save' | 'delegate'>('none');
  const [refusal, setRefusal] = useState<Problem | undefined>(undefined);
  const room = useRoom(entry === 'save' ? SAVE_KEYS : entry === 'delegate' ? DELEGATE_KEYS : keysFor(state));
  const {staged} = state;
  const text = useMemo(() => recordsText(staged, phase.form), [staged, phase.form]);
  // With the frame, not after it: what the frame speaks of is there when it is seen.
  useLayoutEffect(() => print(text), [print, text]);
  useLayoutEffect(drain, [drain]);

  const copyIt = (): void => {
    const done = copy(clipboardText(staged, phase.form));
    const note = done
      ? 'Sent to the clipboard of your terminal. Some terminals do not allow that: if pasting gives nothing, select it above or press s.'
      : 'Too long for the clipboard; press s to save it to a file.';
    send({type: 'noticed', text: note});
  };
  const open = (which: typeof entry): void => {
    setRefusal(undefined);
    setEntry(which);
  };
  const save = (typed: string): void => {
    const path = parseAbsolutePath(typed.trim());
    if (!path.ok) {
      setRefusal(path.problem);
      return;
    }
    open('none');
    send({type: 'save-record', path: path.value});
  };
  const delegate = (typed: string): void => {
    const shown = delegationText(staged, typed);
    if (!shown.ok) {
      setRefusal(shown.problem);
      return;
    }
    open('none');
    print(visible(shown.value, {lines: true}));
    send({
      type: 'noticed',
      text: 'The records of a delegation stand above. waxseal follows them when it looks.',
    });
  };
  useKeys(key => {
    if (entry !== 'none') {
      if (key.name === 'escape') open('none');
      return;
    }
    if (key.name === 'enter') send({type: 'continued'});
    else if (key.name === 'escape' || key.name === 'left') send({type: 'back'});
    else if (letterOf(key) === 'p') send({type: 'edit', question: 'publish'});
    else if (letterOf(key) === 'c') copyIt();
    else if (letterOf(key) === 'f') send({type: 'form-chosen', form: nextForm(phase.form)});
    else if (letterOf(key) === 's') open('save');
    else if (letterOf(key) === 'd') open('delegate');
  });

  const title = staged.length > 1 ? 'Publish these records' : 'Publish this record';
  if (entry !== 'none') {
    const rows = [
      ...paragraph(entry === 'save' ? SAVE_TEXT : DELEGATE_TEXT, room.width),
      ...(refusal === undefined ? [] : problemRows(refusal, room.width, theme)),
    ];
    return (
      <Frame title={title} room={room}>
        <DrawRows rows={rows.slice(0, room.height - 1)} />
        {entry === 'save' ? (
          <TextField label="File" initial={suggestedPath(staged)} width={room.width} onSubmit={save} />
        ) : (
          <TextField label="Zone" initial="" width={room.width} onSubmit={delegate} />
        )}
      </Frame>
    );
  }
  const rows = recordRows(
    phase,
    howTo(state),
    staged.map(each => each.record.provider),
    room.width,
    theme,
  );
  const remarks = staged.flatMap(each => remarkRows(each.remarks, room.width, theme));
  return (
    <Frame title={title} room={room}>
      <ScrollPane rows={[...rows, ...remarks]} height={Math.min(room.height, LOW)} />
    </Frame>
  );
}

const SAVE_TEXT = 'Save the record to which file? It is never written over another one.';
const DELEGATE_TEXT =
  'Publish once, rotate for ever: an alias here leads to a zone of yours that a program may change, and every later key is entered there. Which zone shall keep the keys?';

/** The frame stays low here, so that the record above it is in sight on a terminal of 24 rows. */
const LOW = 8;

type Provider = {readonly name: string; readonly advice: readonly string[]} | undefined;

/** What is to be done with the record, and who could do it. */
function howTo({answers, facts}: State): string {
  if (publishesItself(answers)) {
    return `Enter has ${publisherName(answers)} publish it; all name servers are asked afterwards.`;
  }
  const [found] = facts?.publishers ?? [];
  const offer = found === undefined ? '' : ` Or press p: ${visible(found.label)} can do it.`;
  return `Publish it where the DNS of your domain is kept, then press Enter.${offer}`;
}

function recordRows(
  phase: RecordPhase,
  how: string,
  providers: readonly Provider[],
  width: number,
  theme: Theme,
): readonly Row[] {
  const advice = new Map(providers.flatMap(each => (each === undefined ? [] : [[each.name, each.advice]])));
  return [
    ...paragraph(
      `The record stands above, each value on one line (shown as: ${FORM_NAMES[phase.form]}). ${how}`,
      width,
    ),
    ...[...advice].flatMap(([name, lines]) => [
      BLANK,
      ...paragraph(`At ${visible(name)}:`, width, {tone: 'strong'}),
      ...lines.flatMap(line =>
        paragraph(visible(line), width, {lead: {text: `${theme.symbols.bullet} `, tone: 'muted'}}),
      ),
    ]),
    ...(phase.notice === undefined
      ? []
      : [BLANK, ...paragraph(visible(phase.notice), width, {tone: 'accent'})]),
  ];
}

const suggestedPath = (staged: readonly {readonly domain: string; readonly selector: string}[]): string => {
  const [first] = staged;
  return first === undefined || staged.length > 1
    ? '/root/dkim-records.txt'
    : `/root/dkim-${first.selector}-${first.domain}.txt`;
};
