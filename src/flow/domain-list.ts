/** `--domains-file`: one domain a line, or CSV with the selector of each. */
import {type DomainName, parseDomain, parseSelector, type Selector} from '../domain/names.ts';
import {fail, ok, type Problem, problem, type Result} from '../domain/result.ts';

export interface DomainList {
  /** As written; parsed again where the question for the domains is answered. */
  readonly texts: readonly string[];
  /** Each once, in the order of the file. */
  readonly domains: readonly DomainName[];
  /** Where the file names a selector. */
  readonly selectors: ReadonlyMap<DomainName, Selector>;
}

interface Field {
  readonly text: string;
  /** From 1, in characters: where the field begins in its line. */
  readonly column: number;
}

interface Fault {
  readonly column: number;
  readonly why: string;
}

/**
 * Reads the text of a list: comments from `#` to the end of a line, empty lines and a header `domain,selector` are left
 * out; fields are parted by comma, semicolon or tab and may be quoted (RFC 4180). A domain may stand there twice, but
 * not with two selectors. A Problem names line and column.
 *
 * @param name the file, as a Problem names it
 */
export function parseDomainList(text: string, name = 'the list of domains'): Result<DomainList> {
  const texts: string[] = [];
  const seen = new Map<DomainName, {readonly line: number; readonly selector: Selector | undefined}>();
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  for (const [at, line] of lines.entries()) {
    const fault = readLine(line, at + 1, texts, seen);
    if (fault !== undefined) return fail(faultProblem(name, at + 1, fault));
  }
  const selectors = [...seen].flatMap(([domain, {selector}]) =>
    selector === undefined ? [] : [[domain, selector] as const],
  );
  return ok({texts, domains: [...seen.keys()], selectors: new Map(selectors)});
}

const faultProblem = (name: string, line: number, {column, why}: Fault): Problem =>
  problem(
    'usage.domains-file',
    `Line ${line}, column ${column} of ${name}: ${why}`,
    'A line has a domain, and perhaps a selector after a comma; mend it and run the same command again (--domains-file).',
  );

function readLine(
  line: string,
  number: number,
  texts: string[],
  seen: Map<DomainName, {readonly line: number; readonly selector: Selector | undefined}>,
): Fault | undefined {
  const fields = fieldsOf(line);
  if ('why' in fields) return fields;
  const [first, second, ...more] = fields;
  if (first === undefined || isHeader(fields)) return undefined;
  const surplus = more.find(field => field.text !== '');
  if (surplus !== undefined) return {column: surplus.column, why: 'there is a third field.'};
  const domain = parseDomain(first.text);
  if (!domain.ok) return {column: first.column, why: domain.problem.message};
  const selector = second === undefined || second.text === '' ? undefined : parseSelector(second.text);
  if (selector?.ok === false) return {column: second?.column ?? 1, why: selector.problem.message};
  const before = seen.get(domain.value);
  if (before === undefined) {
    texts.push(first.text);
    seen.set(domain.value, {line: number, selector: selector?.value});
  } else if (before.selector !== selector?.value) {
    const other =
      before.selector === undefined ? 'without a selector' : `with the selector ${before.selector}`;
    const why = `${domain.value} stands in line ${before.line} already, ${other}.`;
    return {column: second?.column ?? first.column, why};
  }
  return undefined;
}

/** Fields of a line without its comment; none for a line without content. */
function fieldsOf(line: string): readonly Field[] | Fault {
  const fields: Field[] = [];
  let from = 0;
  for (;;) {
    const end = endOfField(line, from);
    const field = fieldAt(line, from, end);
    if ('why' in field) return field;
    fields.push(field);
    if (end >= line.length || line[end] === '#') break;
    from = end + 1;
  }
  return fields.every(field => field.text === '') ? [] : fields;
}

/** Where the next mark, comment or end of the line is that does not stand within quotation marks. */
function endOfField(line: string, from: number): number {
  let quoted = false;
  for (let at = from; at < line.length; at += 1) {
    if (line[at] === '"') quoted = !quoted;
    else if (!quoted && ',;\t#'.includes(line[at] ?? '')) return at;
  }
  return line.length;
}

function fieldAt(line: string, from: number, end: number): Field | Fault {
  const raw = line.slice(from, end);
  const text = raw.trim();
  // An empty field has no character of its own: it is where the next mark stands.
  const column = from + (text === '' ? raw.length : raw.length - raw.trimStart().length) + 1;
  if (!text.includes('"')) return {text, column};
  const inner = /^"((?:[^"]|"")*)"$/.exec(text)?.[1];
  return inner === undefined
    ? {column, why: 'a quotation mark stands inside a field, or is not closed.'}
    : {text: inner.replaceAll('""', '"').trim(), column};
}

const isHeader = ([first, second]: readonly Field[]): boolean =>
  first?.text.toLowerCase() === 'domain' && ['selector', ''].includes(second?.text.toLowerCase() ?? '');

/** Selectors of single domains as one text, `example.org=s1,example.net=s2`: how answers keep them. */
export const formatSelectors = (selectors: ReadonlyMap<DomainName, Selector>): string =>
  [...selectors].map(([domain, selector]) => `${domain}=${selector}`).join(',');

/** Reads {@link formatSelectors} back. */
export function parseSelectors(text: string): Result<ReadonlyMap<DomainName, Selector>> {
  const selectors = new Map<DomainName, Selector>();
  for (const pair of text.split(',').filter(each => each.trim() !== '')) {
    const [domainText = '', selectorText = ''] = pair.split('=');
    const domain = parseDomain(domainText);
    if (!domain.ok) return domain;
    const selector = parseSelector(selectorText);
    if (!selector.ok) return selector;
    selectors.set(domain.value, selector.value);
  }
  return ok(selectors);
}
