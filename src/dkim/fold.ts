/** Longest line without its CRLF where it can be helped (RFC 5322 §2.1.1). */
const LINE = 78;

/**
 * Writes a header field from pieces that must not be broken, with a fold before each piece that would make its line
 * too long. A piece says itself what stands between it and the one before when both are on one line.
 */
export class FieldWriter {
  #text: string;
  #column: number;

  constructor(start: string) {
    this.#text = start;
    this.#column = start.length;
  }

  /** Adds a piece, after `gap` on the same line or after a fold. */
  add(piece: string, gap = ''): this {
    if (this.#column > 1 && this.#column + gap.length + piece.length > LINE) return this.fold(piece);
    this.#text += gap + piece;
    this.#column += gap.length + piece.length;
    return this;
  }

  /** Begins a new line with the piece. */
  fold(piece: string): this {
    this.#text += `\r\n\t${piece}`;
    this.#column = 1 + piece.length;
    return this;
  }

  /** Adds text that may be broken anywhere (base64), filling each line. */
  fill(text: string): this {
    let at = 0;
    while (at < text.length) {
      const room = LINE - this.#column;
      if (room <= 0) {
        this.fold('');
        continue;
      }
      const part = text.slice(at, at + room);
      this.#text += part;
      this.#column += part.length;
      at += part.length;
    }
    return this;
  }

  toString(): string {
    return this.#text;
  }
}
