/**
 * Decides once whether there is colour and tells the terminal library by the one variable it obeys: it ignores
 * NO_COLOR, and takes the mere presence of CI for "no colour" (docs/decisions). Must run before Ink is loaded.
 *
 * @param argv arguments, for `--color always|never|auto` and `--no-color`; the flag wins because sudo drops variables
 * @param environment changed in place: FORCE_COLOR set, NO_COLOR removed
 */
export function decideColor(
  argv: readonly string[],
  environment: Record<string, string | undefined>,
  stdoutIsTerminal: boolean,
): boolean {
  const color = wanted(argv, environment, stdoutIsTerminal);
  environment['FORCE_COLOR'] = color ? '1' : '0';
  delete environment['NO_COLOR'];
  delete environment['NODE_DISABLE_COLORS'];
  return color;
}

function wanted(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  stdoutIsTerminal: boolean,
): boolean {
  const end = argv.indexOf('--');
  const flags = end === -1 ? argv : argv.slice(0, end);
  for (const [index, flag] of [...flags.entries()].reverse()) {
    if (flag === '--no-color' || flag === '--color=never') return false;
    if (flag === '--color=always') return true;
    if (flag === '--color' && flags[index + 1] === 'never') return false;
    if (flag === '--color' && flags[index + 1] === 'always') return true;
  }
  // https://no-color.org: present and not empty.
  if ((environment['NO_COLOR'] ?? '') !== '') return false;
  if ((environment['NODE_DISABLE_COLORS'] ?? '') !== '') return false;
  if (environment['FORCE_COLOR'] === '0') return false;
  if (!stdoutIsTerminal || environment['TERM'] === 'dumb') return false;
  return true;
}
