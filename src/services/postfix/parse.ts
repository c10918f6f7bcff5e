/** Reads main.cf (postconf(5)) and the output of postconf(1). Text in, data out. */

export interface LogicalLine {
  readonly name: string;
  /** Offsets into the text: begin of the name, begin of the value, end of the last line that belongs to it (no line feed). */
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
  readonly value: string;
  /** The value with comments and line feeds blanked, so that its offsets are those of the text. */
  readonly masked: string;
}

const ASSIGNMENT = /^([A-Za-z0-9_]+)[ \t]*=[ \t]*/;

/**
 * The settings of a main.cf in order. A line that begins with white space continues the one before; blank and comment
 * lines between them belong to nobody and end nothing (postconf(5)). The last setting of a name is in force.
 */
export function parseMainCf(text: string): readonly LogicalLine[] {
  const found: {name: string; start: number; valueStart: number; pieces: [number, number][]}[] = [];
  let offset = 0;
  for (const physical of text.split('\n')) {
    const start = offset;
    const line = physical.replace(/\r$/, '');
    offset += physical.length + 1;
    if (/^\s*(#|$)/.test(line)) continue;
    if (/^\s/.test(line)) {
      found.at(-1)?.pieces.push([start, start + line.length]);
      continue;
    }
    const match = ASSIGNMENT.exec(line);
    const valueStart = start + (match?.[0].length ?? line.length);
    found.push({name: match?.[1] ?? '', start, valueStart, pieces: [[valueStart, start + line.length]]});
  }
  return found
    .filter(entry => entry.name !== '')
    .map(({name, start, valueStart, pieces}) => {
      const end = pieces.at(-1)?.[1] ?? valueStart;
      const masked = mask(text, valueStart, end, pieces);
      const value = pieces
        .map(([from, to]) => text.slice(from, to).trim())
        .filter(piece => piece !== '')
        .join(' ');
      return {name, start, valueStart, end, value, masked};
    });
}

/** The text from `start` to `end` with everything but the pieces blanked, so that offsets stay. */
export function mask(
  text: string,
  start: number,
  end: number,
  pieces: readonly (readonly [number, number])[],
): string {
  let out = '';
  let at = start;
  for (const [from, to] of pieces) {
    out += ' '.repeat(from - at) + text.slice(from, to);
    at = to;
  }
  return out + ' '.repeat(end - at);
}

/** The definition in force. */
export const inForce = (lines: readonly LogicalLine[], name: string): LogicalLine | undefined =>
  lines.findLast(line => line.name === name);

/** Explicit settings by name, the last one of each. */
export const settingsOf = (lines: readonly LogicalLine[]): ReadonlyMap<string, string> =>
  new Map(lines.map(line => [line.name, line.value]));

export {expand} from './expand.ts';

export interface Token {
  readonly text: string;
  /** Offsets into the string that was cut. */
  readonly start: number;
  readonly end: number;
}

/** Cuts a list at white space and commas, but not within braces (postconf(5), smtpd_milters). */
export function tokens(list: string): readonly Token[] {
  const found: Token[] = [];
  let start = -1;
  let depth = 0;
  for (let at = 0; at <= list.length; at += 1) {
    const character = list[at];
    const separates = character === undefined || (depth === 0 && /[\s,]/.test(character));
    if (!separates && start < 0) start = at;
    if (separates && start >= 0) {
      found.push({text: list.slice(start, at), start, end: at});
      start = -1;
    }
    if (character === '{') depth += 1;
    if (character === '}') depth = Math.max(0, depth - 1);
  }
  return found;
}

/** `name = value` lines as postconf(1) prints them. */
export function parsePostconf(output: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of output.split('\n')) {
    const match = /^([^\s=]+) = ?(.*)$/.exec(line);
    if (match !== null) found.set(match[1] ?? '', (match[2] ?? '').trim());
  }
  return found;
}

/** Words of an expanded list: domains, or tables as `hash:/path`. */
export const words = (value: string): readonly string[] => value.split(/[\s,]+/).filter(word => word !== '');

/** Keys of a postmap(1) source text or of a plain list file; continuation lines and comments skipped. */
export function tableKeys(text: string): readonly string[] {
  return text.split('\n').flatMap(line => {
    const key = /^([^\s#]\S*)/.exec(line)?.[1];
    return key === undefined ? [] : [key.toLowerCase()];
  });
}
