import {useInput} from 'ink';
import {createContext, useContext} from 'react';
import type {Event, State} from '../../../flow/state.ts';
import {type Key, keyOf} from '../input/keys.ts';
import type {TerminalSize} from '../terminal.ts';

/** What every screen may use besides the state it draws. */
export interface Ui {
  readonly size: TerminalSize;
  readonly state: State;
  /** False while something lies over the screen: it then keeps what it holds and ignores keys. */
  readonly active: boolean;
  send(event: Event): void;
  /** Writes a text above the live frame as it is; it stays in the scrollback. */
  print(text: string): void;
  /** Asks the terminal to put a text on the clipboard; false where it is too long. */
  copy(text: string): boolean;
  /** Forgets keys typed ahead, on screens where one could decide something. */
  drain(): void;
  openHelp(): void;
  /** Milliseconds since the epoch. */
  now(): number;
}

export const UiContext = createContext<Ui | undefined>(undefined);

/** What every screen gets of the app. */
export function useUi(): Ui {
  const ui = useContext(UiContext);
  if (ui === undefined) throw new TypeError('a screen outside the app');
  return ui;
}

/** Hears every key while the screen is active. The subscription stays on all the time: raw mode must never drop. */
export function useKeys(handle: (key: Key) => void): void {
  const {active} = useUi();
  useInput((input, inkKey) => {
    const key = active ? keyOf(input, inkKey) : undefined;
    if (key !== undefined) handle(key);
  });
}
