/** Keeps what a test message has shown of the programs that it came through. */
import {STATE_DIRECTORY} from '../domain/places.ts';
import {readShown, SHOWN_FILE, sameWay, toBeShown} from '../host/index.ts';
import {makeStateDirectory, OWN_FILE} from '../keys/index.ts';
import type {ProofReport} from '../proof/proof.ts';
import type {Entrance} from '../services/mta.ts';
import type {Ports} from '../system/ports.ts';

/** The ways that the messages of a live test take, by the id of the check. */
const TAKEN: Readonly<Record<string, (entrance: Entrance) => boolean>> = {
  'live.sendmail': ({kind}) => kind === 'local',
  'live.smtp': ({kind, listensOn}) =>
    (kind === 'smtp' || kind === 'postscreen') && /(?:^|:)25$/.test(listensOn),
};

/** Writes nothing where no way of a message that verified has a program that is not known. */
export async function keepShown(
  ports: Pick<Ports, 'files' | 'clock'>,
  entrances: readonly Entrance[],
  {checks}: ProofReport,
): Promise<void> {
  const taken = checks.flatMap(({id, status}) => (status === 'pass' ? (TAKEN[id] ?? []) : []));
  const at = ports.clock.now().toISOString();
  const seen = entrances
    .filter(entrance => taken.some(isTaken => isTaken(entrance)))
    .flatMap(entrance => toBeShown(entrance).map(each => ({...each, at})));
  if (seen.length === 0) return;
  const before = (await readShown(ports.files)).filter(each => !seen.some(now => sameWay(each, now)));
  const text = `${JSON.stringify({version: 1, shown: [...before, ...seen]}, null, 2)}\n`;
  await makeStateDirectory(ports.files, STATE_DIRECTORY);
  await ports.files.replace(SHOWN_FILE, Buffer.from(text), OWN_FILE);
}
