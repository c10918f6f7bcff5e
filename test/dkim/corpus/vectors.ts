import {createHash} from 'node:crypto';
import {BodyHasher} from '../../../src/dkim/body-hash.ts';
import {canonicalizeHeader} from '../../../src/dkim/canonicalize-header.ts';
import {type HeaderField, parseHeaderBlock} from '../../../src/dkim/header-block.ts';
import {keyOf, readKeyRecord} from '../../../src/dkim/key-record.ts';
import {lineEndingFilter} from '../../../src/dkim/message-reader.ts';
import {relaxedKernel} from '../../../src/dkim/relaxed-kernel.ts';
import {parseSignature, withoutSignatureValue} from '../../../src/dkim/signature.ts';
import {parseTagList} from '../../../src/dkim/tag-list.ts';

/** The unit vectors of a corpus. */
export interface Vectors {
  readonly canon_body: readonly {
    readonly alg: 'simple' | 'relaxed';
    readonly in: string;
    readonly sha256: string;
    readonly note?: string;
  }[];
  readonly canon_header: readonly {
    readonly alg: 'simple' | 'relaxed';
    readonly in: string;
    readonly out: string;
  }[];
  readonly key_record: readonly {
    readonly txt: string;
    readonly valid: boolean;
    readonly disputed?: string;
    readonly fields?: Readonly<Record<string, unknown>>;
  }[];
  readonly signature_field: readonly {
    readonly value: string;
    readonly valid: boolean;
    readonly disputed?: string;
  }[];
  readonly delete_b_value: readonly {readonly in: string; readonly out: string; readonly alg?: string}[];
}

const onlyField = (raw: string): HeaderField =>
  parseHeaderBlock(Buffer.from(raw, 'latin1')).fields[0] ?? {name: '', raw, colon: -1};

/** Compares every vector and adds a line for each that differs. */
export function checkVectors(vectors: Vectors, lines: string[]): {compared: number; wrong: number} {
  let compared = 0;
  let wrong = 0;
  const check = (same: boolean, what: string): void => {
    compared++;
    if (same) return;
    wrong++;
    lines.push(`vector    ${what}`);
  };
  for (const one of vectors.canon_body) {
    const normalize = one.note?.includes('normalise') === true;
    const octets = lineEndingFilter(normalize ? 'normalize' : 'strict')(Buffer.from(one.in, 'base64'));
    const wish = {canonicalization: one.alg, length: undefined};
    const hasher = new BodyHasher([wish], relaxedKernel);
    hasher.update(octets);
    hasher.finish();
    check(
      hasher.digest(wish).hash === one.sha256,
      `canon_body ${one.alg} ${JSON.stringify(Buffer.from(one.in, 'base64').toString('latin1'))}`,
    );
  }
  for (const one of vectors.canon_header) {
    const field = onlyField(Buffer.from(one.in, 'base64').toString('latin1'));
    const got = Buffer.from(canonicalizeHeader(field, one.alg), 'latin1').toString('base64');
    check(got === one.out, `canon_header ${one.alg} ${JSON.stringify(field.raw)}`);
  }
  for (const one of vectors.key_record) {
    if (one.disputed !== undefined) continue;
    const record = readKeyRecord(one.txt);
    const revoked = one.fields?.['revoked'] === true;
    const usable =
      record.ok && (record.value.revoked ? revoked : isUsable(record.value.keyType, record.value));
    check(usable === one.valid, `key_record ${JSON.stringify(one.txt)}`);
    const strict = one.fields?.['strict_subdomain'];
    if (record.ok && strict !== undefined)
      check(record.value.noSubdomains === strict, `key_record t=s ${one.txt}`);
  }
  for (const one of vectors.signature_field) {
    if (one.disputed !== undefined) continue;
    const field = onlyField(`DKIM-Signature: ${Buffer.from(one.value, 'utf8').toString('latin1')}\r\n`);
    const outcome = parseSignature(field);
    check(
      outcome.ok === one.valid,
      `signature_field ${JSON.stringify(one.value)} ${outcome.ok ? '' : outcome.reason.message}`,
    );
  }
  for (const one of vectors.delete_b_value) {
    const simple = one.alg?.startsWith('simple') === true;
    const raw = simple ? one.in : `X:${one.in}`;
    const field = onlyField(raw);
    const list = parseTagList(field.raw.slice(0, -2), 'signature', field.colon + 1);
    const cut = list.ok ? withoutSignatureValue(field, list.value) : field;
    const got = simple ? cut.raw : canonicalizeHeader(cut, 'relaxed').slice(2, -2);
    check(got === one.out, `delete_b_value ${JSON.stringify(one.in)}`);
  }
  return {compared, wrong};
}

const isUsable = (keyType: string, record: Parameters<typeof keyOf>[0]): boolean =>
  keyType !== 'rsa' && keyType !== 'ed25519' ? true : keyOf(record).ok;

/** SHA-256 in base64, for tests that compare canonical bodies. */
export const sha256 = (octets: Uint8Array): string => createHash('sha256').update(octets).digest('base64');
