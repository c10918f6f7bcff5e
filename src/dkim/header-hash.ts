import {type Canonicalization, canonicalizeHeader} from './canonicalize-header.ts';
import type {HeaderBlock, HeaderField} from './header-block.ts';
import {selectFields} from './header-block.ts';

/** The header of one message, canonicalized at most once a field however many signatures cover it. */
export class HeaderHasher {
  readonly block: HeaderBlock;
  readonly #relaxed: string[] = [];

  constructor(block: HeaderBlock) {
    this.block = block;
  }

  /**
   * The octets that a signature signs, as code units 0..255 (RFC 6376 §3.7): the selected fields in the order of h=,
   * then the signature's own field with b= empty and without its final CRLF.
   *
   * @param names h=, lower case
   * @param own the DKIM-Signature field, the value of b= already deleted
   * @param index place of that field in the header, or undefined where it is not in it yet
   */
  input(
    names: readonly string[],
    how: Canonicalization['header'],
    own: HeaderField,
    index: number | undefined,
  ): string {
    let text = '';
    for (const chosen of selectFields(this.block, names, index)) {
      const field = this.block.fields[chosen];
      if (field === undefined) continue;
      if (how === 'simple') text += field.raw;
      else text += this.#relaxed[chosen] ??= canonicalizeHeader(field, how);
    }
    return text + canonicalizeHeader(own, how).slice(0, -2);
  }
}
