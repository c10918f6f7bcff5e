/** The hub line by line: for screen readers, serial lines and logs. */
import {createInterface} from 'node:readline/promises';
import {HUB_KEYS, type HubChoice, type HubRow, isOffered} from '../../flow/hub.ts';

/** Everything that is known, numbered, in lines. */
export const hubLines = (rows: readonly HubRow[]): readonly string[] => [
  'DKIM on this host',
  ...rows.flatMap((row, index) => [
    `${index + 1}. ${[row.name, `selector ${row.selector}`, row.key, row.age === '' ? '' : `${row.age} old`, row.state].filter(text => text !== '').join(', ')}`,
    `   ${row.level === 'alarm' ? 'ALARM: ' : row.level === 'warn' ? 'Warning: ' : ''}${row.next}`,
    ...(row.when === '' ? [] : [`   ${row.when}`]),
  ]),
  `Do: ${HUB_KEYS.filter(([, , action]) => action !== 'adopt' || rows.some(row => row.isByHand))
    .map(([letter, what]) => `${letter} ${what}`)
    .join(', ')}; with the number of a key, as in: r 1`,
];

/** What a line means; undefined where it means nothing. Without a number the first key is meant. */
export function hubAnswer(text: string, rows: readonly HubRow[]): HubChoice | undefined {
  const match = /^([a-z])(?:\s*(\d{1,5}))?$/.exec(text.trim().toLowerCase());
  const known = HUB_KEYS.find(([letter]) => letter === match?.[1]);
  const row = rows[Number(match?.[2] ?? 1) - 1];
  if (known === undefined || (match?.[2] !== undefined && row === undefined)) return undefined;
  if (!isOffered(known[2], row)) return undefined;
  return {action: known[2], row};
}

/** Shows the hub and asks until the answer means something; the end of the input means to leave. */
export async function runPlainHub(
  rows: readonly HubRow[],
  streams: {readonly stdin: NodeJS.ReadableStream; readonly stdout: NodeJS.WritableStream},
): Promise<HubChoice> {
  streams.stdout.write(`${hubLines(rows).join('\n')}\n`);
  const reader = createInterface({input: streams.stdin, output: streams.stdout});
  const ended = new Promise<undefined>(resolve => {
    reader.once('close', () => resolve(undefined));
  });
  try {
    for (;;) {
      const text = await Promise.race([reader.question('> '), ended]);
      if (text === undefined) return {action: 'leave', row: undefined};
      const choice = hubAnswer(text, rows);
      if (choice !== undefined) return choice;
      streams.stdout.write('Write one of the letters, and the number of a key.\n');
    }
  } finally {
    reader.close();
  }
}
