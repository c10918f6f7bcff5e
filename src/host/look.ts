/** Every row that any program on this host signs by, adopted by waxseal or not. */
import type {HostFacts} from '../services/facts.ts';
import {createKeyReader, type RowKey, type SignerRow} from '../services/key-rows.ts';
import {PROGRAMS} from '../services/registry.ts';
import type {KeyRowReads} from '../services/signer.ts';

/**
 * Looks at what every signer reads now. Never rejects for what cannot be read: that is a row of its own, which counts
 * as a use of any key.
 *
 * @param seen what key files held before in the same run, by what they were then; leave it out where something is
 *   about to be destroyed
 */
export async function lookAtSignerRows(
  {files}: Pick<KeyRowReads, 'files'>,
  facts: HostFacts,
  seen?: Map<string, RowKey>,
): Promise<readonly SignerRow[]> {
  const reads = {files, keys: createKeyReader(files, seen)};
  const rows: SignerRow[] = [];
  for (const program of PROGRAMS) rows.push(...(await program.keyRows(reads, facts)));
  return rows;
}
