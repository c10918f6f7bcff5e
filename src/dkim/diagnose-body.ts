import {createHash, type Hash, hash} from 'node:crypto';
import {relaxedBody, simpleBody} from './canonicalize-body.ts';
import type {CanonicalizationName} from './canonicalize-header.ts';
import {CR, LF, latin1} from './octets.ts';
import {type BodyChangeKind, quoted} from './reason.ts';
import {relaxedKernel} from './relaxed-kernel.ts';

/** A body whose hash is not the one in bh=. */
export interface BodyQuestion {
  /** The octets of the body as they came. */
  readonly body: Buffer;
  readonly canonicalization: CanonicalizationName;
  /** l= */
  readonly limit: number | undefined;
  /** bh= */
  readonly wanted: Buffer;
  /** Content-Transfer-Encoding of the message, lower case, without comments; undefined where there is none. */
  readonly transferEncoding: string | undefined;
}

/** What was done to a body, proven by the hash of what it was before. */
export interface BodyChange {
  readonly kind: BodyChangeKind;
  /** The first octet of the canonical body that is not as it was signed. */
  readonly offset: number;
  /** How many octets were put there, where that is what happened. */
  readonly octets?: number;
  /** One sentence. */
  readonly message: string;
}

/** Longest body that is looked into, in octets. */
export const MAX_DIAGNOSED_BODY = 8 * 1024 * 1024;

/**
 * Finds out what happened to a body on its way, where one of the usual changes explains it: each is undone, and the
 * right one gives the hash in bh=. The work is bounded, whatever the body.
 *
 * @returns undefined where nothing that is tried explains it
 */
export function diagnoseBody(question: BodyQuestion): BodyChange | undefined {
  const now = canonical(question.body, question.canonicalization);
  return undone(question, now) ?? (question.limit === undefined ? addedLines(question, now) : undefined);
}

function canonical(body: Uint8Array, how: CanonicalizationName): Buffer {
  const parts: Buffer[] = [];
  const sink = (octets: Uint8Array): void => {
    parts.push(Buffer.from(octets));
  };
  const canonicalizer = how === 'simple' ? simpleBody(sink) : relaxedBody(sink, relaxedKernel);
  canonicalizer.update(body);
  canonicalizer.finish();
  return Buffer.concat(parts);
}

const OTHER = {simple: 'relaxed', relaxed: 'simple'} as const;

/** Changes to the body as a whole, each with what takes it back. */
function undone(question: BodyQuestion, now: Buffer): BodyChange | undefined {
  const {body, canonicalization, limit, wanted} = question;
  const fits = (octets: Buffer): boolean =>
    hash('sha256', limit === undefined ? octets : octets.subarray(0, limit), 'buffer').equals(wanted);
  const found = (kind: BodyChangeKind, was: Buffer, what: string): BodyChange => {
    const offset = firstDifference(now, was);
    return {kind, offset, message: `${what}, first at octet ${offset} of the canonical body.`};
  };

  const other = canonical(body, OTHER[canonicalization]);
  if (fits(other)) {
    return canonicalization === 'simple'
      ? found('white-space', other, 'White space was added on the way')
      : found('canonicalization', other, 'The signer hashed the simple form of the body, c= says relaxed');
  }
  if (now.length === 0 && fits(CRLF))
    return found('final-line', CRLF, 'The signer hashed one CRLF for an empty body');
  if (fits(now.subarray(0, -2)))
    return found('final-line', now.subarray(0, -2), 'The signer hashed the last line without its CRLF');

  for (const [kind, what, take] of REMEDIES) {
    const was = take(body, question);
    if (was === undefined) continue;
    for (const how of [canonicalization, OTHER[canonicalization]]) {
      const form = canonical(was, how);
      if (fits(form)) return found(kind, form, what);
    }
  }
  return undefined;
}

type Remedy = readonly [
  kind: BodyChangeKind,
  what: string,
  take: (body: Buffer, question: BodyQuestion) => Buffer | undefined,
];

const REMEDIES: readonly Remedy[] = [
  [
    'line-ends',
    'CRLF was signed where a bare CR or LF is now',
    body => rewritten(body, /\r\n|\r|\n/g, '\r\n'),
  ],
  ['line-ends', 'A bare LF was signed where CRLF is now', body => rewritten(body, /\r\n/g, '\n')],
  ['from-quoting', 'A ">" was put before "From "', body => rewritten(body, /(^|\n)>(>*From )/g, '$1$2')],
  [
    'dot-stuffing',
    'The dot at the start of a line was doubled',
    body => rewritten(body, /(^|\n)\.\./g, '$1.'),
  ],
  [
    'transfer-encoding',
    'The body was encoded as quoted-printable',
    (body, {transferEncoding}) =>
      transferEncoding === 'quoted-printable' ? fromQuotedPrintable(body) : undefined,
  ],
  [
    'transfer-encoding',
    'The body was encoded as base64',
    (body, {transferEncoding}) =>
      transferEncoding === 'base64' ? Buffer.from(latin1(body), 'base64') : undefined,
  ],
];

function rewritten(body: Buffer, pattern: RegExp, replacement: string): Buffer | undefined {
  const before = latin1(body);
  const after = before.replace(pattern, replacement);
  return after === before ? undefined : Buffer.from(after, 'latin1');
}

// RFC 2045 §6.7: soft line breaks go, and so does white space at the end of a line.
const fromQuotedPrintable = (body: Buffer): Buffer =>
  Buffer.from(
    latin1(body)
      .replace(/=[ \t]*\r\n/g, '')
      .replace(/=([0-9A-Fa-f]{2})/g, (_all, octet: string) =>
        String.fromCharCode(Number.parseInt(octet, 16)),
      ),
    'latin1',
  );

function firstDifference(one: Buffer, other: Buffer): number {
  const end = Math.min(one.length, other.length);
  let at = 0;
  while (at < end && one[at] === other[at]) at++;
  return at;
}

// A list or a virus scanner adds its text in the last lines: at the very end, or before what closes the last MIME part.
const TAIL_OCTETS = 65_536;
const TAIL_LINES = 2000;
const CLOSING_LINES = 4;
const CLOSING_OCTETS = 2048;
// A warning for the reader stands within the first lines, maybe behind the head of a MIME part.
const HEAD_LINES = 16;
const BANNER_LINES = 32;
// Octets that may be hashed for one body when lines at its head are tried.
const HEAD_BUDGET = 32 * 1024 * 1024;

/** Lines put into the body: with them left out it has its hash again. */
function addedLines({wanted, canonicalization}: BodyQuestion, now: Buffer): BodyChange | undefined {
  const found = (start: number, resume: number): BodyChange => {
    const [from, to] = lowest(now, start, resume);
    const added = now.subarray(from, to);
    const lines = latin1(added).split('\r\n').slice(0, -1);
    const first = lines.find(line => line.trim() !== '') ?? '';
    const many = `${added.length} octets in ${lines.length} ${lines.length === 1 ? 'line' : 'lines'}`;
    const place = to === now.length ? 'appended' : 'inserted';
    return {
      kind: place,
      offset: from,
      octets: added.length,
      message: `${many} were ${place} at octet ${from} of the canonical body, beginning with ${quoted(first)}.`,
    };
  };
  const isIt = (state: Hash): boolean => state.digest().equals(wanted);

  if (hash('sha256', canonicalization === 'simple' ? CRLF : Buffer.alloc(0), 'buffer').equals(wanted))
    return found(0, now.length);

  const tail = lineStarts(now, tailStart(now), TAIL_LINES + 1);
  const state = createHash('sha256').update(now.subarray(0, tail[0]));
  for (const [index, start] of tail.entries()) {
    const next = tail[index + 1];
    for (let closing = 0; closing <= CLOSING_LINES; closing++) {
      const resume = closing === 0 ? now.length : tail[tail.length - closing];
      if (resume === undefined || resume <= start || now.length - resume > CLOSING_OCTETS) break;
      if (isIt(state.copy().update(now.subarray(resume)))) return found(start, resume);
    }
    if (next !== undefined) state.update(now.subarray(start, next));
  }

  const head = lineStarts(now, 0, HEAD_LINES + BANNER_LINES);
  let budget = HEAD_BUDGET;
  for (const [index, start] of head.slice(0, HEAD_LINES).entries()) {
    const before = createHash('sha256').update(now.subarray(0, start));
    for (const resume of head.slice(index + 1, index + 1 + BANNER_LINES)) {
      budget -= now.length - resume;
      if (budget < 0) return undefined;
      if (isIt(before.copy().update(now.subarray(resume)))) return found(start, resume);
    }
  }
  return undefined;
}

/** Where lines that stand before the addition stand at its end as well, the addition may as well begin behind them. */
function lowest(now: Buffer, start: number, resume: number): readonly [from: number, to: number] {
  let from = start;
  let to = resume;
  while (to < now.length) {
    const end = now.indexOf('\r\n', from) + 2;
    const length = end - from;
    if (end < 2 || end > to || !now.subarray(to, to + length).equals(now.subarray(from, end))) break;
    from = end;
    to += length;
  }
  return [from, to];
}

/** The start of a line from which on there are no more octets and lines than are tried. */
function tailStart(now: Buffer): number {
  let at = now.length;
  for (let lines = 0; at > 0 && lines < TAIL_LINES && now.length - at < TAIL_OCTETS; lines++) {
    const before = now.lastIndexOf('\r\n', at - 3);
    at = at < 3 || before < 0 ? 0 : before + 2;
  }
  return at;
}

/** Starts of lines from `from` on, so many at most. */
function lineStarts(now: Buffer, from: number, most: number): readonly number[] {
  const starts: number[] = [];
  for (let at = from; at < now.length && starts.length < most; ) {
    starts.push(at);
    const end = now.indexOf('\r\n', at);
    at = end < 0 ? now.length : end + 2;
  }
  return starts;
}

const CRLF = Buffer.from([CR, LF]);
