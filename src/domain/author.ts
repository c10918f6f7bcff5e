/** The first address of a From or Sender field, without a regular expression: a field is text of a stranger. */

/**
 * `"Alice, A." (here) <alice@example.org>` → `alice@example.org`; undefined where there is none. Comments and quoted
 * names are passed over (RFC 5322 §3.4); of several authors the first counts.
 */
export function addressIn(field: string): string | undefined {
  let depth = 0;
  let isQuoted = false;
  let angle: string | undefined;
  let plain = '';
  for (let at = 0; at < field.length; at += 1) {
    const character = field[at] ?? '';
    if (character === '\\') at += 1;
    else if (isQuoted) isQuoted = character !== '"';
    else if (character === '(') depth += 1;
    else if (character === ')') depth -= depth > 0 ? 1 : 0;
    else if (depth > 0) continue;
    else if (character === '"') isQuoted = true;
    else if (angle !== undefined) {
      if (character === '>') return asAddress(angle);
      angle += character;
    } else if (character === '<') angle = '';
    else if (character === ',' && plain.includes('@')) break;
    else plain += character;
  }
  return asAddress(plain);
}

const asAddress = (text: string): string | undefined => {
  const address = text.trim();
  const at = address.lastIndexOf('@');
  return at > 0 && at < address.length - 1 && !/\s/.test(address) ? address : undefined;
};

/** The value of the first field of a name in a message, unfolded; undefined where it has none. */
export function fieldOf(message: string, name: string): string | undefined {
  const wanted = `${name.toLowerCase()}:`;
  let found: string | undefined;
  for (const raw of message.split('\n')) {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (line === '') break;
    const isFolded = line.startsWith(' ') || line.startsWith('\t');
    if (found !== undefined) {
      if (!isFolded) return found;
      found += ` ${line.trim()}`;
    } else if (!isFolded && line.slice(0, wanted.length).toLowerCase() === wanted) {
      found = line.slice(wanted.length).trim();
    }
  }
  return found;
}
