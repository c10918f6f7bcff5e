/** Asks systemd about units, in one quick command. */
import type {Ports} from '../system/ports.ts';

/** Properties of a unit by name; an unknown unit has `LoadState` `not-found`. */
export type UnitProperties = Readonly<Record<string, string>>;

/**
 * `systemctl show` for several units. The answer has one paragraph a unit, in the order asked; the order of the
 * properties is not the requested one (daemons/postfix.md#commands). Empty properties where systemctl is missing or
 * fails.
 */
export async function showUnits(
  commands: Ports['commands'],
  units: readonly string[],
  properties: readonly string[],
  signal?: AbortSignal,
): Promise<readonly UnitProperties[]> {
  const result = await commands.run(
    ['systemctl', 'show', ...units, '-p', properties.join(',')],
    signal === undefined ? {} : {signal},
  );
  const paragraphs = result.status === 0 ? result.stdout.split(/\n\n+/) : [];
  return units.map((_, at) => parseProperties(paragraphs[at] ?? ''));
}

/** `Name=value` lines of systemctl show; a property of several lines keeps them all. */
function parseProperties(text: string): UnitProperties {
  const found: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const at = line.indexOf('=');
    if (at <= 0) continue;
    const [name, value] = [line.slice(0, at), line.slice(at + 1).trim()];
    found[name] = found[name] === undefined ? value : `${found[name]}\n${value}`;
  }
  return found;
}

/** Arguments of the first command of `ExecStart=` as systemctl show prints it: `{ path=… ; argv[]=… ; … }`. */
export function execArguments(execStart: string): readonly string[] {
  const argv = /argv\[\]=(.*?) ; /.exec(execStart)?.[1] ?? '';
  return argv.split(/\s+/).filter(word => word !== '');
}

/** Value of an option, be it `-p value` or `-pvalue`; the last wins. */
export function optionValue(argv: readonly string[], letter: string): string | undefined {
  let found: string | undefined;
  for (const [at, word] of argv.entries()) {
    if (at === 0) continue;
    if (word === `-${letter}`) found = argv[at + 1];
    else if (word.startsWith(`-${letter}`)) found = word.slice(2);
  }
  return found;
}
