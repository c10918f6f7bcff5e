/** The picture of the host and the questions asked of it: who signs, with which keys, on which way. */

export type {RowKey, SignerRow} from '../services/key-rows.ts';
export {compare, type Difference} from './compare.ts';
export {
  type Alignment,
  alignmentOf,
  coveredSender,
  domains,
  isDoubled,
  type SenderVerdict,
  type SignatureVerdict,
  type WayVerdict,
} from './domains.ts';
export {type ForeignSigned, foreignSigned} from './foreign-signed.ts';
export {describeUse, nameUse, placeOf, type UsesOf, usesOf} from './key-uses.ts';
export {type KeyByHand, keysByHand} from './keys-by-hand.ts';
export {lookAtSignerRows} from './look.ts';
export {lookAtHostPicture, type PictureOptions} from './look-picture.ts';
export {
  type HopReach,
  type HostPicture,
  type RecordFact,
  reachKey,
  recordKey,
  signerAt,
} from './picture.ts';
export {type OwnSender, ownSenders, sampleOf, signersInUse} from './senders.ts';
export {canBeShown, readShown, SHOWN_FILE, type Shown, sameWay, toBeShown} from './shown.ts';
export {entranceText, isPublic, type OwnWay, ownWays} from './ways.ts';
export {
  type AnswerStep,
  type Client,
  createAsker,
  LOCALHOST,
  type MailAnswer,
  type MailQuestion,
  type SignatureMade,
  type SignerAsked,
  type StepKind,
  wouldSign,
} from './would-sign.ts';
