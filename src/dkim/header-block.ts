import {HTAB, latin1, lower, SP} from './octets.ts';

/** One header field with its exact octets. */
export interface HeaderField {
  /** Lower case, without the white space that obsolete syntax allows before the colon; '' where there is no colon. */
  readonly name: string;
  /** The whole field as code units 0..255, folding and the final CRLF included. */
  readonly raw: string;
  /** Index of the colon in `raw`; -1 where there is none. */
  readonly colon: number;
}

/** The header of a message, top first. */
export interface HeaderBlock {
  readonly fields: readonly HeaderField[];
  /** Indexes of the fields of each name, top first. */
  readonly byName: ReadonlyMap<string, readonly number[]>;
}

/**
 * Splits a header block into fields (RFC 5322 §2.2). A field ends at CRLF that no WSP follows; bare CR or LF is an
 * octet like any other. A line without a colon (an mbox "From " line, say) is kept without a name: it can be
 * neither selected nor lost. A last field without CRLF gets one.
 *
 * @param octets the block up to and including the CRLF of its last field
 */
export function parseHeaderBlock(octets: Uint8Array): HeaderBlock {
  const text = latin1(octets);
  const fields: HeaderField[] = [];
  const byName = new Map<string, number[]>();
  let start = 0;
  while (start < text.length) {
    const end = fieldEnd(text, start);
    const field = toField(end > 0 ? text.slice(start, end) : `${text.slice(start)}\r\n`);
    const same = byName.get(field.name);
    if (same === undefined) byName.set(field.name, [fields.length]);
    else same.push(fields.length);
    fields.push(field);
    if (end < 0) break;
    start = end;
  }
  return {fields, byName};
}

/** Index after the CRLF that ends the field, or -1 where the text ends before. */
function fieldEnd(text: string, start: number): number {
  let at = start;
  for (;;) {
    const line = text.indexOf('\r\n', at);
    if (line < 0) return -1;
    at = line + 2;
    const next = text.charCodeAt(at);
    if (next !== SP && next !== HTAB) return at;
  }
}

function toField(raw: string): HeaderField {
  const colon = raw.indexOf(':');
  let end = colon;
  while (end > 0) {
    const code = raw.charCodeAt(end - 1);
    if (code !== SP && code !== HTAB) break;
    end--;
  }
  return {name: colon < 0 ? '' : lower(raw.slice(0, end)), raw, colon};
}

/**
 * Picks the fields a signature covers, in the order of its h= tag. Several fields of one name are taken from the
 * bottom of the header upwards; a name with no field left adds nothing (RFC 6376 §5.4.2).
 *
 * @param names lower case, in the order of h=
 * @param except index of the signature's own field, which is never part of its own selection (§3.5)
 */
export function selectFields(
  block: HeaderBlock,
  names: readonly string[],
  except: number | undefined,
): HeaderField[] {
  const left = new Map<string, number>();
  const chosen: HeaderField[] = [];
  for (const name of names) {
    const same = block.byName.get(name);
    if (same === undefined) continue;
    let next = left.get(name) ?? same.length - 1;
    if (next >= 0 && same[next] === except) next--;
    const field = block.fields[same[next] ?? -1];
    if (field !== undefined) chosen.push(field);
    left.set(name, next - 1);
  }
  return chosen;
}
