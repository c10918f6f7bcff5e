/**
 * What a person is told to do must not harm. Held as rules over every text in the source, because most of them are only
 * reached on hosts that no test has.
 */
import {readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';
import {parseAst} from 'vitest/node';

const source = path.join(import.meta.dirname, '../../src');

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'type' in value && 'start' in value;

interface Text {
  readonly where: string;
  /** Its words; what is filled in is `{expression}`, and `{command}` what `command()` has made. */
  readonly text: string;
}

/** The words of a literal; undefined for every other node. */
function wordsOf(node: Node, code: string): string | undefined {
  if (node.type === 'Literal') return typeof node['value'] === 'string' ? node['value'] : undefined;
  if (node.type !== 'TemplateLiteral') return undefined;
  const quasis = node['quasis'] as readonly (Node & {value: {cooked: string}})[];
  const inner = node['expressions'] as readonly Node[];
  return quasis
    .map(({value: {cooked}}, at) => {
      const next = inner[at];
      if (next === undefined) return cooked;
      const expression = code.slice(next.start, next.end);
      return `${cooked}{${/^(command|repairOf|commandLine)\(/.test(expression) ? 'command' : expression}}`;
    })
    .join('');
}

/** A line of the table of flags: what stands for its value is what it explains. */
const isFlag = (node: Node): boolean =>
  node.type === 'CallExpression' && (node['callee'] as {readonly name?: string}).name === 'flag';

/** Every text of a file; those of `command()` and of argument vectors have no spaces, and are none of a person. */
function textsOf(name: string, code: string): readonly Text[] {
  const found: Text[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const each of value) visit(each);
    if (!isNode(value) || isFlag(value)) return;
    const text = wordsOf(value, code);
    if (text?.includes(' ') === true) {
      found.push({where: `${name}:${code.slice(0, value.start).split('\n').length}`, text});
    }
    for (const field of Object.values(value)) visit(field);
  };
  visit(parseAst(code, {lang: name.endsWith('x') ? 'tsx' : 'ts'}).body);
  return found;
}

/** The table of flags and the examples name values as placeholders: there they are what is explained. */
const EXPLAINS = /^(?:cli\/(?:flags|help|version)\.ts|demo\/)/;

const texts: readonly Text[] = readdirSync(source, {recursive: true, encoding: 'utf8'})
  .map(name => name.split(path.sep).join('/'))
  .filter(name => /\.tsx?$/.test(name) && !EXPLAINS.test(name))
  .sort()
  .flatMap(name => textsOf(name, readFileSync(path.join(source, name), 'utf8')));

const PROGRAMS = [
  ...[
    'chown',
    'chmod',
    'rm',
    'rmdir',
    'mv',
    'cp',
    'ln',
    'install(?= -)',
    'ls',
    'find',
    'namei',
    'iconv',
    'kill',
    'ps',
    'ss',
  ],
  ...[
    'setfacl',
    'getfacl',
    'systemctl',
    'journalctl',
    'service',
    'postconf',
    'postqueue',
    'postsuper',
    'openssl',
  ],
  ...[
    'dig',
    'delv',
    'waxseal(?= (?:[a-z]+ )*--| (?:setup|rotate|adopt|remove|undo|import|record|check|status|export|sign|verify|explain|test)\\b)',
    'npm',
    'apt',
    'apt-get',
    'dpkg',
    'dnf',
    'yum',
    'pacman',
    'zypper',
    'apk',
  ],
].join('|');

/** From a program at the begin of a text or behind a colon or semicolon to the end of the sentence. */
const COMMAND = new RegExp(`(?:^|[:;(&]\\s+|[:;(])((?:${PROGRAMS}) [^;]*?)(?=\\.(?:\\s|$)|;|$)`, 'g');

const commandsIn = (text: string): readonly string[] =>
  [...text.matchAll(COMMAND)].map(match => match[1] ?? '');

/** Words in capitals that a command really has: kinds of records, signals, and what a program calls its own. */
const REAL = /^(?:TXT|CNAME|SOA|NS|MX|AAAA|CONT|TERM|HUP|PATH=)$/;
const CAPITALS = /(?<![\w.{$])[A-Z][A-Z_-]+(?![\w}])/g;
const PLACEHOLDER = /…|<[a-zA-Z ]+>/;
/** A flag with a word in capitals for its value, wherever in a text, and such a word as a part of a value. */
const FLAG_TO_FILL = /--[a-z][a-z-]+[ =](?:[a-z]+[:=])?[A-Z]{2,}\b|\b[a-z]+[:=@][A-Z]{2,}\b|\/[A-Z]{2,}\b/;

/** Parsed values: names of hosts, selectors, runs and numbers have no character that a shell reads anything into. */
const PARSED =
  /^(?:[\w#]+\.)*(?:domain|selector|apex|run|pid|port|address|name|token|logTag|unit|stage|command|target)$/;

const isToFill = (line: string): boolean =>
  PLACEHOLDER.test(line) || [...line.matchAll(CAPITALS)].some(([word]) => !REAL.test(word));
const hasPlaceholder = (text: string): boolean => commandsIn(text).some(isToFill) || FLAG_TO_FILL.test(text);
const hasUnquoted = (text: string): boolean =>
  commandsIn(text).some(line =>
    [...line.matchAll(/\{([^}]*)\}/g)].some(([, code = '']) => code !== 'command' && !PARSED.test(code)),
  ) || /\{[\w.]*argv\.join\(/.test(text);
const namesManager = (text: string): boolean =>
  commandsIn(text).some(line => /^(?:apt|apt-get|dpkg|dnf|yum|pacman|zypper|apk) /.test(line));
const destroys = (text: string): boolean =>
  /\brm -\w*r|\bpurge\b|\bpkill\b|\bkillall\b|\bkill -9\b|\b(?:o\+w|a\+w|u\+s)\b|(?:\bchmod|-m) 0?[0-7]?[0-7]{2}[2367]\b/.test(
    text,
  );

const breaking = (rule: (text: string) => boolean): readonly string[] =>
  texts.filter(({text}) => rule(text)).map(({where, text}) => `${where} ${text}`);

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: source texts, as the rules read them
describe('what a person is told to do', () => {
  it('is read from the source, and each rule finds what it is for', () => {
    expect(texts.length).toBeGreaterThan(1500);
    const of = (code: string): string => textsOf('x.ts', code)[0]?.text ?? '';
    expect(hasPlaceholder(of("'Begin again: waxseal rotate --selector NAME'"))).toBe(true);
    expect(hasPlaceholder(of("'Move it away: mv x …'"))).toBe(true);
    expect(
      hasPlaceholder(of("'Give one of them a selector: waxseal rotate --domain A --selector THING'")),
    ).toBe(true);
    expect(hasPlaceholder(of("'Give --domain NAME, or --all.'"))).toBe(true);
    expect(hasPlaceholder(of("'Choose another with --socket inet:PORT.'"))).toBe(true);
    expect(hasPlaceholder(of("'Ask for it: dig TXT example.com'"))).toBe(false);
    expect(hasUnquoted(of('`Take it away: chmod go-w ${visible(path)}`'))).toBe(true);
    expect(hasUnquoted(of('`See: ${argv.join(" ")}`'))).toBe(true);
    expect(hasUnquoted(of("`Take it away: ${command('chmod', 'go-w', path)} && x`"))).toBe(false);
    expect(hasUnquoted(of('`Go on: waxseal rotate --domain ${key.domain}`'))).toBe(false);
    expect(namesManager(of("'Install it: apt-get install postfix.'"))).toBe(true);
    expect(destroys(of("'Remove it: rm -r x'"))).toBe(true);
    expect(destroys(of("'Put it back: install -m 4666 x y'"))).toBe(true);
  });

  it('has no command with a word to be filled in', () => {
    expect(breaking(hasPlaceholder)).toEqual([]);
  });

  it('has no command with a value in it that was not quoted for a shell', () => {
    expect(breaking(hasUnquoted)).toEqual([]);
  });

  it('names a package manager only by the layout of the host', () => {
    expect(breaking(namesManager)).toEqual([]);
  });

  it('removes no tree, ends no process and opens nothing to everyone', () => {
    expect(breaking(destroys)).toEqual([]);
  });
});
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: see above
