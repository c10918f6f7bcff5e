/** Keys that sign here and that waxseal did not make, as the host has them now. */
import {type HostPicture, type KeyByHand, keysByHand, lookAtHostPicture, recordKey} from '../host/index.ts';
import type {RotationState} from '../rotation/index.ts';
import {look} from '../services/look.ts';
import type {Ports} from '../system/ports.ts';

/** Looks at the host; DNS is not queried. */
export async function lookByHand(
  ports: Ports,
  {keys}: RotationState,
  signal: AbortSignal,
): Promise<{readonly picture: HostPicture; readonly byHand: readonly KeyByHand[]}> {
  const picture = await lookAtHostPicture(ports, await look(ports, signal), {signal});
  const known = new Set(keys.map(({domain, selector}) => recordKey(domain, selector)));
  return {picture, byHand: keysByHand(picture, known)};
}
