import {hash} from 'node:crypto';
import {changedHeader} from './copied-headers.ts';
import {diagnoseHeader, type HeaderChange} from './diagnose-header.ts';
import type {HeaderBlock} from './header-block.ts';
import {type UsableKey, verifyWith} from './key-check.ts';
import type {Reason} from './reason.ts';
import {type Signature, withoutSignatureValue} from './signature.ts';
import {type SignedHash, signedHash} from './signed-hash.ts';

/** A signature that does not verify, over a header. */
export interface MisfitQuestion {
  readonly block: HeaderBlock;
  /** Index of the signature's own field. */
  readonly index: number;
  readonly signature: Signature;
  readonly keys: readonly UsableKey[];
  /** Whether the signature is opened to see what it signs: a public-key operation for each key. */
  readonly opening: boolean;
  /** Whether guesses at the header are made. */
  readonly guessing: boolean;
}

/** Why a signature does not verify, as far as that can be known. */
export interface Misfit {
  /** The end of a sentence. May quote untrusted text. */
  readonly why: string;
  readonly where: Omit<Reason, 'id' | 'message' | 'section'>;
}

// Guesses at a changed header: by its hash where the signature shows that, else by a public-key operation each.
const HASHED_GUESSES = 20_000;
const VERIFIED_GUESSES = 2000;

/** Which field it is, where that can be known, else whether it is the header or the key. Never part of a result. */
export function misfit(question: MisfitQuestion): Misfit {
  const {signature, block, keys} = question;
  const opened: SignedHash = question.opening ? signedHash(keys, signature) : {kind: 'unknown'};
  if (opened.kind === 'other-key') {
    return {why: 'it was not made with the key of this record, or b= was changed.', where: {change: 'key'}};
  }
  if (opened.kind === 'other-hash') {
    return {why: 'it was made with this key, but over a hash that is no SHA-256.', where: {change: 'key'}};
  }
  const change = question.guessing ? headerChange(question, opened) : undefined;
  if (change !== undefined) {
    const {kind, header, offset} = change;
    return {why: change.message, where: {change: kind, header, ...(offset === undefined ? {} : {offset})}};
  }
  const where = opened.kind === 'hash' ? {change: 'header' as const} : {};
  const copied = changedHeader(signature, block);
  if (copied !== undefined) {
    const why = `the field ${copied} is not the one that was signed, as z= shows.`;
    return {why, where: {...where, header: copied}};
  }
  return opened.kind === 'hash'
    ? {why: 'it was made with this key, but a signed header field was changed, added or removed.', where}
    : {why: 'a signed header field or the signature was changed, or the key is another one.', where};
}

function headerChange(
  {block, index, signature, keys}: MisfitQuestion,
  opened: SignedHash,
): HeaderChange | undefined {
  const field = block.field(index);
  if (field === undefined) return undefined;
  return diagnoseHeader({
    block,
    signature,
    index,
    own: withoutSignatureValue(field, signature.tags),
    fits:
      opened.kind === 'hash'
        ? input => hash('sha256', input, 'buffer').equals(opened.hash)
        : input => keys.some(key => verifyWith(key, input, signature)),
    guesses: opened.kind === 'hash' ? HASHED_GUESSES : VERIFIED_GUESSES,
  });
}
