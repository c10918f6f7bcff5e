import type {ReactNode} from 'react';
import {Frame, type KeyHint, useRoom} from '../components/frame.tsx';
import {ScrollPane} from '../components/scroll-pane.tsx';
import {useKeys, useUi} from '../components/ui.tsx';
import {helpFor} from '../help-text.ts';
import {letterOf} from '../input/keys.ts';
import {BLANK, paragraph} from '../rows.ts';

const KEYS: readonly KeyHint[] = [
  ['Esc', 'closes this'],
  ['Ctrl-C', 'leaves'],
];

/** A short explanation over the screen it belongs to. */
export function HelpScreen({onClose}: {readonly onClose: () => void}): ReactNode {
  const {state} = useUi();
  const room = useRoom(KEYS);
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
