/** Who signs on this host, and with which keys. */
export {describeUse, nameUse, placeOf, type RowKey, type SignerRow, type UsesOf, usesOf} from './key-uses.ts';
export {lookAtSignerRows} from './look.ts';
