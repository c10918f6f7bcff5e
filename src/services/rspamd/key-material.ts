/** Whether there is a key in a file for rspamd: the forms that it takes (daemons/rspamd.md#keys). */
import {describeContent} from '../../keys/index.ts';
import type {KeyMaterial} from '../key-look.ts';

/** PEM must begin with the first octet; Ed25519 as PEM or DER is loaded, and signs nothing. */
export function keyMaterial(content: Uint8Array): KeyMaterial | undefined {
  const octets = Buffer.from(content);
  const isArmored = octets.includes('-----BEGIN');
  if (isArmored && !octets.toString('latin1', 0, 5).startsWith('-----')) return undefined;
  const found = describeContent(octets);
  return found?.algorithm === 'ed25519' && (isArmored || isDer(octets)) ? undefined : found;
}

/** A DER sequence, as it is or in base64, is no bare key of Ed25519. */
const isDer = (octets: Buffer): boolean =>
  (octets[0] === 0x30 && octets.length === 48) || octets.toString('latin1', 0, 4) === 'MC4C';
