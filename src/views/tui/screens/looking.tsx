import type {ReactNode} from 'react';
import {MTAS, SIGNER} from '../../../services/registry.ts';
import {DrawRows} from '../components/draw.tsx';
import {Frame, LEAVES, useRoom} from '../components/frame.tsx';
import {paragraph} from '../rows.ts';

/** While something is being read or made ready and there is nothing to press. */
function Busy({title, text}: {readonly title: string; readonly text: string}): ReactNode {
  const room = useRoom([LEAVES]);
  return (
    <Frame title={title} room={room}>
      <DrawRows rows={paragraph(text, room.width).slice(0, room.height)} />
    </Frame>
  );
}

export const Looking = (): ReactNode => (
  <Busy
    title="Looking at this host"
    text={`Reading how ${MTAS[0].words.program} and the signer are set up. This only reads; nothing is changed.`}
  />
);

export const Planning = (): ReactNode => (
  <Busy
    title="Working out the changes"
    text={`Comparing this host with what it needs, and trying the new configuration in a temporary ${SIGNER.words.program} that no mail goes through.`}
  />
);
