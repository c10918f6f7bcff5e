/** The rows of one configuration in the manner of OpenDKIM, each with the key behind it. */
import {visible} from '../domain/text.ts';
import {privateFingerprint} from '../keys/index.ts';
import type {Instance} from '../services/opendkim/decide/instances.ts';
import {usedKeys} from '../services/opendkim/used-keys.ts';
import {eachOf, type ReadText} from '../services/reading.ts';
import {type KeyReader, unknown} from './key-files.ts';
import type {RowKey, SignerRow} from './key-uses.ts';

/** How many key files are read at a time. */
const WIDTH = 32;

/** A key that no row signs with is no use: it waits for mail that is under way. */
export async function openDkimRows(
  {files, keys, signer}: {readonly files: ReadText; readonly keys: KeyReader; readonly signer: string},
  instance: Instance,
): Promise<readonly SignerRow[]> {
  const found = await eachOf(
    await usedKeys(files, instance),
    WIDTH,
    async (used): Promise<readonly SignerRow[]> => {
      const behind = 'why' in used.key ? [unknown(used.key.why)] : await keysOf(keys, used.key.location);
      return behind.map(key => ({
        signer,
        // The row that signs is the one to change; what cannot be read stands in the key table.
        ...(key.known ? (used.user ?? used.place) : used.place),
        ...(/^[A-Za-z0-9._-]+$/.test(used.domain) ? {domain: used.domain.toLowerCase()} : {}),
        ...(used.selector === undefined ? {} : {selector: visible(used.selector)}),
        key,
      }));
    },
  );
  return found.flat();
}

/** A path, or the key itself: PEM, or base64 of DER (opendkim.conf(5), KeyTable). */
async function keysOf(keys: KeyReader, text: string): Promise<readonly RowKey[]> {
  if (text.startsWith('/')) {
    const found = await keys.read(text, /%/);
    return found.length === 0 ? [unknown('stands for no file that is there')] : found;
  }
  if (/^\.{1,2}\//.test(text)) return [unknown('has a relative path')];
  const fingerprint =
    privateFingerprint(Buffer.from(text, 'utf8')) ?? privateFingerprint(Buffer.from(text, 'base64'));
  return [fingerprint === undefined ? unknown('holds no key that can be read') : {known: true, fingerprint}];
}
