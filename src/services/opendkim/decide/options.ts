/** The command line of opendkim(8), as getopt(3) takes it apart. */

/** Letters of opendkim.c, CMDLINEOPTS; those in here take a value. */
const WITH_VALUE = new Set('bcdeFkLopPsStTux');

/** Value by letter, '' for a switch; the last of a letter wins. Words after a word that is no option are ignored. */
export function commandLineOptions(argv: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (let at = 1; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (word === '--' || !/^-[^-]/.test(word)) break;
    for (let index = 1; index < word.length; index += 1) {
      const letter = word[index] ?? '';
      if (!WITH_VALUE.has(letter)) {
        found.set(letter, '');
        continue;
      }
      const rest = word.slice(index + 1);
      if (rest === '') at += 1;
      found.set(letter, rest === '' ? (argv[at] ?? '') : rest);
      break;
    }
  }
  return found;
}
