/** Macros in the names of SPF terms (RFC 7208 §7). */
import {dottedAddress} from './address.ts';

export interface MacroFacts {
  /** Local part and domain of the envelope sender. */
  readonly local: string;
  readonly senderDomain: string;
  /** The domain whose record is evaluated. */
  readonly domain: string;
  readonly address: Uint8Array;
  readonly helo: string;
}

/** The text with its macros replaced; undefined where the syntax is wrong, which is a permerror. */
export function expandMacros(text: string, facts: MacroFacts): string | undefined {
  let isBad = false;
  const out = text.replace(/%(?:\{([a-z])(\d*)(r?)([-.+,/_=]*)\}|([%_-])|)/gi, (_, ...groups) => {
    const [letter, digits, reverse, delimiters, single] = groups as (string | undefined)[];
    if (single !== undefined) return {'%': '%', _: ' ', '-': '%20'}[single] ?? '';
    const value = letter === undefined ? undefined : macroValue(letter.toLowerCase(), facts);
    if (value === undefined || (digits !== undefined && digits !== '' && Number(digits) === 0)) {
      isBad = true;
      return '';
    }
    const pattern = delimiters === undefined || delimiters === '' ? '.' : delimiters;
    const parts = splitAny(value, pattern);
    const ordered = reverse === undefined || reverse === '' ? parts : parts.toReversed();
    const count = digits === undefined || digits === '' ? ordered.length : Number(digits);
    const joined = ordered.slice(-count).join('.');
    return letter === letter?.toLowerCase() ? joined : encodeURIComponent(joined);
  });
  return isBad ? undefined : out;
}

function splitAny(text: string, delimiters: string): readonly string[] {
  const parts = [''];
  for (const character of text) {
    if (delimiters.includes(character)) parts.push('');
    else parts[parts.length - 1] += character;
  }
  return parts;
}

/** `p` is not looked up: "unknown" is what §7.3 allows for it. `c`, `r`, `t` are for explanations only. */
function macroValue(letter: string, facts: MacroFacts): string | undefined {
  switch (letter) {
    case 's':
      return `${facts.local}@${facts.senderDomain}`;
    case 'l':
      return facts.local;
    case 'o':
      return facts.senderDomain;
    case 'd':
      return facts.domain;
    case 'i':
      return dottedAddress(facts.address);
    case 'v':
      return facts.address.length === 4 ? 'in-addr' : 'ip6';
    case 'h':
      return facts.helo;
    case 'p':
      return 'unknown';
    default:
      return undefined;
  }
}
