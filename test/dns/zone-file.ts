/** A reader of zone file records (RFC 1035 §5.1), written for the tests: comments, parentheses, quotes, escapes. */
export interface ZoneFileRecord {
  readonly owner: string;
  readonly ttl: number;
  readonly type: string;
  /** Octets of each character-string. */
  readonly strings: readonly Buffer[];
}

export function readZoneFile(text: string): readonly ZoneFileRecord[] {
  return entries(text).map(tokens => {
    const [owner, ttl, klass, type, ...strings] = tokens;
    if (klass?.text !== 'IN' || owner === undefined || type === undefined) throw new Error('not a record');
    for (const string of strings) {
      if (!string.isQuoted) throw new Error('a string without quotes');
      if (string.octets.length > 255) throw new Error('a string of more than 255 octets');
    }
    return {
      owner: owner.text,
      ttl: Number(ttl?.text),
      type: type.text,
      strings: strings.map(string => string.octets),
    };
  });
}

interface Token {
  readonly text: string;
  readonly octets: Buffer;
  readonly isQuoted: boolean;
}

function entries(text: string): readonly (readonly Token[])[] {
  const all: Token[][] = [];
  let current: Token[] = [];
  let depth = 0;
  let at = 0;
  const end = (): void => {
    if (current.length > 0) all.push(current);
    current = [];
  };
  while (at < text.length) {
    const character = text[at] ?? '';
    if (character === '\n') {
      if (depth === 0) end();
      at++;
    } else if (character === ' ' || character === '\t') at++;
    else if (character === ';') while (at < text.length && text[at] !== '\n') at++;
    else if (character === '(' || character === ')') {
      depth += character === '(' ? 1 : -1;
      at++;
    } else {
      const isQuoted = character === '"';
      const [octets, after] = word(text, isQuoted ? at + 1 : at, isQuoted);
      current.push({text: octets.toString(), octets, isQuoted});
      at = after;
    }
  }
  if (depth !== 0) throw new Error('unbalanced parentheses');
  end();
  return all;
}

function word(text: string, from: number, isQuoted: boolean): [Buffer, number] {
  const octets: number[] = [];
  let at = from;
  for (;;) {
    const character = text[at];
    if (character === undefined || (isQuoted && character === '\n')) {
      if (isQuoted) throw new Error('an open quote');
      break;
    }
    if (isQuoted ? character === '"' : /[\s;()]/.test(character)) break;
    const escaped = /^\\(?:(\d{3})|(.))/.exec(text.slice(at, at + 4));
    if (escaped !== null) {
      octets.push(escaped[1] === undefined ? (escaped[2] ?? '').charCodeAt(0) : Number(escaped[1]));
      at += escaped[0].length;
    } else {
      octets.push(character.charCodeAt(0));
      at++;
    }
  }
  return [Buffer.from(octets), isQuoted ? at + 1 : at];
}
