import {readFileSync} from 'node:fs';
import path from 'node:path';
import type {KeyLookup, SignatureVerdict, VerifyOptions} from '../../../src/dkim/index.ts';

/** A case of a conformance corpus; the format is described in the corpus's own README. */
export interface CorpusCase {
  readonly id: string;
  readonly file: string;
  readonly keys: Readonly<Record<string, string | readonly string[] | {readonly error: string}>>;
  readonly time?: number;
  readonly expected: readonly CorpusResult[];
  readonly expected_legacy?: readonly CorpusResult[];
  readonly also_ok?: readonly string[];
  readonly disputed?: string;
}

export interface CorpusResult {
  readonly domain: string | null;
  readonly selector: string | null;
  readonly result: string;
  readonly why?: string;
}

export const readJson = <T>(directory: string, name: string): T =>
  JSON.parse(readFileSync(path.join(directory, name), 'utf8')) as T;

export const readCases = (directory: string): readonly CorpusCase[] =>
  readJson<readonly CorpusCase[]>(directory, 'cases.json');

/** Answers from the keys of a case; a name that is not there does not exist. */
export function lookupIn(keys: CorpusCase['keys']): KeyLookup {
  const byName = new Map(Object.entries(keys).map(([name, value]) => [name.toLowerCase(), value]));
  return name => {
    const value = byName.get(name.toLowerCase());
    if (value === undefined) return Promise.resolve({status: 'absent'});
    if (typeof value === 'string') return Promise.resolve({status: 'found', records: [value]});
    if ('error' in value) return Promise.resolve({status: 'temporary', reason: value.error});
    return Promise.resolve({status: 'found', records: value});
  };
}

export const optionsFor = (one: CorpusCase): VerifyOptions => ({
  lookup: lookupIn(one.keys),
  now: one.time ?? 1_750_000_000,
});

/** How far the verdicts are from what a case expects. */
export type Score = 'ok' | 'soft' | 'hard';

/** hard: pass instead of no pass, the other way round, or another number of results. soft: another kind of error. */
export function score(one: CorpusCase, verdicts: readonly SignatureVerdict[]): Score {
  if (verdicts.length !== one.expected.length) return 'hard';
  let worst: Score = 'ok';
  verdicts.forEach((verdict, index) => {
    const got = verdict.result === 'neutral' ? 'permerror' : verdict.result;
    const wanted = one.expected[index]?.result ?? '';
    if (got === wanted || one.also_ok?.includes(got) === true) return;
    // `limit`: not looking at so many signatures is right as well.
    if (verdict.reason.id === 'signature.limit' && one.also_ok?.includes('limit') === true) return;
    if ((got === 'pass') !== (wanted === 'pass')) worst = 'hard';
    else if (worst === 'ok') worst = 'soft';
  });
  return worst;
}

/** Cuts octets into pieces of the sizes given, over and over. */
export function* pieces(octets: Uint8Array, size: () => number): Generator<Uint8Array> {
  for (let at = 0; at < octets.length; ) {
    const length = Math.max(1, size());
    yield octets.subarray(at, at + length);
    at += length;
  }
}

/** A small repeatable random source (mulberry32): 0 to below 1. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
