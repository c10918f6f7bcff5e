/** What sentences of others call a signer and its settings. */
export interface SignerWords {
  /** As its makers write it. */
  readonly program: string;
  /** Its name in the journal. */
  readonly logTag: string;
  /** What to do about a sender that it signs no more. */
  readonly lostHint: string;
  /** The setting of its socket, with its file. */
  readonly socketSetting: string;
  /** The setting of the clients whose mail it signs. */
  readonly clientsSetting: string;
  /** Why it refuses a message for good, most often: `with ... the key is too small`. */
  readonly refusal: string;
}
