/** Texts of configurations, line by line. */
export interface RawLine {
  /** Without its end. */
  readonly raw: string;
  /** Line feed, carriage return and line feed, or '' on the last line. */
  readonly end: string;
}

/** Cuts a text into lines; the ends are kept apart so that every octet can be put back. */
export function splitLines(text: string): readonly RawLine[] {
  const lines: RawLine[] = [];
  for (const match of text.matchAll(/([^\n]*?)(\r?\n|$)/gy)) {
    const [whole, raw = '', end = ''] = match;
    if (whole === '') break;
    lines.push({raw, end});
  }
  return lines;
}

/** Gives the last line that matches the value (its first group); adds `fresh` where no line does. */
export function withLine(text: string, pattern: RegExp, value: string, fresh: string | undefined): string {
  const lines = splitLines(text);
  const at = lines.findLastIndex(line => pattern.test(line.raw));
  if (at < 0) {
    if (fresh === undefined) return text;
    return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${fresh}\n`;
  }
  return lines
    .map(({raw, end}, index) => {
      const match = index === at ? pattern.exec(raw) : null;
      if (match === null) return raw + end;
      const head = match[0].slice(0, match[0].length - (match[1] ?? '').length);
      return head + value + raw.slice(match[0].length) + end;
    })
    .join('');
}
