/**
 * A piece of configuration in UCL, as rspamd's administrators write it: what stands where, so that a fact can be named by
 * its line and an edit changes its own characters only. It finds no variables and follows no includes: what is in force
 * tells `rspamadm configdump`.
 */
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';

export type UclValue =
  | {readonly kind: 'text'; readonly text: string; readonly isQuoted: boolean; readonly span: Span}
  | {readonly kind: 'object'; readonly entries: readonly UclEntry[]; readonly span: Span}
  | {readonly kind: 'list'; readonly items: readonly UclValue[]; readonly span: Span};

/** Offsets of characters; `to` is the first after it. Of an object and a list the brackets are part of it. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface UclEntry {
  /** A macro keeps its dot: `.include`. */
  readonly key: string;
  /** Counts from 1. */
  readonly line: number;
  /** From the first character of the key; the separator after the value is part of it, where there is one. */
  readonly span: Span;
  readonly value: UclValue;
}

/** The entries of a file. A problem (`rspamd.syntax`) names the line. */
export function parseUcl(text: string): Result<readonly UclEntry[]> {
  try {
    const parser = new Parser(text);
    const entries = parser.entries(undefined);
    return ok(entries);
  } catch (error) {
    if (!(error instanceof SyntaxProblem)) throw error;
    return fail(error.problem);
  }
}

class SyntaxProblem extends Error {
  readonly problem: Problem;
  constructor(line: number, what: string) {
    super(what);
    this.problem = problem(
      'rspamd.syntax',
      `Line ${line}: ${what}.`,
      'Put it right, then: sudo rspamadm configtest',
    );
  }
}

const MOST_DEPTH = 32;
const ESCAPES: Readonly<Record<string, string>> = {n: '\n', r: '\r', t: '\t', b: '\b', f: '\f'};

class Parser {
  readonly #text: string;
  #at = 0;
  #line = 1;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
    if (text.startsWith('\ufeff')) this.#at = 1;
  }

  /** @param close undefined for those of the file itself */
  entries(close: '}' | undefined): readonly UclEntry[] {
    const found: UclEntry[] = [];
    for (;;) {
      this.#blank(';,');
      if (this.#at >= this.#text.length) {
        if (close !== undefined) throw this.#wrong('a brace is not closed');
        return found;
      }
      if (this.#here() === '}') {
        if (close === undefined) throw this.#wrong('a brace is closed that was not opened');
        return found;
      }
      found.push(this.#entry());
    }
  }

  #entry(): UclEntry {
    const [from, line] = [this.#at, this.#line];
    const key = this.#key();
    if (key.startsWith('.')) return this.#macro(key, from, line);
    this.#blank('=:', 1);
    const value = this.#value();
    return {key, line, value, span: {from, to: this.#terminated(value)}};
  }

  /** Where the value ends with what separates it from the next. */
  #terminated(value: UclValue): number {
    const end = this.#at;
    this.#spaces();
    const next = this.#here();
    if (next === ';' || next === ',') {
      this.#at += 1;
      return this.#at;
    }
    const isEnd = next === '' || '\r\n#}]'.includes(next) || this.#text.startsWith('/*', this.#at);
    if (value.kind === 'text' && !isEnd) throw this.#wrong('a semicolon is missing');
    return end;
  }

  #macro(key: string, from: number, line: number): UclEntry {
    this.#spaces();
    if (this.#here() === '(') {
      const close = this.#text.indexOf(')', this.#at);
      if (close < 0) throw this.#wrong('a bracket is not closed');
      this.#skipTo(close + 1);
    }
    this.#spaces();
    const value = this.#value();
    return {key, line, value, span: {from, to: this.#terminated(value)}};
  }

  #key(): string {
    if (this.#here() === '"') return this.#quoted();
    const [word] = /^[\w./$-][^\s=:{}[\]"';,#()]*/.exec(this.#text.slice(this.#at, this.#at + 1024)) ?? [];
    if (word === undefined) throw this.#wrong('a name was expected');
    this.#at += word.length;
    return word;
  }

  #value(): UclValue {
    const from = this.#at;
    const first = this.#here();
    if (first === '{') return this.#object(from);
    if (first === '[') return this.#list(from);
    if (first === '"' || first === "'") {
      const text = first === '"' ? this.#quoted() : this.#single();
      const next = this.#peekPastSpaces();
      // `section "name" { … }`
      if (next === '{') return this.#named(text, from);
      return {kind: 'text', text, isQuoted: true, span: {from, to: this.#at}};
    }
    const heredoc = /^<<([A-Z]+)\r?\n/.exec(this.#text.slice(from, from + 64));
    if (heredoc !== null) return this.#heredoc(heredoc, from);
    const name = /^[\w./-]+(?=[ \t]*\{)/.exec(this.#text.slice(from, from + 1024))?.[0];
    if (name !== undefined) {
      this.#at += name.length;
      return this.#named(name, from);
    }
    return this.#bare(from);
  }

  #named(name: string, from: number): UclValue {
    const line = this.#line;
    this.#spaces();
    const value = this.#object(this.#at);
    const span = {from, to: this.#at};
    return {kind: 'object', entries: [{key: name, line, value, span}], span};
  }

  #object(from: number): UclValue {
    this.#enter();
    const entries = this.entries('}');
    this.#leave();
    return {kind: 'object', entries, span: {from, to: this.#at}};
  }

  #list(from: number): UclValue {
    this.#enter();
    const items: UclValue[] = [];
    for (;;) {
      this.#blank(';,');
      if (this.#at >= this.#text.length) throw this.#wrong('a bracket is not closed');
      if (this.#here() === ']') break;
      items.push(this.#value());
    }
    this.#leave();
    return {kind: 'list', items, span: {from, to: this.#at}};
  }

  #enter(): void {
    this.#depth += 1;
    if (this.#depth > MOST_DEPTH) throw this.#wrong('brackets are nested too deeply');
    this.#at += 1;
  }

  #leave(): void {
    this.#depth -= 1;
    this.#at += 1;
  }

  /** Up to what ends it; brackets within are part of it where they close. */
  #bare(from: number): UclValue {
    let depth = 0;
    for (; this.#at < this.#text.length; this.#at += 1) {
      const at = this.#here();
      if ('\r\n;,'.includes(at) || at === '#' || this.#text.startsWith('/*', this.#at)) break;
      if (at === '{' || at === '[') depth += 1;
      if (at === '}' || at === ']') {
        if (depth === 0) break;
        depth -= 1;
      }
    }
    const raw = this.#text.slice(from, this.#at).trimEnd();
    this.#at = from + raw.length;
    if (raw === '') throw this.#wrong('a value is missing');
    return {kind: 'text', text: raw, isQuoted: false, span: {from, to: this.#at}};
  }

  #quoted(): string {
    let text = '';
    for (this.#at += 1; this.#at < this.#text.length; this.#at += 1) {
      const at = this.#here();
      if (at === '"') {
        this.#at += 1;
        return text;
      }
      if (at === '\n') this.#line += 1;
      if (at !== '\\') {
        text += at;
        continue;
      }
      this.#at += 1;
      const code = /^u[0-9A-Fa-f]{4}/.exec(this.#text.slice(this.#at, this.#at + 5))?.[0];
      if (code === undefined) text += ESCAPES[this.#here()] ?? this.#here();
      else {
        text += String.fromCharCode(Number.parseInt(code.slice(1), 16));
        this.#at += 4;
      }
    }
    throw this.#wrong('a quotation mark is not closed');
  }

  #single(): string {
    const from = this.#at + 1;
    let to = from;
    while (to < this.#text.length && this.#text[to] !== "'") to += this.#text[to] === '\\' ? 2 : 1;
    if (to >= this.#text.length) throw this.#wrong('a quotation mark is not closed');
    this.#skipTo(to + 1);
    return this.#text.slice(from, to).replaceAll("\\'", "'");
  }

  #heredoc([head, word = '']: RegExpExecArray, from: number): UclValue {
    const start = from + head.length;
    const end = this.#text.indexOf(`\n${word}`, start - 1);
    if (end < 0) throw this.#wrong(`${word} is missing`);
    this.#skipTo(end + 1 + word.length);
    return {
      kind: 'text',
      text: this.#text.slice(start, end),
      isQuoted: true,
      span: {from, to: this.#at},
    };
  }

  /** Blanks, line ends, comments, and as many of `separators` as there are, or `most`. */
  #blank(separators: string, most = Number.POSITIVE_INFINITY): void {
    let left = most;
    for (;;) {
      const at = this.#here();
      if (at === '') return;
      if (at === '\n' || /\s/.test(at)) this.#skipTo(this.#at + 1);
      else if (at === '#') this.#skipTo(endOr(this.#text, this.#text.indexOf('\n', this.#at)));
      else if (this.#text.startsWith('/*', this.#at)) this.#comment();
      else if (separators.includes(at) && left > 0) {
        left -= 1;
        this.#at += 1;
      } else return;
    }
  }

  /** Comments of this form nest. */
  #comment(): void {
    let depth = 0;
    do {
      const rest = this.#text.slice(this.#at, this.#at + 2);
      if (rest === '') throw this.#wrong('a comment is not closed');
      if (rest === '/*') depth += 1;
      if (rest === '*/') depth -= 1;
      this.#skipTo(this.#at + (rest === '/*' || rest === '*/' ? 2 : 1));
    } while (depth > 0);
  }

  #spaces(): void {
    while (this.#here() === ' ' || this.#here() === '\t') this.#at += 1;
  }

  #peekPastSpaces(): string {
    let at = this.#at;
    while (this.#text[at] === ' ' || this.#text[at] === '\t') at += 1;
    return this.#text[at] ?? '';
  }

  #skipTo(to: number): void {
    for (; this.#at < to; this.#at += 1) if (this.#text[this.#at] === '\n') this.#line += 1;
  }

  #here(): string {
    return this.#text[this.#at] ?? '';
  }

  #wrong(what: string): SyntaxProblem {
    return new SyntaxProblem(this.#line, what);
  }
}

const endOr = (text: string, at: number): number => (at < 0 ? text.length : at);
