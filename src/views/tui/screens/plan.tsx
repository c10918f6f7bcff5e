import {Box} from 'ink';
import {type ReactNode, useLayoutEffect, useMemo, useState} from 'react';
import {visible} from '../../../domain/text.ts';
import {answersToEdit} from '../../../flow/asking.ts';
import {applyRefusal, isEmpty} from '../../../flow/carrying-out.ts';
import {changeTexts, inReadingOrder} from '../../../flow/many.ts';
import type {PlanReady} from '../../../flow/operations.ts';
import {questionOf} from '../../../flow/questions.ts';
import type {State} from '../../../flow/state.ts';
import type {ChangeView} from '../../../plan/plan.ts';
import {SIGNER} from '../../../services/registry.ts';
import {ChoiceList} from '../components/choice-list.tsx';
import {DrawRows} from '../components/draw.tsx';
import {EXPLAINS, Frame, type KeyHint, LEAVES, useRoom} from '../components/frame.tsx';
import {ScrollPane} from '../components/scroll-pane.tsx';
import {TextField} from '../components/text-field.tsx';
import {useKeys, useUi} from '../components/ui.tsx';
import {letterOf} from '../input/keys.ts';
import {BLANK, paragraph, type Row, widthOf, wrapExactly} from '../rows.ts';
import {checkRows, problemRows, remarkRows} from '../status.ts';
import {type Theme, type Tone, useTheme} from '../theme.tsx';

/** What can be done with this plan. */
type Use = 'apply' | 'test-only' | 'look-only' | 'refused';

const KEYS: Readonly<Record<Use, readonly KeyHint[]>> = {
  apply: [['a', 'applies it, after one more question']],
  'test-only': [['Enter', 'goes on to the live test']],
  'look-only': [['Enter', 'ends the dry run']],
  refused: [['Enter', 'leaves']],
};
const ALWAYS: readonly KeyHint[] = [['Esc', 'goes back'], EXPLAINS, LEAVES];
// Not e: it is in the word that applies, and may be typed without the a before it.
const EDIT: KeyHint = ['c', 'changes an answer'];
const EDIT_KEYS: readonly KeyHint[] = [
  ['Enter', 'asks that again'],
  ['Esc', 'back to the plan'],
];
const CONFIRM_KEYS: readonly KeyHint[] = [
  ['yes Enter', 'applies'],
  ['Enter or Esc', 'does not'],
  ['PgUp PgDn', 'move'],
];

/** Every change, with its diff. Applying takes two steps, and Enter alone never does it. */
export function PlanScreen(): ReactNode {
  const {state, send, drain} = useUi();
  const theme = useTheme();
  const use = useOf(state);
  const [confirming, setConfirming] = useState(false);
  const [editing, setEditing] = useState(false);
  const [note, setNote] = useState('');
  const answers = useAnswers(state);
  const room = useRoom(
    confirming
      ? CONFIRM_KEYS
      : editing
        ? EDIT_KEYS
        : [...KEYS[use], ...(answers.length === 0 ? [] : [EDIT]), ...ALWAYS],
  );
  useLayoutEffect(drain, [drain]);
  useKeys(key => {
    if (confirming) {
      if (key.name === 'escape') setConfirming(false);
      return;
    }
    if (editing) {
      if (key.name === 'escape' || key.name === 'left') setEditing(false);
      return;
    }
    if (key.name === 'escape' || key.name === 'left') send({type: 'back'});
    else if (letterOf(key) === 'a' && use === 'apply') {
      setNote('');
      setConfirming(true);
    } else if (letterOf(key) === 'c' && answers.length > 0) {
      setNote('');
      setEditing(true);
    } else if (key.name === 'enter') {
      if (use === 'refused') send({type: 'declined'});
      else if (use === 'apply') setNote('Enter alone changes nothing. Press a to apply.');
      else send({type: 'continued'});
    }
  });
  const decide = (entry: string): void => {
    setConfirming(false);
    if (entry.trim().toLowerCase() === 'yes') send({type: 'confirmed'});
    else setNote('Not applied.');
  };

  const choose = (value: string): void => {
    const answer = answers.find(each => each.value === value);
    if (answer !== undefined) send({type: 'edit', question: answer.value});
  };

  const rows = useMemo(() => planRows(state, room.width, theme), [state, room.width, theme]);
  const count = state.ready?.plan.steps.length ?? 0;
  const below: readonly Row[] = confirming
    ? paragraph(`Make these changes now (${steps(count)})? Type yes and press Enter.`, room.width, {
        tone: 'warn',
      })
    : note === ''
      ? []
      : paragraph(note, room.width, {tone: 'accent'});
  if (editing) {
    return (
      <Frame title="Which answer shall be another one?" room={room}>
        <Box aria-role="listbox" flexDirection="column">
          <ChoiceList options={answers} width={room.width} height={room.height} onChoose={choose} />
        </Box>
      </Frame>
    );
  }
  const height = Math.max(1, room.height - below.length - (confirming ? 1 : 0));
  return (
    <Frame title={use === 'test-only' ? 'Nothing to change' : 'What will be changed'} room={room}>
      <ScrollPane rows={rows} height={height} keysElsewhere={confirming} />
      <DrawRows rows={below} />
      {confirming && <TextField label="Type yes to apply" initial="" width={room.width} onSubmit={decide} />}
    </Frame>
  );
}

function useOf(state: State): Use {
  if (applyRefusal(state) !== undefined) return 'refused';
  if (state.mode.dryRun) return 'look-only';
  return state.ready !== undefined && isEmpty(state.ready) ? 'test-only' : 'apply';
}

/** The answers that may be given anew, each with what it is now. */
function useAnswers({answers, facts, accepted, mode}: State) {
  return useMemo(
    () =>
      facts === undefined
        ? []
        : answersToEdit({answers, accepted, mode}, facts).map(id => ({
            value: id,
            label: questionOf(id).title,
            hint: visible(questionOf(id).textIn(answers) || '(none)'),
          })),
    [answers, facts, accepted, mode],
  );
}

const steps = (count: number): string => (count === 1 ? '1 step' : `${count} steps`);

function planRows(state: State, width: number, theme: Theme): readonly Row[] {
  const {ready} = state;
  if (ready === undefined) return [];
  const refusal = applyRefusal(state);
  return [
    ...(refusal === undefined ? [] : [...problemRows(refusal, width, theme), BLANK]),
    ...summaryRows(ready, width, theme),
    ...inReadingOrder(ready.changes)
      .filter(change => change.diff !== '')
      .flatMap(change => [BLANK, ...diffRows(change, width, theme)]),
  ];
}

function summaryRows(ready: PlanReady, width: number, theme: Theme): readonly Row[] {
  const {changes, preflight, remarks} = ready;
  const bullet = {text: `${theme.symbols.bullet} `, tone: 'muted' as const};
  return [
    ...(changes.length === 0
      ? paragraph('This host is set up already: no file has to change.', width)
      : changeTexts(changes).flatMap(text => paragraph(visible(text), width, {lead: bullet}))),
    ...(preflight.checks.length === 0
      ? []
      : [
          BLANK,
          ...paragraph(`Tried in a temporary ${SIGNER.words.program}:`, width, {tone: 'strong'}),
          ...preflight.checks.flatMap(check => checkRows(check, width, theme)),
        ]),
    ...(remarks.length === 0 ? [] : [BLANK, ...remarkRows(remarks, width, theme)]),
  ];
}

/** A unified diff whole: long lines go on below, marked, so that nothing that will be written is hidden. */
function diffRows(change: ChangeView, width: number, {symbols}: Theme): readonly Row[] {
  const lines = change.diff
    .replace(/\n$/, '')
    .split('\n')
    .map(line => visible(withoutTabs(line)));
  const named = lines[0]?.startsWith('--- ') === true;
  const head: readonly Row[] = named
    ? []
    : wrapExactly(visible(change.target), width).map(text => [{text, tone: 'strong'}]);
  const rows = lines.flatMap((line, index) => {
    const tone = diffTone(line, index);
    const [first = '', ...more] = wrapExactly(line, width - 2);
    return [
      [{text: first, tone}],
      ...more.map(
        (rest): Row => [
          {text: `${symbols.continued} `, tone: 'muted'},
          {text: rest, tone},
        ],
      ),
    ];
  });
  return [...head, ...rows];
}

/** Tabs as blanks up to the next eighth column, as in the file: the sign before the line does not count. */
function withoutTabs(line: string): string {
  const [first = '', ...rest] = line.split('\t');
  return rest.reduce((text, part) => text + ' '.repeat(8 - ((widthOf(text) + 7) % 8)) + part, first);
}

function diffTone(line: string, index: number): Tone {
  if (index < 2 && /^(?:---|\+\+\+) /.test(line)) return 'strong';
  if (line.startsWith('+')) return 'added';
  if (line.startsWith('-')) return 'removed';
  return line.startsWith('@@') ? 'hunk' : 'plain';
}
