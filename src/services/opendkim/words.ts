/** What the sentences about OpenDKIM and the look into its log need. */
import type {QueriedSigner} from '../../proof/kept.ts';

export const OPENDKIM: QueriedSigner = {program: 'OpenDKIM', logTag: 'opendkim'};
