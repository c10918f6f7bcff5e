/** OpenDKIM, as a signer of the registry. */
import {fail, ok, type Problem, problem} from '../../domain/result.ts';
import type {Layout} from '../../layouts/layout.ts';
import type {Signer} from '../signer.ts';
import {algorithmRefusal} from './algorithms.ts';
import {openDkimSigners} from './decide/read.ts';
import {detectOpenDkim} from './detect.ts';
import {type OpenDkimFacts, openDkimOf} from './facts.ts';
import {OPENDKIM, openDkimHints} from './hints.ts';
import {openDkimRows} from './key-rows.ts';
import {nothing, planOpenDkim} from './plan.ts';
import {openDkimDecidingFiles, openDkimPlaces, openDkimReads} from './reads.ts';
import {secondOpenDkim} from './rival.ts';
import {currentTrial} from './trial.ts';

export const openDkim: Signer<OpenDkimFacts> = {
  kind: 'opendkim',
  units: [],
  words: OPENDKIM,
  packages: layout => layout.packages.opendkim,
  hints: openDkimHints,
  detect: detectOpenDkim,
  reads: openDkimReads,
  plan: (host, reach, intent) => {
    const opendkim = openDkimOf(host.facts);
    if (opendkim !== undefined) return planOpenDkim({...host, opendkim}, reach, intent);
    return (intent.sign ?? []).length === 0 ? ok(nothing(undefined)) : fail(missing(host.layout));
  },
  currentTrial: host => {
    const opendkim = openDkimOf(host.facts);
    return opendkim === undefined ? undefined : currentTrial({...host, opendkim});
  },
  views: openDkimSigners,
  places: openDkimPlaces,
  decidingFiles: openDkimDecidingFiles,
  algorithmRefusal,
  rival: secondOpenDkim,
  keyRows: openDkimRows,
  // Of a second one: the entry looks like that of the first, and goes with all of those (MilterLink.dropsStray).
  switchOff: {by: 'milter', isEntry: () => false},
};

const missing = ({packages}: Layout): Problem =>
  problem(
    'opendkim.missing',
    `${OPENDKIM.program} is not installed.`,
    `Install it first: ${packages.opendkim.join(' ')}.`,
  );
