import {type KeyRecord, keyOf, readKeyRecord} from './key-record.ts';
import type {PublicKey} from './public-key.ts';
import type {Parsed} from './reason.ts';

/** A parsed record and its key, or why there is none. */
export interface CachedKey {
  readonly record: KeyRecord;
  readonly key: Parsed<PublicKey>;
}

/**
 * Remembers parsed keys by the text of their record, so that a verifier of much mail imports each key once. It never
 * answers instead of the DNS: what is looked up is decided by the caller's lookup function alone.
 */
export interface KeyCache {
  read(text: string): Parsed<CachedKey>;
}

/** @param entries most records kept; the one unused for longest goes first */
export function createKeyCache(entries = 1000): KeyCache {
  const known = new Map<string, Parsed<CachedKey>>();
  return {
    read(text) {
      const found = known.get(text);
      if (found !== undefined) {
        known.delete(text);
        known.set(text, found);
        return found;
      }
      const fresh = readRecordAndKey(text);
      // Very long records are not worth their memory.
      if (text.length <= 16_384) known.set(text, fresh);
      if (known.size > entries) {
        for (const oldest of known.keys()) {
          known.delete(oldest);
          break;
        }
      }
      return fresh;
    },
  };
}

/** Reads a record without remembering it. */
export const noKeyCache: KeyCache = {read: text => readRecordAndKey(text)};

function readRecordAndKey(text: string): Parsed<CachedKey> {
  const record = readKeyRecord(text);
  return record.ok ? {ok: true, value: {record: record.value, key: keyOf(record.value)}} : record;
}
