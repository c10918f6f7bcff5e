/**
 * Reads and edits master.cf (master(5)) as text: `postconf -P` would re-indent options and move comments
 * (daemons/postfix.md#editing).
 */
import {type MilterList, mergeMilter, type Ours, type PostfixView} from './milters.ts';
import {mask} from './parse.ts';

export interface MasterOption {
  readonly name: string;
  readonly value: string;
  /** Offsets of the value in the text. */
  readonly start: number;
  readonly end: number;
  /** Written as `{ name = value }`: only then may the value have blanks. */
  readonly braced: boolean;
}

export interface MasterService {
  /** `127.0.0.1:10025/inet`, as postconf -P names it. */
  readonly name: string;
  readonly command: string;
  /** The eight columns, from the name to the command; fewer where the line ends before. */
  readonly columns: readonly string[];
  /** Words behind the command, options among them. */
  readonly words: readonly string[];
  readonly options: readonly MasterOption[];
  /** Offset of its name. */
  readonly start: number;
  /** Offset behind the last octet that belongs to it (no line feed). */
  readonly end: number;
  /** White space before its last continuation line; '' where it has none. */
  readonly indent: string;
}

/** The services in order. Comments and blank lines end nothing; a line that begins with white space goes on. */
export function parseMasterCf(text: string): readonly MasterService[] {
  const pieces: [number, number][][] = [];
  let offset = 0;
  for (const physical of text.split('\n')) {
    const line = physical.replace(/\r$/, '');
    const piece: [number, number] = [offset, offset + line.length];
    offset += physical.length + 1;
    if (/^\s*(#|$)/.test(line)) continue;
    if (/^\s/.test(line)) pieces.at(-1)?.push(piece);
    else pieces.push([piece]);
  }
  return pieces.map(of => service(text, of));
}

function service(text: string, pieces: readonly (readonly [number, number])[]): MasterService {
  const start = pieces[0]?.[0] ?? 0;
  const last = pieces.at(-1) ?? [start, start];
  const found = blankCut(mask(text, start, last[1], pieces));
  const options: MasterOption[] = [];
  for (const [at, word] of found.entries()) {
    if (at < 8 || !word.text.startsWith('-o')) continue;
    const argument = word.text === '-o' ? found[at + 1] : {text: word.text.slice(2), start: word.start + 2};
    const option = argument === undefined ? undefined : parseOption(argument.text, start + argument.start);
    if (option !== undefined) options.push(option);
  }
  return {
    name: `${found[0]?.text ?? ''}/${found[1]?.text ?? ''}`,
    command: found[7]?.text ?? '',
    columns: found.slice(0, 8).map(word => word.text),
    words: found.slice(8).map(word => word.text),
    options,
    start,
    end: last[1],
    indent: pieces.length < 2 ? '' : (/^\s*/.exec(text.slice(last[0], last[1]))?.[0] ?? ''),
  };
}

function parseOption(text: string, start: number): MasterOption | undefined {
  const match = /^(\{\s*)?([A-Za-z0-9_]+)(\s*=\s*)/.exec(text);
  if (match === null) return undefined;
  const [head, brace, name = ''] = match;
  const value = (
    brace === undefined ? text.slice(head.length) : text.slice(head.length).replace(/\}$/, '')
  ).trimEnd();
  const at = start + head.length;
  return {name, value, start: at, end: at + value.length, braced: brace !== undefined};
}

/** Words at white space, not within braces. */
function blankCut(line: string): readonly {readonly text: string; readonly start: number}[] {
  const found: {text: string; start: number}[] = [];
  let start = -1;
  let depth = 0;
  for (let at = 0; at <= line.length; at += 1) {
    const character = line[at];
    const separates = character === undefined || (depth === 0 && /\s/.test(character));
    if (!separates && start < 0) start = at;
    if (separates && start >= 0) {
      found.push({text: line.slice(start, at), start});
      start = -1;
    }
    if (character === '{') depth += 1;
    if (character === '}') depth = Math.max(0, depth - 1);
  }
  return found;
}

const optionOf = (one: MasterService, name: string): MasterOption | undefined =>
  one.options.findLast(option => option.name === name);

/** True where mail through the service passes no milter whatever main.cf says. */
const isSilenced = (one: MasterService): boolean =>
  optionOf(one, 'smtpd_milters')?.value === '' ||
  (optionOf(one, 'receive_override_options')?.value ?? '').includes('no_milters');

/** Where a content filter gives mail back (FILTER_README): a port of this host only, that filters no more. */
const isWayBack = (one: MasterService): boolean =>
  one.command === 'smtpd' &&
  /^(127\.0\.0\.1|localhost|\[::1\]):\d+\/inet$/.test(one.name) &&
  optionOf(one, 'content_filter')?.value === '';

export interface MasterView extends PostfixView {
  /** Settings of main.cf as they will be. */
  readonly settings: ReadonlyMap<string, string>;
}

/**
 * The master.cf in which no service of its own milters goes around OpenDKIM, and none signs what was signed on its way
 * in. A list that names milters gets ours; an empty one is a choice and stays.
 */
export function editMasterCf(text: string, ours: Ours, view: MasterView): string {
  const services = parseMasterCf(text);
  const filtered =
    (view.settings.get('content_filter') ?? '') !== '' ||
    services.some(one => (optionOf(one, 'content_filter')?.value ?? '') !== '');
  // Where mail is silenced on its way in, it is signed on its way back, after the filter: that is right, and stays.
  const signedComingIn = !services.some(one => one.command === 'smtpd' && !isWayBack(one) && isSilenced(one));
  let next = text;
  for (const one of services.toReversed()) {
    if (one.command !== 'smtpd' && one.command !== 'cleanup') continue;
    const silence = filtered && signedComingIn && isWayBack(one) && needsSilence(one);
    if (silence) next = silenced(next, one, view.settings.get('receive_override_options') ?? '');
    else if (!isSilenced(one)) next = merged(next, one, ours, view);
  }
  return next;
}

const needsSilence = (one: MasterService): boolean =>
  !isSilenced(one) && optionOf(one, 'smtpd_milters') === undefined;

/** Adds no_milters to what the service overrides already; an override replaces what main.cf says. */
function silenced(text: string, one: MasterService, general: string): string {
  const option = optionOf(one, 'receive_override_options');
  if (option !== undefined) {
    const comma = option.value === '' ? '' : ',';
    return `${text.slice(0, option.end)}${comma}no_milters${text.slice(option.end)}`;
  }
  const inherited = general.split(/[\s,]+/).filter(word => word !== '');
  const value = [...inherited, 'no_milters'].join(',');
  const end = /\r$/.test(text.slice(0, one.end + 1)) ? '\r\n' : '\n';
  const indent = one.indent === '' ? '  ' : one.indent;
  return `${text.slice(0, one.end)}${end}${indent}-o receive_override_options=${value}${text.slice(one.end)}`;
}

function merged(text: string, one: MasterService, ours: Ours, view: MasterView): string {
  const name = one.command === 'smtpd' ? 'smtpd_milters' : 'non_smtpd_milters';
  const option = optionOf(one, name);
  if (option === undefined || option.value === '') return text;
  const list: MilterList = {
    name,
    value: option.value,
    valueStart: option.start,
    end: option.end,
    // Comments between continuation lines stay outside of braces, and values without braces have one line.
    masked: option.value.replace(/[\r\n]/g, ' '),
  };
  const edit = mergeMilter(list, view.settings, ours, view);
  if (edit.kind === 'none' || (edit.start === edit.end && isWayBack(one))) return text;
  const added = option.braced ? edit.text : edit.text.replaceAll(' ', '');
  return text.slice(0, edit.start) + added + text.slice(edit.end);
}
