/** dkimpy-milter: its configuration is written as OpenDKIM's, with an Ed25519 key beside each RSA key. */
import type {Rival} from '../facts.ts';
import {milters} from '../handed-to.ts';
import {lying} from '../opendkim/decide/instances.ts';
import {openDkimDomains} from '../opendkim/domains.ts';
import {rowsOfInstance} from '../opendkim/key-rows.ts';
import type {RivalContext, SigningProgram} from '../signer.ts';
import {PROGRAM} from './decide.ts';
import {CONFIGURATIONS, dkimpySigners, UNIT} from './read.ts';

const CUSTOMARY = /^inet:(?:127\.0\.0\.1|localhost):8892$/i;

export const dkimpy: SigningProgram = {
  kind: 'dkimpy',
  units: [UNIT],
  rival,
  keyRows: async (reads, _facts) =>
    (
      await Promise.all(CONFIGURATIONS.map(config => rowsOfInstance(reads, PROGRAM, lying(config, ''))))
    ).flat(),
  views: (ports, {serviceManager}, signal) => dkimpySigners(ports, serviceManager, signal),
  switchOff: {by: 'milter', isEntry: entry => /dkimpy/i.test(entry) || CUSTOMARY.test(entry)},
};

async function rival({ports: {files}, entrances, active}: RivalContext): Promise<Rival | undefined> {
  const all = milters(entrances);
  const running = active.has(UNIT);
  // Others listen on its customary port as well: that counts only where the program is there.
  const stats = CONFIGURATIONS.map(path => files.stat(path).catch(() => undefined));
  const isThere = running || (await Promise.all(stats)).some(stat => stat !== undefined);
  const entry = all.find(({text}) => /dkimpy/.test(text) || (isThere && CUSTOMARY.test(text)));
  if (entry === undefined && !running) return undefined;
  return {
    ...{kind: 'dkimpy', program: PROGRAM},
    evidence: entry === undefined ? `${UNIT} is running` : entry.evidence,
    signs: entry === undefined ? 'no' : 'yes',
    domains: await openDkimDomains(files, PROGRAM, CONFIGURATIONS),
  };
}
