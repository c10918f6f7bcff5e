import {render} from 'ink';
import {afterEach, describe, expect, test} from 'vitest';
import {parseDomain, parseSelector} from '../../../src/domain/names.ts';
import type {Result} from '../../../src/domain/result.ts';
import type {HubChoice, HubRow} from '../../../src/flow/hub.ts';
import {hubAnswer, hubLines} from '../../../src/views/plain/hub.ts';
import {Hub} from '../../../src/views/tui/hub/hub.tsx';
import {InputGate} from '../../../src/views/tui/input/input-gate.tsx';
import {KeyPump} from '../../../src/views/tui/input/key-pump.ts';
import {outputForInk} from '../../../src/views/tui/terminal.ts';
import {makeTheme, ThemeContext} from '../../../src/views/tui/theme.tsx';
import {FakeInput, FakeOutput} from '../../support/render-frame.tsx';

const take = <T,>(result: Result<T>): T => {
  if (!result.ok) throw new Error(result.problem.message);
  return result.value;
};

const row = (domain: string, selector: string, rest: Partial<HubRow>): HubRow => ({
  domain: take(parseDomain(domain)),
  name: domain,
  selector: take(parseSelector(selector)),
  key: 'RSA 2048',
  age: '12 d',
  state: 'active',
  next: 'Signs. The next key is due later.',
  when: 'Not before 2027-05-20 10:00 (UTC)',
  due: '2027-05-20',
  level: 'ok',
  isBegun: false,
  isByHand: false,
  ...rest,
});

const ROWS: readonly HubRow[] = [
  row('example.org', '202611', {isBegun: true, next: 'Signs, until 202705 takes over.', when: '', due: ''}),
  row('example.org', '202705', {
    state: 'pending',
    age: '0 d',
    isBegun: true,
    next: 'Publish the record 202705._domainkey.example.org: waxseal record --domain example.org --selector 202705',
    when: '',
    due: 'you',
    level: 'warn',
  }),
  row('a-rather-long-name-of-a-mail-domain.example.com', 's2023', {
    key: 'RSA 1024',
    age: '1051 d',
    next: 'Put the record back: s2023._domainkey.a-rather-long-name-of-a-mail-domain.example.com is gone, and mail is signed with it now. waxseal record --domain a-rather-long-name-of-a-mail-domain.example.com',
    when: '',
    due: 'you',
    level: 'alarm',
  }),
  row('example.net', '202604', {
    state: 'retiring',
    age: '190 d',
    next: 'Keep 202604._domainkey.example.net: messages that it signed may be under way for 7 d after the switch.',
    when: 'Not before 2026-11-28 10:00 (UTC)',
    due: '2026-11-28',
  }),
  ...Array.from({length: 12}, (_, index) => row(`domain-${index + 1}.example`, '202611', {key: 'Ed25519'})),
];

const KEYS: Readonly<Record<string, string>> = {down: '\x1b[B', up: '\x1b[A', end: '\x1b[F'};

let close: (() => void) | undefined;
afterEach(() => {
  close?.();
  close = undefined;
});

async function draw(
  columns: number,
  lines: number,
  options: {ascii?: boolean; rows?: readonly HubRow[]} = {},
) {
  const input = new FakeInput();
  const output = new FakeOutput(columns, lines);
  const pump = new KeyPump(input);
  const chosen: HubChoice[] = [];
  const app = render(
    <InputGate pump={pump}>
      <ThemeContext value={makeTheme({color: false, ascii: options.ascii ?? false})}>
        <Hub
          rows={options.rows ?? ROWS}
          initial={0}
          output={output}
          signal={new AbortController().signal}
          onChoose={choice => chosen.push(choice)}
        />
      </ThemeContext>
    </InputGate>,
    {
      stdin: pump as unknown as NodeJS.ReadStream,
      stdout: outputForInk(output as unknown as NodeJS.WriteStream),
      stderr: output as unknown as NodeJS.WriteStream,
      exitOnCtrlC: false,
      patchConsole: false,
      concurrent: false,
      maxFps: 1000,
    },
  );
  close = () => app.unmount();
  const settle = async (): Promise<void> => {
    await pump.settled();
    await new Promise(resolve => setTimeout(resolve, 5));
  };
  await settle();
  return {
    output,
    chosen,
    frame: () => output.frames.at(-1) ?? '',
    press: async (...keys: readonly string[]) => {
      for (const key of keys) {
        input.type(KEYS[key] ?? key);
        await settle();
      }
    },
  };
}

describe.each([
  [80, 24],
  [60, 20],
  [120, 40],
] as const)('the hub at %i x %i', (columns, lines) => {
  test.each([
    ['first', []],
    ['third', ['down', 'down']],
    ['last', ['end']],
  ] as const)('with the %s key marked', async (name, keys) => {
    const view = await draw(columns, lines);
    await view.press(...keys);
    expect(view.output.faults).toEqual([]);
    await expect(`${view.frame()}\n`).toMatchFileSnapshot(
      `../../../snapshots/views/tui/hub-${name}.${columns}x${lines}.txt`,
    );
  });
});

test('the hub in ASCII has nothing but ASCII', async () => {
  const view = await draw(80, 24, {ascii: true});
  expect(view.frame()).toMatch(/^[\n -~]*$/);
});

test('a letter chooses what is done for the marked key; going on only where something was begun', async () => {
  const view = await draw(80, 24);
  await view.press('down', 'down', 'u');
  expect(view.chosen).toEqual([]);
  await view.press('up', 'u');
  expect(view.chosen.map(({action, row: at}) => [action, at?.selector])).toEqual([['resume', '202705']]);
});

test('Escape and q leave', async () => {
  const view = await draw(80, 24);
  await view.press('q');
  expect(view.chosen.map(({action}) => action)).toEqual(['leave']);
});

test('the plain hub says the same, and takes a letter with a number', async () => {
  await expect(`${hubLines(ROWS.slice(0, 4)).join('\n')}\n`).toMatchFileSnapshot(
    '../../../snapshots/views/plain/hub.txt',
  );
  expect(hubAnswer('r 3', ROWS)).toMatchObject({action: 'rotate', row: {selector: 's2023'}});
  expect(hubAnswer(' S2 ', ROWS)).toMatchObject({action: 'record', row: {selector: '202705'}});
  expect(hubAnswer('q', [])).toEqual({action: 'leave', row: undefined});
  expect(hubAnswer('r 99', ROWS)).toBeUndefined();
  expect(hubAnswer('u 3', ROWS)).toBeUndefined();
  expect(hubAnswer('x', ROWS)).toBeUndefined();
});

test('a key made by hand is offered for adoption, and only that', () => {
  const hand = row('example.net', 's1', {isByHand: true, state: 'by hand', age: '', due: 'adopt'});
  const rows = [row('example.org', '202611', {}), hand];
  expect(hubAnswer('t 2', rows)).toEqual({action: 'adopt', row: hand});
  expect(hubAnswer('t 1', rows)).toBeUndefined();
  expect(hubAnswer('a 2', rows)).toBeUndefined();
  const lines = hubLines(rows).join('\n');
  expect(lines).toContain('2. example.net, selector s1, RSA 2048, by hand');
  expect(lines).toContain('t adopt');
  expect(hubLines(rows.slice(0, 1)).join('\n')).not.toContain('adopt');
});
