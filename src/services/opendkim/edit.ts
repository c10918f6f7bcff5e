/** Changes opendkim.conf in place: what is not ours stays byte for byte. */
import {trimEndOf} from '../../domain/scan.ts';
import {splitLines} from '../lines.ts';
import {parseConfigLines} from './parse.ts';

export interface Setting {
  /** Spelt as in opendkim.conf(5). */
  readonly name: string;
  readonly value: string;
}

const BLOCK_TITLE = '# DKIM signing, written by waxseal';

/**
 * Puts settings into a configuration text. A parameter that is set keeps its line, name, white space and comment and
 * gets the new value (the last line where it is set several times: that one is in force). One that has a commented
 * sample goes below the sample. The others go into one block at the end.
 */
export function setParameters(text: string, settings: readonly Setting[]): string {
  const lines = parseConfigLines(text).map(line => ({...line, below: [] as string[]}));
  const lineEnd = lines.find(line => line.end !== '')?.end ?? '\n';
  const rest: Setting[] = [];
  for (const setting of settings) {
    const same = (name: string): boolean => name.toLowerCase() === setting.name.toLowerCase();
    const inForce = lines.findLastIndex(line => same(line.name));
    const sample = lines.findLastIndex(line => same(line.sample));
    const current = lines[inForce];
    const shown = lines[sample];
    if (current !== undefined) {
      lines[inForce] = {...current, raw: withValue(current.raw, setting.value)};
    } else if (shown !== undefined) {
      shown.below.push(`${setting.name}${gapAfter(shown.raw, shown.sample)}${setting.value}`);
    } else {
      rest.push(setting);
    }
  }
  const body = lines
    .map(line => {
      if (line.below.length === 0) return line.raw + line.end;
      return line.raw + lineEnd + line.below.map(added => added + lineEnd).join('');
    })
    .join('');
  return rest.length === 0 ? body : body + block(body, rest, lineEnd);
}

function block(body: string, settings: readonly Setting[], lineEnd: string): string {
  const width = Math.max(...settings.map(setting => setting.name.length)) + 2;
  const rows = settings.map(setting => `${setting.name.padEnd(width)}${setting.value}`);
  if (body.includes(BLOCK_TITLE)) return separated(body, rows, lineEnd, false);
  return separated(body, [BLOCK_TITLE, ...rows], lineEnd, true);
}

const separated = (body: string, rows: readonly string[], lineEnd: string, blank: boolean): string =>
  (body === '' || body.endsWith('\n') ? '' : lineEnd) +
  (blank && body !== '' ? lineEnd : '') +
  rows.map(row => row + lineEnd).join('');

/** The line with another value; name, gap and comment stay. */
function withValue(raw: string, value: string): string {
  const head = /^[ \t]*[^\s#]+[ \t]*/.exec(raw)?.[0];
  if (head === undefined) return raw;
  const hash = raw.indexOf('#', head.length);
  const old = trimEndOf(raw.slice(head.length, hash < 0 ? undefined : hash), ' \t');
  const gap = /[ \t]$/.test(head) ? '' : ' ';
  return `${head}${gap}${value}${raw.slice(head.length + old.length)}`;
}

const gapAfter = (raw: string, name: string): string =>
  /^[ \t]+/.exec(raw.slice(1 + name.length))?.[0] ?? '\t';

export function commentOut(text: string, names: readonly string[]): string {
  const wanted = new Set(names.map(name => name.toLowerCase()));
  return parseConfigLines(text)
    .map(line => (wanted.has(line.name.toLowerCase()) ? `#${line.raw}` : line.raw) + line.end)
    .join('');
}

/** Replaces each `Include` line by the text that `textOf` has for it, so that the result stands alone. */
export function withoutIncludes(
  text: string,
  textOf: (path: string) => string | undefined,
  depth = 0,
): string {
  const lines = splitLines(text);
  return parseConfigLines(text)
    .map((line, index) => {
      const whole = (lines[index]?.raw ?? '') + (lines[index]?.end ?? '');
      const inner = line.name.toLowerCase() === 'include' && depth < 5 ? textOf(line.value) : undefined;
      if (inner === undefined) return whole;
      const expanded = withoutIncludes(inner, textOf, depth + 1);
      return expanded === '' || expanded.endsWith('\n') ? expanded : `${expanded}\n`;
    })
    .join('');
}
