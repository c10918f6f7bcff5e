import {type CanonicalizationName, relaxInPlace} from './canonicalize-header.ts';
import {type HeaderBlock, type HeaderField, selectFields} from './header-block.ts';
import {fromLatin1} from './octets.ts';

/**
 * The octets that a signature signs (RFC 6376 §3.7): the selected fields in the order of h=, canonicalized, then the
 * signature's own field with b= empty and without its final CRLF.
 *
 * @param names h=, lower case
 * @param own the DKIM-Signature field, the value of b= already deleted
 * @param index place of that field in the header, or undefined where it is not in it yet
 */
export function headerHashInput(
  block: HeaderBlock,
  names: readonly string[],
  how: CanonicalizationName,
  own: HeaderField,
  index: number | undefined,
): Buffer {
  const fields = selectFields(block, names, index);
  fields.push(own);
  let text = '';
  for (const field of fields) text += field.raw;
  const octets = fromLatin1(text);
  let end = octets.length;
  if (how === 'relaxed') {
    // All fields are copied at once and then moved together in place: many short strings cost far more.
    let from = 0;
    end = 0;
    for (const field of fields) {
      end = relaxInPlace(octets, from, field, end);
      from += field.raw.length;
    }
  }
  return octets.subarray(0, end - 2);
}
