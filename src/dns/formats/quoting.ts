/** How the formats write a TXT value: each program has its own idea of an escape. Pure text. */

/**
 * Strings as Route 53 reads them: `"..."`, quotes escaped by a backslash, octets that are no printable ASCII in octal
 * (developer guide, "TXT record type"; RFC 1035 has decimal numbers there).
 */
export function octalStrings(strings: readonly string[]): readonly string[] {
  return strings.map(text => `"${octalEscapes(text)}"`);
}

/** One string as Route 53 reads it: octets outside of printable ASCII, and the backslash, as `\ooo`. */
export function octalEscapes(text: string): string {
  let out = '';
  for (const octet of Buffer.from(text)) {
    if (octet === 0x22) out += '\\"';
    else if (octet >= 0x20 && octet < 0x7f && octet !== 0x5c) out += String.fromCharCode(octet);
    else out += `\\${octet.toString(8).padStart(3, '0')}`;
  }
  return out;
}

/** A quoted template of HCL: `${` and `%{` would begin an expression (HCL native syntax, "Quoted Templates"). */
export const hclString = (text: string): string =>
  JSON.stringify(text).replace(/[$%](?=\{)/g, sign => `${sign}${sign}`);

/** A word of a POSIX shell: nothing is special between single quotes. */
export const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** A name for a resource of Terraform: letters, digits, `_`; never a digit first. */
export const identifier = (name: string): string => `dkim_${name.replace(/[^A-Za-z0-9]+/g, '_')}`;
