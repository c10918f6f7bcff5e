import {canonicalizeHeader} from './canonicalize-header.ts';
import {type HeaderBlock, type HeaderField, selectFields} from './header-block.ts';
import {lower} from './octets.ts';
import {decodeQuotedPrintable} from './quoted-printable.ts';
import type {Signature} from './signature.ts';

/**
 * The first signed field that is not as the signer copied it into z= (RFC 6376 §3.5), or undefined where z= is absent
 * or explains nothing. For diagnosis only: z= is never part of a verdict.
 */
export function changedHeader(signature: Signature, block: HeaderBlock): string | undefined {
  const copies = signature.tags.get('z')?.value;
  if (copies === undefined || copies.length > MAX_COPIES) return undefined;
  const copied = new Map<string, string[]>();
  for (const part of copies.split('|')) {
    const colon = part.indexOf(':');
    const value = decodeQuotedPrintable(part.slice(colon + 1));
    if (colon < 0 || value === undefined) continue;
    const name = lower(part.slice(0, colon).trim());
    const same = copied.get(name) ?? [];
    same.push(value);
    copied.set(name, same);
  }
  const counts = new Map<string, number>();
  for (const name of signature.signedHeaders) counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const [name, count] of counts) {
    const expected = copied.get(name);
    if (expected === undefined) continue;
    const present = selectFields(block, new Array<string>(count).fill(name), undefined)
      .flatMap(index => block.field(index) ?? [])
      .map(essence);
    const wanted = new Set(
      expected.map(value => essence({name, raw: `${name}:${value}\r\n`, colon: name.length})),
    );
    if (present.some(value => !wanted.has(value)) || present.length < Math.min(expected.length, count))
      return name;
  }
  return undefined;
}

// No signer copies more; the sender of a bad signature shall not decide how long its diagnosis takes.
const MAX_COPIES = 65_536;

// White space is compared in its relaxed form without any: copies rarely keep folding.
const essence = (field: HeaderField): string => canonicalizeHeader(field, 'relaxed').replace(/\s+/g, '');
