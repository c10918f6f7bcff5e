/** All that concerns looks: colours by meaning, and the few symbols with their ASCII stand-ins. */
import type {TextProps} from 'ink';
import {createContext, useContext} from 'react';

// Each with its stand-in: the console font of Linux has 256 glyphs, a serial line often fewer.
const SYMBOLS = {
  pointer: ['❯', '>'],
  bullet: ['•', '*'],
  separator: ['·', '|'],
  ellipsis: ['…', '...'],
  dash: ['–', '-'],
  up: ['↑', 'Up'],
  down: ['↓', 'Down'],
  ok: ['✔', '+'],
  warn: ['▲', '!'],
  error: ['✖', 'x'],
  waiting: ['○', '.'],
  /** Stands at the end of an entry field. */
  cursor: ['▏', '_'],
  /** Before the rest of a line that is wider than the screen. */
  continued: ['↳', '\\'],
  /** Parts of a bar; both are among the 256 glyphs of a console font. */
  full: ['█', '#'],
  empty: ['░', '.'],
} as const;

export type Symbols = Readonly<Record<keyof typeof SYMBOLS, string>>;

const symbolsAt = (column: 0 | 1): Symbols =>
  Object.fromEntries(Object.entries(SYMBOLS).map(([name, pair]) => [name, pair[column]])) as Record<
    keyof typeof SYMBOLS,
    string
  >;

const UNICODE = symbolsAt(0);
const ASCII = symbolsAt(1);

type Style = Pick<TextProps, 'color' | 'bold' | 'dimColor' | 'inverse'>;

const STYLES = {
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
} satisfies Readonly<Record<string, Style>>;

/** What a piece of text means. Never the only sign of it: every state also has a word. */
export type Tone = keyof typeof STYLES;

export interface Theme {
  readonly color: boolean;
  readonly symbols: Symbols;
  style(tone: Tone): Style;
}

export const makeTheme = (options: {readonly color: boolean; readonly ascii: boolean}): Theme => ({
  color: options.color,
  symbols: options.ascii ? ASCII : UNICODE,
  style: tone => (options.color ? STYLES[tone] : {}),
});

export const ThemeContext = createContext<Theme>(makeTheme({color: false, ascii: false}));

export const useTheme = (): Theme => useContext(ThemeContext);
