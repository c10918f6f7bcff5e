import {type CanonicalizationName, relaxField} from './canonicalize-header.ts';
import {type HeaderBlock, type HeaderField, selectFields} from './header-block.ts';

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
  const selected = selectFields(block, names, index);
  let room = own.raw.length;
  for (const at of selected) room += block.end(at) - block.start(at);
  const input = Buffer.allocUnsafe(room);
  let end = 0;
  for (const at of selected) {
    const start = block.start(at);
    end =
      how === 'simple'
        ? end + block.octets.copy(input, end, start, block.end(at))
        : relaxField(block.octets, start, block.nameEnd(at), block.colon(at), block.end(at), input, end);
  }
  // The own field is a string by now: it is written behind all room of the others and moved up from there.
  const start = how === 'simple' ? end : room - own.raw.length;
  input.write(own.raw, start, 'latin1');
  end =
    how === 'simple'
      ? room
      : relaxField(input, start, start + own.name.length, start + own.colon, room, input, end);
  return input.subarray(0, end - 2);
}
