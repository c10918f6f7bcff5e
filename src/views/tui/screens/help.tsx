import type {ReactNode} from 'react';
import type {Phase} from '../../../flow/state.ts';
import {Frame, type KeyHint, LEAVES, useRoom} from '../components/frame.tsx';
import {ScrollPane} from '../components/scroll-pane.tsx';
import {useKeys, useUi} from '../components/ui.tsx';
import {helpFor} from '../help-text.ts';
import {letterOf} from '../input/keys.ts';
import {BLANK, paragraph} from '../rows.ts';
import {WORK_KEYS} from './work.tsx';

/** Ctrl-C does here what it does on the screen below. */
const keysOver = (phase: Phase): readonly KeyHint[] => [
  ['Esc', 'closes this'],
  ...(phase.at in WORK_KEYS ? WORK_KEYS[phase.at as keyof typeof WORK_KEYS] : [LEAVES]),
];

/** A short explanation over the screen it belongs to. */
export function HelpScreen({onClose}: {readonly onClose: () => void}): ReactNode {
  const {state} = useUi();
  const room = useRoom(keysOver(state.phase));
  const {title, lines} = helpFor(state.phase);
  useKeys(key => {
    if (key.name === 'escape' || key.name === 'enter' || ['?', 'q'].includes(letterOf(key))) onClose();
  });
  const asking = state.phase.at === 'asking';
  const rows = asking
    ? lines.flatMap(line => paragraph(line, room.width))
    : lines.flatMap((line, index) => [...(index === 0 ? [] : [BLANK]), ...paragraph(line, room.width)]);
  return (
    <Frame title={title} room={room}>
      <ScrollPane rows={rows} height={room.height} />
    </Frame>
  );
}
