/** What the sentences of others call a signer. */
import type {QueriedSigner} from '../proof/kept.ts';

/** What sentences of others call a signer and its settings. */
export interface SignerWords extends QueriedSigner {
  /** The setting of its socket, with its file. */
  readonly socketSetting: string;
  /** The setting of the clients whose mail it signs. */
  readonly clientsSetting: string;
  /** Why it refuses a message for good, most often: `with ... the key is too small`. */
  readonly refusal: string;
}
