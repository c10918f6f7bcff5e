/** Expansion of `$name` in values of Postfix, as its mac_expand(3) and mac_parse(3) do it (postconf(5), main.cf syntax). */

/** Values by name as they are written; `undefined` where Postfix knows no such parameter. */
export interface Parameters {
  get(name: string): string | undefined;
}

export interface Expansion {
  readonly text: string;
  /** Present where Postfix cannot expand the value: every program that reads it ends with a fatal error. */
  readonly fault?: string;
}

/** As in mac_expand(3). */
const DEEPEST = 100;
/** A value that grows beyond this has been written to grow: `a = $b$b`, `b = $c$c` and so on. */
const MOST_STEPS = 10_000;
const MOST_CHARACTERS = 262_144;

interface Run {
  readonly parameters: Parameters;
  text: string;
  steps: number;
  fault: string | undefined;
}

/**
 * Expands `$name`, `${name}`, `$(name)`, `${name?text}`, `${name:text}`, `${name?{yes}:{no}}` and
 * `${{left} == {right} ? {yes} : {no}}`. An unknown name is empty. Text up to the fault where there is one.
 */
export function expansionOf(value: string, parameters: Parameters): Expansion {
  const run: Run = {parameters, text: '', steps: 0, fault: undefined};
  parse(run, value, 0);
  return run.fault === undefined ? {text: run.text} : {text: run.text, fault: run.fault};
}

/** {@link expansionOf}, the text only. */
export const expand = (value: string, parameters: Parameters): string => expansionOf(value, parameters).text;

function parse(run: Run, value: string, depth: number): void {
  run.steps += 1;
  if (depth > DEEPEST) run.fault ??= 'unreasonable macro call nesting';
  if (run.steps > MOST_STEPS || run.text.length > MOST_CHARACTERS) run.fault ??= 'value too long';
  for (let at = 0; at < value.length && run.fault === undefined; ) {
    const dollar = value.indexOf('$', at);
    run.text += value.slice(at, dollar < 0 ? value.length : dollar);
    if (dollar < 0) return;
    const open = value[dollar + 1];
    if (open === '$') {
      run.text += '$';
      at = dollar + 2;
      continue;
    }
    const isEnclosed = open === '{' || open === '(';
    const end = isEnclosed ? closing(value, dollar + 1) : nameEnd(value, dollar + 1);
    const inner = isEnclosed ? value.slice(dollar + 2, end) : value.slice(dollar + 1, end);
    if (end < 0) run.fault = 'truncated macro reference';
    else if (inner === '') run.fault = 'empty macro name';
    else expression(run, inner, depth + 1);
    at = isEnclosed ? end + 1 : end;
  }
}

/** Where the bracket at `at` is closed; -1 where it is not. */
function closing(text: string, at: number): number {
  const open = text[at];
  const close = open === '{' ? '}' : ')';
  let level = 0;
  for (let next = at; next < text.length; next += 1) {
    if (text[next] === open) level += 1;
    else if (text[next] === close) level -= 1;
    if (level === 0) return next;
  }
  return -1;
}

function nameEnd(text: string, at: number): number {
  let end = at;
  while (/^[A-Za-z0-9_]$/.test(text[end] ?? '')) end += 1;
  return end;
}

const skipBlanks = (text: string, at: number): number => {
  let next = at;
  while (/^\s$/.test(text[next] ?? '')) next += 1;
  return next;
};

/** What is inside of `${…}`: a name or a comparison, and what is to be taken if it is empty or not. */
function expression(run: Run, text: string, depth: number): void {
  const start = skipBlanks(text, 0);
  if (text[start] === '{') {
    const {isTrue, end} = comparison(run, text, start, depth);
    const operator = text[end];
    if (run.fault !== undefined) return;
    if (operator === undefined) run.text += isTrue ? 'true' : '';
    else if (operator === '?' || operator === ':')
      choose(run, text, end + 1, operator, isTrue ? 'true' : '', depth);
    else run.fault = '"?" or ":" expected';
    return;
  }
  const end = nameEnd(text, start);
  const operator = skipBlanks(text, end);
  const value = run.parameters.get(text.slice(start, end));
  if (operator >= text.length) parse(run, value ?? '', depth + 1);
  else if (text[operator] === '?' || text[operator] === ':')
    choose(run, text, operator + 1, text[operator] ?? '', value ?? '', depth);
  else run.fault = 'attribute name syntax error';
}

/** Takes one of the operands; one without braces reaches to the end, whatever is in it. */
function choose(run: Run, text: string, from: number, operator: string, value: string, depth: number): void {
  const first = operand(run, text, from);
  if (run.fault !== undefined) return;
  if (operator === ':') {
    if (value === '') parse(run, first.text, depth + 1);
    if (first.end < text.length) run.fault ??= 'unexpected input';
    return;
  }
  if (value !== '') parse(run, first.text, depth + 1);
  if (first.end >= text.length) return;
  if (text[first.end] !== ':') run.fault ??= '":" expected';
  else choose(run, text, first.end + 1, ':', value, depth);
}

interface Operand {
  readonly text: string;
  /** Behind it and the blanks that follow. */
  readonly end: number;
}

function operand(run: Run, text: string, from: number): Operand {
  const start = skipBlanks(text, from);
  if (text[start] !== '{') return {text: text.slice(from), end: text.length};
  const close = closing(text, start);
  if (close < 0) run.fault ??= 'unbalanced {} in attribute expression';
  return {text: text.slice(start + 1, close), end: skipBlanks(text, close + 1)};
}

function comparison(run: Run, text: string, start: number, depth: number): {isTrue: boolean; end: number} {
  const left = operand(run, text, start);
  const operator = /^(==|!=|<=|>=|<|>)([A-Za-z0-9]*)/.exec(text.slice(left.end, left.end + 40));
  const at = skipBlanks(text, left.end + (operator?.[0].length ?? 0));
  if (operator === null || text[at] !== '{') {
    run.fault ??= 'operator expected';
    return {isTrue: false, end: text.length};
  }
  const right = operand(run, text, at);
  const [one, other] = [left.text, right.text].map(side => nested(run, side, depth));
  const order = orderOf(one ?? '', other ?? '', operator[2] === 'level');
  const holds: Readonly<Record<string, boolean>> = {
    '==': order === 0,
    '!=': order !== 0,
    '<': order < 0,
    '<=': order <= 0,
    '>': order > 0,
    '>=': order >= 0,
  };
  return {isTrue: holds[operator[1] ?? ''] ?? false, end: right.end};
}

function nested(run: Run, text: string, depth: number): string {
  const before = run.text;
  run.text = '';
  parse(run, text, depth + 1);
  const found = run.text;
  run.text = before;
  return found;
}

/** Below, above or 0: as numbers where both are, else as text; levels (`3.6`) part by part (compatibility_level(5)). */
function orderOf(one: string, other: string, areLevels: boolean): number {
  if (areLevels) {
    const [left, right] = [one, other].map(level => level.trim().split('.').map(Number));
    for (let at = 0; at < 3; at += 1) {
      const order = (left?.[at] ?? 0) - (right?.[at] ?? 0);
      if (order !== 0) return order;
    }
    return 0;
  }
  if (/^\d+$/.test(one) && /^\d+$/.test(other)) return Number(one) - Number(other);
  return one === other ? 0 : one < other ? -1 : 1;
}
