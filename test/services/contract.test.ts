import {describe} from 'vitest';
import {MTAS, SIGNERS} from '../../src/services/registry.ts';
import {signerContract} from './contract.ts';

describe.each(SIGNERS.flatMap(signer => MTAS.map(mta => ({signer, mta}))))(
  '$signer.words.program with $mta.words.program',
  ({signer, mta}) => signerContract(signer, mta),
);
