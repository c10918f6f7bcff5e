/** Why a signature, a record or an input got its result. Ids are stable and never reused for another meaning. */
export interface Reason {
  /** Lower-case and dotted: `signature.tag-missing`, `key.revoked`, `body.hash`. */
  readonly id: string;
  /** One sentence. May quote untrusted text: make control characters visible before it reaches a terminal. */
  readonly message: string;
  /** Where the rule is written: `RFC 6376 §3.5`. */
  readonly section?: string;
  /** Name of the tag at fault, in the signature or in the key record. */
  readonly tag?: string;
  /** Name of the header field at fault, lower case. */
  readonly header?: string;
  /** Offset in octets: in the field or record text for syntax, in the canonical body for `body.*`. */
  readonly offset?: number;
  /**
   * What happened to the body or the header, where that is known: `offset` then is the first octet of the canonical
   * body or of the canonical field `header` that is not as signed.
   */
  readonly change?: BodyChangeKind | HeaderChangeKind;
  /** How many octets were added at `offset`, where that is what happened. */
  readonly octets?: number;
}

/** The changes to a body that can be told from its hash. */
export type BodyChangeKind =
  | 'appended'
  | 'inserted'
  | 'white-space'
  | 'canonicalization'
  | 'final-line'
  | 'line-ends'
  | 'from-quoting'
  | 'dot-stuffing'
  | 'transfer-encoding';

/**
 * The changes that make a signature not fit: `key` where it was not made with the key of the record or was changed
 * itself, `header` where it was made with that key over another header, the others where `diagnose` found out more.
 */
export type HeaderChangeKind =
  | 'key'
  | 'header'
  | 'header-canonicalization'
  | 'field-added'
  | 'field-order'
  | 'field-text';

/** Builds a reason; `where` holds only what is known. */
export const reason = (
  id: string,
  message: string,
  section: string,
  where: Omit<Reason, 'id' | 'message' | 'section'> = {},
): Reason => ({id, message, section, ...where});

/** Untrusted text for a message: JSON-quoted and short, so that no control character survives. */
export const quoted = (text: string): string =>
  JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);

/** A parsed value or the reason why there is none. */
export type Parsed<T> =
  | {readonly ok: true; readonly value: T}
  | {readonly ok: false; readonly reason: Reason};

export const parsed = <T>(value: T): {readonly ok: true; readonly value: T} => ({ok: true, value});

export const refused = (why: Reason): {readonly ok: false; readonly reason: Reason} => ({
  ok: false,
  reason: why,
});
