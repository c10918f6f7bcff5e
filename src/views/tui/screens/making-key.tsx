import type {ReactNode} from 'react';
import {displayDomain} from '../../../domain/names.ts';
import type {Phase} from '../../../flow/state.ts';
import {DrawRows} from '../components/draw.tsx';
import {Frame, type KeyHint, useRoom} from '../components/frame.tsx';
import {paragraph} from '../rows.ts';

const KEYS: readonly KeyHint[] = [['Ctrl-C', 'leaves']];

/** Keys are being made; each is tested against its own record before it counts. */
export function MakingKey({phase}: {readonly phase: Extract<Phase, {at: 'making-key'}>}): ReactNode {
  const room = useRoom(KEYS);
  const {progress} = phase;
  const count =
    progress === undefined
      ? 'Starting.'
      : `${progress.done} of ${progress.of} ready; now ${displayDomain(progress.domain)}.`;
  const rows = [
    ...paragraph(count, room.width, {tone: 'strong'}),
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
