import {useIsScreenReaderEnabled} from 'ink';
import {type ReactNode, useRef} from 'react';
import {formatDuration} from '../../../domain/duration.ts';
import {displayDomain} from '../../../domain/names.ts';
import type {StageProgress} from '../../../flow/operations.ts';
import type {Phase} from '../../../flow/state.ts';
import {DrawRows} from '../components/draw.tsx';
import {Frame, type KeyHint, LEAVES, useRoom} from '../components/frame.tsx';
import {useUi} from '../components/ui.tsx';
import {paragraph, type Row} from '../rows.ts';
import {type Theme, useTheme} from '../theme.tsx';

const KEYS: readonly KeyHint[] = [['Ctrl-C', 'leaves; keys that are made are kept']];

/** Keys that have to be made before the time that is left can be told. */
const ENOUGH = 5;
const WIDEST = 60;

/** Keys are being made; each is tested against its own record before it counts. */
export function MakingKey({phase}: {readonly phase: Extract<Phase, {at: 'making-key'}>}): ReactNode {
  const {state} = useUi();
  const room = useRoom(state.mode.dryRun ? [LEAVES] : KEYS);
  const theme = useTheme();
  const spoken = useIsScreenReaderEnabled();
  const {progress} = phase;
  const left = useTimeLeft(progress);
  const rows = [
    ...paragraph(countText(progress, spoken), room.width, {tone: 'strong'}),
    // A bar is nothing to listen to.
    ...(progress === undefined || progress.of < 2 || spoken
      ? []
      : [barRow(progress, left, room.width, theme)]),
    ...paragraph(
      'Each key signs a message that is verified with the very text of its record. It waits in a directory only root can read; the signer does not have it yet.',
      room.width,
    ),
  ];
  return (
    <Frame title="Making the key" room={room}>
      <DrawRows rows={rows.slice(0, room.height)} />
    </Frame>
  );
}

/** A screen reader hears of every tenth part only. */
function countText(progress: StageProgress | undefined, spoken: boolean): string {
  if (progress === undefined) return 'Starting.';
  const {done, of, domain} = progress;
  if (spoken && of > 10) return `${Math.floor((done * 10) / of) * 10} percent of ${of} ready.`;
  return `${done} of ${of} ready; now ${displayDomain(domain)}.`;
}

function barRow({done, of}: StageProgress, left: string, width: number, {symbols}: Theme): Row {
  const size = Math.max(10, Math.min(WIDEST, width - 30));
  const full = Math.floor((size * done) / of);
  const percent = `${Math.floor((100 * done) / of)} %`.padStart(6);
  return [
    {text: symbols.full.repeat(full), tone: 'ok'},
    {text: symbols.empty.repeat(size - full), tone: 'muted'},
    {text: percent, tone: 'strong'},
    {text: left === '' ? '' : ` ${symbols.separator} ${left}`, tone: 'muted'},
  ];
}

/** `about 2 m more`, from what was made since the first look; '' as long as that says nothing. */
function useTimeLeft(progress: StageProgress | undefined): string {
  const {now} = useUi();
  const first = useRef<{readonly at: number; readonly done: number} | undefined>(undefined);
  if (progress === undefined) return '';
  first.current ??= {at: now(), done: progress.done};
  const made = progress.done - first.current.done;
  if (made < ENOUGH || progress.done >= progress.of) return '';
  const each = (now() - first.current.at) / made;
  return `about ${formatDuration(each * (progress.of - progress.done))} more`;
}
