import {afterEach, describe, expect, test} from 'vitest';
import {type FrameOptions, type Rendered, renderSession, stillSession} from '../../support/render-frame.tsx';
import {SAMPLES, sampleState} from '../../support/sample-states.ts';

const SIZES = [
  [80, 24],
  [60, 20],
  [120, 40],
] as const;

let open: Rendered | undefined;
afterEach(() => {
  open?.app.unmount();
  open = undefined;
});

const draw = async (name: string, options: FrameOptions = {}): Promise<Rendered> => {
  open = await renderSession(stillSession(sampleState(name)), options);
  return open;
};

describe.each(SIZES)('at %i x %i', (columns, rows) => {
  test.each(Object.keys(SAMPLES))('%s', async name => {
    const view = await draw(name, {columns, rows});
    view.close();
    await expect(`${view.screen()}\n`).toMatchFileSnapshot(
      `../../../snapshots/views/tui/${name}.${columns}x${rows}.txt`,
    );
  });

  test.each(['host', 'domain', 'note', 'record', 'propagation', 'plan', 'applying'])(
    'help over %s',
    async name => {
      const view = await draw(name, {columns, rows});
      await view.press('?');
      view.close();
      await expect(`${view.frame()}\n`).toMatchFileSnapshot(
        `../../../snapshots/views/tui/${name}-help.${columns}x${rows}.txt`,
      );
    },
  );
});

test.each(['domain', 'key', 'propagation', 'propagation-blocked', 'plan', 'testing', 'summary'])(
  '%s in ASCII has nothing but ASCII',
  async name => {
    const view = await draw(name, {ascii: true});
    view.close();
    expect(view.frame()).toMatch(/^[\n -~]*$/);
    await expect(`${view.frame()}\n`).toMatchFileSnapshot(`../../../snapshots/views/tui/${name}.ascii.txt`);
  },
);

test.each(['host', 'domain', 'selector', 'propagation', 'propagation-caches', 'plan', 'summary'])(
  '%s for a screen reader',
  async name => {
    const view = await draw(name, {screenReader: true});
    await expect(`${view.frame()}\n`).toMatchFileSnapshot(
      `../../../snapshots/views/tui/${name}.screen-reader.txt`,
    );
  },
);

test.each([
  [20, 6],
  [40, 10],
  [30, 5],
  [10, 3],
  [1, 1],
  [200, 60],
])('H4: no frame is as high as the terminal, at %i x %i on every screen', async (columns, rows) => {
  for (const name of Object.keys(SAMPLES)) {
    const view = await draw(name, {columns, rows});
    const lines = view.frame().split('\n').length;
    expect(lines, `${name}\n${view.frame()}`).toBeLessThanOrEqual(Math.max(1, rows - 1));
    view.app.unmount();
  }
});

test.each(Object.keys(SAMPLES))(
  '%s says where one is, what the keys do and whether anything was changed',
  async name => {
    const view = await draw(name);
    const frame = view.frame();
    expect(frame).toMatch(/Step \d+ of \d+/);
    expect(frame).toMatch(/Enter|Ctrl-C|Please wait|a applies/);
    expect(frame).toMatch(/changed|Changes|put back/);
  },
);

test.each(['applying', 'testing', 'rolling-back', 'recovering', 'installing'])(
  'the help over %s says of Ctrl-C what the screen says',
  async name => {
    const view = await draw(name);
    const said = /(?:Ctrl-C|Please wait) .*/.exec(view.frame())?.[0];
    await view.press('?');
    expect(view.frame()).toContain('Esc closes this');
    expect(view.frame()).toContain(said);
    expect(view.frame()).not.toContain('Ctrl-C leaves\n');
  },
);

test.each(['host-recover', 'recovering', 'installing', 'applying'])(
  '%s does not say that nothing has been changed',
  async name => {
    const view = await draw(name);
    expect(view.frame()).not.toContain('Nothing has been changed');
  },
);

test('at 60 columns, too, it is said to the end what Ctrl-C does to a change', async () => {
  const view = await draw('applying', {columns: 60, rows: 20});
  expect(view.frame().replaceAll(/\s+/g, ' ')).toContain('Ctrl-C puts everything back.');
});

test('after the sandbox nothing sends anybody to the real host with its commands', async () => {
  const view = await draw('summary-sandbox', {rows: 60});
  expect(view.frame()).not.toContain('waxseal undo takes it back');
  expect(view.frame()).not.toContain('"waxseal undo" takes them back');
  expect(view.frame().replaceAll(/\s+/g, ' ')).toContain('nothing of this machine was touched');
});

test('a thousand records are filtered by f: those still waited for, the wrong ones with their repair, all', async () => {
  const view = await draw('propagation-thousand');
  expect(view.frame()).toContain('of 387 ');
  await view.press('f');
  expect(view.frame()).toContain('Shown: those that are wrong');
  expect(view.frame()).not.toContain('d0614.example.org');
  await view.press('f');
  expect(view.frame()).toContain('of 1000 ');
  await view.press('f');
  expect(view.frame()).toContain('of 387 ');
});
