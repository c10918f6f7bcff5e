import {CR, HTAB, LF, SP} from './octets.ts';
import {type Parsed, parsed, quoted, reason, refused} from './reason.ts';

/** One `name=value` of a tag list, with its place in the text so that the value can be cut out octet-exactly. */
export interface Tag {
  readonly name: string;
  /** Without the white space around it; white space inside stays. */
  readonly value: string;
  /** Index of the first character after `=`. */
  readonly start: number;
  /** Index after the last character before `;` or the end: `start..end` is the value and all white space around it. */
  readonly end: number;
}

/** Tags by name, in the order of the text. */
export type TagList = ReadonlyMap<string, Tag>;

/**
 * Parses a tag list (RFC 6376 §3.2): `tag-spec *( ";" tag-spec ) [ ";" ]`, names and values case-sensitive, a doubled
 * name makes the whole list invalid. White space after the last `;` is accepted, as it is folding and very common.
 * Octets from 0x80 are accepted in values (RFC 8616 §5); each tag's own grammar decides further.
 * Linear in the length of the text.
 *
 * @param text the text after the colon of the field, or a whole key record; code units 0..255
 * @param what how the text is named in messages and which family of ids is used
 */
export function parseTagList(text: string, what: 'signature' | 'key', from = 0): Parsed<TagList> {
  const tags = new Map<string, Tag>();
  const end = text.length;
  let at = from;
  while (at <= end) {
    let stop = text.indexOf(';', at);
    if (stop < 0) stop = end;
    const first = skipWhite(text, at, stop);
    if (first === stop) {
      // Nothing but white space: allowed once, after the last ";". A list must have one tag at least.
      if (stop === end && tags.size > 0) break;
      return refused(
        reason(
          `${what}.syntax`,
          tags.size === 0 && stop === end
            ? `The ${noun(what)} is empty.`
            : `The ${noun(what)} has an empty tag.`,
          'RFC 6376 §3.2',
          {offset: at},
        ),
      );
    }
    const nameEnd = nameLength(text, first, stop);
    const equals = skipWhite(text, nameEnd, stop);
    if (nameEnd === first || equals === stop || text.charCodeAt(equals) !== EQUALS) {
      return refused(
        reason(
          `${what}.syntax`,
          `The ${noun(what)} has ${quoted(text.slice(first, stop))} where a tag should be.`,
          'RFC 6376 §3.2',
          {offset: first},
        ),
      );
    }
    const name = text.slice(first, nameEnd);
    const valueStart = skipWhite(text, equals + 1, stop);
    const valueEnd = trimEnd(text, valueStart, stop);
    const bad = badOctet(text, equals + 1, stop);
    if (bad >= 0) {
      return refused(
        reason(
          `${what}.syntax`,
          `The value of ${name}= in the ${noun(what)} has a character that no tag may have (0x${hex(text, bad)}).`,
          'RFC 6376 §3.2',
          {tag: name, offset: bad},
        ),
      );
    }
    if (tags.has(name)) {
      return refused(
        reason(`${what}.tag-twice`, `The ${noun(what)} has the tag ${name}= twice.`, 'RFC 6376 §3.2', {
          tag: name,
          offset: first,
        }),
      );
    }
    tags.set(name, {name, value: text.slice(valueStart, valueEnd), start: equals + 1, end: stop});
    at = stop + 1;
  }
  return parsed(tags);
}

/** Removes all folding white space inside a value, for the tags that say it is to be ignored (b, bh, p, z, i). */
export const withoutWhite = (value: string): string =>
  WHITE.test(value) ? value.replace(/[ \t\r\n]+/g, '') : value;

/** Splits a colon-separated value; white space around each item is removed (RFC 6376 §3.5, h= and q=). */
export function colonList(value: string): readonly string[] {
  const items = value.split(':');
  if (!WHITE.test(value)) return items;
  return items.map(item => {
    const start = skipWhite(item, 0, item.length);
    return item.slice(start, trimEnd(item, start, item.length));
  });
}

const WHITE = /[ \t\r\n]/;

const EQUALS = 0x3d;

const noun = (what: 'signature' | 'key'): string =>
  what === 'signature' ? 'DKIM-Signature field' : 'key record';

const hex = (text: string, at: number): string => text.charCodeAt(at).toString(16).padStart(2, '0');

const isWhite = (code: number): boolean => code === SP || code === HTAB || code === CR || code === LF;

// FWS: a CR or LF that folds nothing is no white space, so it ends up where a tag should be.
function skipWhite(text: string, start: number, stop: number): number {
  let at = start;
  for (; at < stop; at++) {
    const code = text.charCodeAt(at);
    if (code === SP || code === HTAB) continue;
    if (code !== CR || !isFold(text, at)) break;
    at++;
  }
  return at;
}

function trimEnd(text: string, start: number, stop: number): number {
  let at = stop;
  while (at > start && isWhite(text.charCodeAt(at - 1))) at--;
  return at;
}

// tag-name = ALPHA *ALNUMPUNC
function nameLength(text: string, start: number, stop: number): number {
  let at = start;
  for (; at < stop; at++) {
    const code = text.charCodeAt(at);
    const alpha = (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
    if (!alpha && (at === start || !((code >= 0x30 && code <= 0x39) || code === 0x5f))) break;
  }
  return at;
}

// VALCHAR and FWS: a CR only before LF, and an LF only between a CR and white space, or it is no folding at all.
function badOctet(text: string, start: number, stop: number): number {
  for (let at = start; at < stop; at++) {
    const code = text.charCodeAt(at);
    if (code > SP && code !== 0x7f) continue;
    if (code === SP || code === HTAB) continue;
    if (code !== CR || !isFold(text, at)) return at;
    at++;
  }
  return -1;
}

/** Whether CRLF and white space stand at a place. */
const isFold = (text: string, at: number): boolean => {
  const code = text.charCodeAt(at + 2);
  return text.charCodeAt(at + 1) === LF && (code === SP || code === HTAB);
};
