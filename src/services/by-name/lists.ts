/** Servers of mailing lists, which change what others have signed. */
import {type AbsolutePath, absolute} from '../../domain/paths.ts';
import {type Problem, problem} from '../../domain/result.ts';
import type {Files} from '../../system/ports.ts';

const LIST_SERVERS: readonly (readonly [string, AbsolutePath])[] = [
  ['Mailman 3', absolute('/etc/mailman3/mailman.cfg')],
  ['Mailman 2', absolute('/etc/mailman/mm_cfg.py')],
  ['Sympa', absolute('/etc/sympa/sympa/sympa.conf')],
  ['mlmmj', absolute('/var/spool/mlmmj')],
];

/** Lists add footers and subject prefixes: that breaks the signature of the author, and ours goes on the result. */
export async function mailingLists(files: Pick<Files, 'stat'>): Promise<readonly Problem[]> {
  const found: string[] = [];
  for (const [name, place] of LIST_SERVERS) {
    if ((await files.stat(place).catch(() => undefined)) !== undefined) found.push(name);
  }
  if (found.length === 0) return [];
  return [
    problem(
      'host.mailing-list',
      `${found.join(' and ')} is here: what a list changes breaks the signature that a message came with.`,
      'Let the list put its own address into From (dmarc_mitigate_action = munge_from in Mailman), and sign the domain of the list.',
    ),
  ];
}
