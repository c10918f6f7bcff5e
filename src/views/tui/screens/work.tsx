import type {ReactNode} from 'react';
import {visible} from '../../../domain/text.ts';
import {targetOf} from '../../../flow/lines.ts';
import type {WorkEvent} from '../../../flow/operations.ts';
import type {Phase, State} from '../../../flow/state.ts';
import {MTAS} from '../../../services/registry.ts';
import type {Step} from '../../../services/step.ts';
import {Frame, type KeyHint, useRoom} from '../components/frame.tsx';
import {ScrollPane} from '../components/scroll-pane.tsx';
import {useUi} from '../components/ui.tsx';
import {BLANK, paragraph, type Row} from '../rows.ts';
import {checkRows, type Mark, statusRows} from '../status.ts';
import {type Theme, useTheme} from '../theme.tsx';

type WorkPhase = Extract<Phase, {at: 'recovering' | 'installing' | 'applying' | 'testing' | 'rolling-back'}>;

const TITLES: Readonly<Record<WorkPhase['at'], string>> = {
  recovering: 'Putting back what was cut short',
  installing: 'Installing packages',
  applying: 'Making the changes',
  testing: 'Testing with real messages',
  'rolling-back': 'Putting everything back',
};

/** What can be pressed while work is under way; true of the explanation that lies over it, too. */
export const WORK_KEYS: Readonly<Record<WorkPhase['at'], readonly KeyHint[]>> = {
  recovering: [['Ctrl-C', 'leaves when it is done']],
  installing: [['Ctrl-C', 'stops']],
  applying: [['Ctrl-C', 'stops and puts everything back']],
  testing: [['Ctrl-C', 'stops and puts everything back']],
  'rolling-back': [['Please wait', 'until this is done']],
};

const MTA = MTAS[0].words.program;

const LEADS: Readonly<Record<WorkPhase['at'], string>> = {
  recovering: 'Each file and service becomes what it was before.',
  installing: 'The package manager of this host is at work; this can take a minute.',
  applying: 'A backup is kept of each file before it is touched.',
  testing: `A message goes to the signer as ${MTA} sends it, then through ${MTA} itself. None leaves this host.`,
  'rolling-back': 'A change failed or was stopped. Each file and service becomes what it was before.',
};

/** Work under way: each step and each check with its status in words, the newest in sight. */
export function Work({phase}: {readonly phase: WorkPhase}): ReactNode {
  const {state} = useUi();
  const theme = useTheme();
  const room = useRoom(WORK_KEYS[phase.at]);
  const rows = [
    ...headRows(phase, state, room.width),
    BLANK,
    ...(phase.at === 'testing' ? checksOf(state, room.width, theme) : stepRows(state, room.width, theme)),
  ];
  return (
    <Frame title={TITLES[phase.at]} room={room}>
      <ScrollPane rows={rows} height={room.height} follow />
    </Frame>
  );
}

function headRows(phase: WorkPhase, state: State, width: number): readonly Row[] {
  const because =
    phase.at === 'rolling-back' ? paragraph(visible(phase.because), width, {tone: 'error'}) : [];
  const stopping =
    state.stopping !== undefined && phase.at !== 'rolling-back'
      ? paragraph('Stopping: the step in hand is ended first.', width, {tone: 'warn'})
      : [];
  return [...paragraph(LEADS[phase.at], width, {tone: 'muted'}), ...because, ...stopping];
}

type StepStatus = 'waiting' | 'running' | 'done' | 'failed' | 'undone';

const STEP_MARKS: Readonly<Record<StepStatus, Mark & {readonly word: string}>> = {
  waiting: {symbol: 'waiting', tone: 'muted', word: 'waiting'},
  running: {symbol: 'pointer', tone: 'accent', word: 'running'},
  done: {symbol: 'ok', tone: 'ok', word: 'done'},
  failed: {symbol: 'error', tone: 'error', word: 'failed'},
  undone: {symbol: 'ok', tone: 'plain', word: 'put back'},
};

/** The steps of the plan, or where there is none those that have been heard of, each with its newest status. */
function stepRows(state: State, width: number, theme: Theme): readonly Row[] {
  const statuses = new Map<string, StepStatus>();
  const messages = new Map<string, string>();
  const inPlan = state.phase.at !== 'recovering' && state.phase.at !== 'installing';
  const planned = inPlan ? (state.ready?.plan.steps ?? []) : [];
  const names = stepNames(planned);
  const byReason = new Map(planned.map(step => [step.why, step.id]));
  for (const id of names.keys()) statuses.set(id, 'waiting');
  for (const event of state.work) {
    const change = changeOf(event);
    if (change === undefined) continue;
    // Events name a step by its id or by its purpose.
    const id = names.has(change.step) ? change.step : (byReason.get(change.step) ?? change.step);
    statuses.set(id, change.status);
    // Steps are taken in order, and of many only the last event is kept.
    if (event.type === 'step-started' || event.type === 'step-done') {
      for (const {id: earlier} of planned.slice(0, event.index - 1)) statuses.set(earlier, 'done');
    }
    if (event.type === 'step-failed') messages.set(id, event.message);
  }
  const steps = [...statuses].flatMap(([id, status]) => {
    const {word, ...mark} = STEP_MARKS[status];
    const message = messages.get(id);
    return [
      ...statusRows(mark, word, names.get(id) ?? targetOf(id), width, theme),
      ...(message === undefined ? [] : statusRows(mark, '', message, width, theme)),
    ];
  });
  const checks = checksOf(state, width, theme);
  return checks.length === 0 ? steps : [...steps, BLANK, ...checks];
}

/** What each step is for, by id; with its target where several are for the same. */
function stepNames(steps: readonly Step[]): ReadonlyMap<string, string> {
  const count = new Map<string, number>();
  for (const {why} of steps) count.set(why, (count.get(why) ?? 0) + 1);
  return new Map(
    steps.map(({id, why}) => [id, (count.get(why) ?? 0) > 1 ? `${why} (${targetOf(id)})` : why]),
  );
}

function changeOf(event: WorkEvent): {readonly step: string; readonly status: StepStatus} | undefined {
  switch (event.type) {
    case 'step-started':
      return {step: event.step, status: 'running'};
    case 'step-done':
      return {step: event.step, status: 'done'};
    case 'step-failed':
      return {step: event.step, status: 'failed'};
    case 'step-undone':
      return {step: event.step, status: 'undone'};
    default:
      return undefined;
  }
}

function checksOf(state: State, width: number, theme: Theme): readonly Row[] {
  return state.work.flatMap(event => (event.type === 'check' ? checkRows(event.check, width, theme) : []));
}
