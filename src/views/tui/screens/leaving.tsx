import {type ReactNode, useLayoutEffect} from 'react';
import {leaveQuestion} from '../../../flow/ending.ts';
import {Frame, type KeyHint, useRoom} from '../components/frame.tsx';
import {ScrollPane} from '../components/scroll-pane.tsx';
import {useKeys, useUi} from '../components/ui.tsx';
import {letterOf} from '../input/keys.ts';
import {paragraph} from '../rows.ts';

const KEYS: readonly KeyHint[] = [
  ['Enter or y', 'leaves'],
  ['Esc or n', 'stays'],
];

/** "Leave?", and what stays behind. */
export function Leaving(): ReactNode {
  const {state, send, drain} = useUi();
  const room = useRoom(KEYS);
  const {title, text} = leaveQuestion(state);
  useLayoutEffect(drain, [drain]);
  useKeys(key => {
    if (key.name === 'enter' || letterOf(key) === 'y') send({type: 'leave'});
    else if (key.name === 'escape' || letterOf(key) === 'n') send({type: 'stay'});
  });
  return (
    <Frame title={title} room={room}>
      <ScrollPane rows={paragraph(text, room.width)} height={room.height} />
    </Frame>
  );
}
