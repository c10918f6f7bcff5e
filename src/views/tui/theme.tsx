/** All that concerns looks: colours by meaning, and the few symbols with their ASCII stand-ins. */
import type {TextProps} from 'ink';
import {createContext, useContext} from 'react';

/** What a piece of text means. Never the only sign of it: every state also has a word. */
export type Tone =
  | 'plain'
  | 'strong'
  | 'muted'
  | 'accent'
  | 'ok'
  | 'warn'
  | 'error'
  | 'added'
  | 'removed'
  | 'hunk'
  | 'cursor';

export interface Symbols {
  readonly pointer: string;
  readonly bullet: string;
  readonly separator: string;
  readonly ellipsis: string;
  readonly dash: string;
  readonly up: string;
  readonly down: string;
  readonly ok: string;
  readonly warn: string;
  readonly error: string;
  readonly waiting: string;
  /** Stands at the end of an entry field. */
  readonly cursor: string;
  /** Before the rest of a line that is wider than the screen. */
  readonly continued: string;
  /** Parts of a bar; both are among the 256 glyphs of a console font. */
  readonly full: string;
  readonly empty: string;
}

export interface Theme {
  readonly color: boolean;
  readonly symbols: Symbols;
  style(tone: Tone): Pick<TextProps, 'color' | 'bold' | 'dimColor' | 'inverse'>;
}

const UNICODE: Symbols = {
  pointer: '❯',
  bullet: '•',
  separator: '·',
  ellipsis: '…',
  dash: '–',
  up: '↑',
  down: '↓',
  ok: '✔',
  warn: '▲',
  error: '✖',
  waiting: '○',
  cursor: '▏',
  continued: '↳',
  full: '█',
  empty: '░',
};

// The console font of Linux has 256 glyphs, a serial line often fewer.
const ASCII: Symbols = {
  pointer: '>',
  bullet: '*',
  separator: '|',
  ellipsis: '...',
  dash: '-',
  up: 'Up',
  down: 'Down',
  ok: '+',
  warn: '!',
  error: 'x',
  waiting: '.',
  cursor: '_',
  continued: '\\',
  full: '#',
  empty: '.',
};

const STYLES: Readonly<Record<Tone, ReturnType<Theme['style']>>> = {
  plain: {},
  strong: {bold: true},
  muted: {dimColor: true},
  accent: {color: 'cyan'},
  ok: {color: 'green'},
  warn: {color: 'yellow'},
  error: {color: 'red'},
  added: {color: 'green'},
  removed: {color: 'red'},
  hunk: {color: 'cyan'},
  cursor: {inverse: true},
};

export const makeTheme = (options: {readonly color: boolean; readonly ascii: boolean}): Theme => ({
  color: options.color,
  symbols: options.ascii ? ASCII : UNICODE,
  style: tone => (options.color ? STYLES[tone] : {}),
});

export const ThemeContext = createContext<Theme>(makeTheme({color: false, ascii: false}));

export const useTheme = (): Theme => useContext(ThemeContext);
