/** The rows of every OpenDKIM of a host, and of programs configured in its manner, each with the key behind it. */
import {absolute} from '../../domain/paths.ts';
import {visible} from '../../domain/text.ts';
import {privateFingerprint} from '../../keys/index.ts';
import type {HostFacts} from '../facts.ts';
import {type KeyReader, type RowKey, type SignerRow, unknown, unreadRow} from '../key-rows.ts';
import {eachOf} from '../reading.ts';
import type {KeyRowReads} from '../signer.ts';
import {type Instance, lying, otherInstances, runningInstances} from './decide/instances.ts';
import {openDkimOf} from './facts.ts';
import {OPENDKIM} from './hints.ts';
import {usedKeys} from './used-keys.ts';

/**
 * The known OpenDKIM, every other one that runs, and what lies beside the known one and names keys: an instance that is
 * stopped now signs again after its start.
 */
export async function openDkimRows(reads: KeyRowReads, facts: HostFacts): Promise<readonly SignerRow[]> {
  const {files} = reads;
  const own = openDkimOf(facts)?.configFile ?? facts.layout?.opendkim.configFile;
  const running = await runningInstances(files, own ?? absolute('/etc/opendkim.conf'));
  const isRunning = running.some(({config}) => config === own);
  const known = own === undefined || isRunning ? running : [lying(own, ''), ...running];
  const instances = [...known, ...(await otherInstances(files, known))];
  const rows: SignerRow[] = [];
  for (const instance of instances) rows.push(...(await rowsOfInstance(reads, OPENDKIM.program, instance)));
  // One that answers and whose configuration was not found.
  const second = instances.length < 2 ? facts.rivals.filter(({kind}) => kind === 'opendkim') : [];
  return [...rows, ...second.flatMap(unreadRow)];
}

/** How many key files are read at a time. */
const WIDTH = 32;

/** A key that no row signs with is no use: it waits for mail that is under way. */
export async function rowsOfInstance(
  {files, keys}: KeyRowReads,
  signer: string,
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
