import {describe, expect, it} from 'vitest';
import {MTAS, SIGNERS} from '../../src/services/registry.ts';
import {signerContract} from './contract.ts';
import {unsaid} from './there-and-back.ts';

describe.each(SIGNERS.flatMap(signer => MTAS.map(mta => ({signer, mta}))))(
  '$signer.words.program with $mta.words.program',
  ({signer, mta}) => signerContract(signer, mta),
);

it('would see an octet that no diff names', () => {
  const diff = '--- x\n+++ x\n@@ -2 +2 @@\n-b\n+B\n';
  expect(unsaid('a\nb\nc', 'a\nB\nc', diff)).toEqual([]);
  expect(unsaid('a\nb\nc', 'a\nB\nc\n', diff)).toEqual(['c']);
  expect(unsaid('a\r\nb\nc', 'a\nB\nc', diff)).toEqual(['a\r\n']);
  expect(unsaid('a\xfc\nb\n', 'a\xc3\xbc\nB\n', diff)).toEqual(['a\xfc\n']);
  expect(unsaid('a\nb\nc', 'a\nB\nc\nd', diff)).toEqual(['4 lines, not 3']);
});
