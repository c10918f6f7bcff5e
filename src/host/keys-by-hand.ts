/** Keys that sign here and that waxseal did not make. Pure. */
import type {AbsolutePath} from '../domain/paths.ts';
import type {KeyFact} from '../services/key-fact.ts';
import type {SigningRow} from '../services/signer.ts';
import {type HostPicture, recordKey} from './picture.ts';
import {signersInUse} from './senders.ts';

export interface KeyByHand {
  /** d= and s=, lower case. */
  readonly domain: string;
  readonly selector: string;
  readonly keyPath: AbsolutePath;
  readonly key: KeyFact;
  readonly row: SigningRow;
  /** The program that signs with it. */
  readonly program: string;
}

/**
 * Each d= and s= once, in the order of the rows. Rows whose domain follows the sender name no key of their own.
 *
 * @param known each d= and s= that waxseal has a note of, as `recordKey` writes them
 */
export function keysByHand(picture: HostPicture, known: ReadonlySet<string>): readonly KeyByHand[] {
  const found = new Map<string, KeyByHand>();
  for (const {rows, program} of signersInUse(picture)) {
    for (const row of rows) {
      const {domain, keyPath} = row;
      const key = keyPath === undefined ? undefined : picture.keys.get(keyPath);
      if (domain === undefined || keyPath === undefined || key === undefined) continue;
      const selector = row.selector.toLowerCase();
      const name = recordKey(domain, selector);
      if (!known.has(name) && !found.has(name)) {
        found.set(name, {domain, selector, keyPath, key, row, program});
      }
    }
  }
  return [...found.values()];
}
