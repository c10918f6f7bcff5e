import {render} from 'ink';
import type {HubChoice, HubRow} from '../../../flow/hub.ts';
import {InputGate} from '../input/input-gate.tsx';
import {KeyPump} from '../input/key-pump.ts';
import {inkOptions, PASTE_MARKS_OFF, PASTE_MARKS_ON} from '../terminal.ts';
import {makeTheme, ThemeContext} from '../theme.tsx';
import {Hub} from './hub.tsx';

export interface HubOptions {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly color: boolean;
  readonly ascii: boolean;
  readonly initial: number;
  readonly signal: AbortSignal;
}

/** Shows the hub until something is chosen, and leaves the terminal as it was. */
export async function runHub(rows: readonly HubRow[], options: HubOptions): Promise<HubChoice> {
  let chosen: HubChoice = {action: 'leave', row: undefined};
  const pump = new KeyPump(options.stdin);
  options.stdout.write(PASTE_MARKS_ON);
  const app = render(
    <InputGate pump={pump}>
      <ThemeContext value={makeTheme(options)}>
        <Hub
          rows={rows}
          initial={options.initial}
          output={options.stdout}
          signal={options.signal}
          onChoose={choice => {
            chosen = choice;
          }}
        />
      </ThemeContext>
    </InputGate>,
    inkOptions(pump, options),
  );
  try {
    await app.waitUntilExit();
  } finally {
    options.stdout.write(PASTE_MARKS_OFF);
  }
  return chosen;
}
