/** Who signs on this host, and with which keys. */
export {placeOf, type RowKey, type SignerRow, type UsesOf, useName, usesOf, useText} from './key-uses.ts';
export {lookAtSignerRows} from './look.ts';
