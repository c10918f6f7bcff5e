/** Commands that a person pastes into a shell. */
import {visible} from './text.ts';

/** Characters that no shell reads anything into (POSIX.1-2024, Shell Command Language 2.2). */
const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

/**
 * One line for a POSIX shell: `program` with `args`, each quoted if the shell would read more into it than its characters.
 * Control and invisible characters become escapes in `$'…'`, so that the line shows what it does and does what it shows.
 */
export const command = (program: string, ...args: readonly string[]): string =>
  [program, ...args].map(quoted).join(' ');

function quoted(word: string): string {
  if (PLAIN.test(word)) return word;
  if (visible(word) === word) return `'${word.replaceAll("'", "'\\''")}'`;
  const escaped = [...Buffer.from(word)].map(octet => {
    const character = String.fromCharCode(octet);
    return PLAIN.test(character) || character === ' '
      ? character
      : `\\x${octet.toString(16).padStart(2, '0')}`;
  });
  return `$'${escaped.join('')}'`;
}
