/** OpenDKIM, as a signer of the registry. */
import {ok} from '../../domain/result.ts';
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
import {openDkimTrial} from './trial.ts';

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
    return opendkim === undefined ? ok(nothing(undefined)) : planOpenDkim({...host, opendkim}, reach, intent);
  },
  trial: (candidate, facts) => openDkimTrial(candidate, openDkimOf(facts) ?? {user: 'opendkim'}),
  views: openDkimSigners,
  places: openDkimPlaces,
  decidingFiles: openDkimDecidingFiles,
  algorithmRefusal,
  rival: secondOpenDkim,
  keyRows: openDkimRows,
};
