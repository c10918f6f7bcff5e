import {afterEach, describe, expect, test} from 'vitest';
import {at, start} from '../../support/drive.ts';
import {type Rendered, renderSession} from '../../support/render-frame.tsx';

let view: Rendered | undefined;
afterEach(() => {
  view?.close();
  view = undefined;
});

/** The clock of the imaginary host stands still but for its sleeps; that of the view, too. */
const now = (): number => Date.parse('2026-11-21T10:00:10Z');

test('one whole session, key by key', async () => {
  const {session, operations} = start();
  const watching = operations.hold('watch');
  const applying = operations.hold('apply');
  view = await renderSession(session, {now});
  const {press, waitFor, frame, output} = view;
  const log: string[] = [];
  const shown = (): void => {
    const printed = output.printed.splice(0);
    log.push([...printed, frame()].join(''));
  };
  const step = async (expected: string, ...keys: readonly string[]): Promise<void> => {
    for (const key of keys) log.push(`>>> ${key}`);
    await press(...keys);
    await waitFor(expected);
    shown();
  };

  await step('What was found on this host');
  await step('Which domain shall be signed?', 'enter');
  await step('❯ example.net', 'down');
  await step('What shall the key be called?', 'enter');
  await step('It lets you have a new key beside the old one', '?');
  await step('❯ 202611▏', 'escape');
  await step('Which kind of key?', 'enter');
  await step('What shall the key be called?', 'escape');
  await step('Which kind of key?', 'enter');
  await step('Use the recommended settings?', 'enter');
  await step('Publish this record', 'enter');
  // The time stands there as soon as the watch has begun.
  await step('Waiting for 10 s', 'enter');
  watching.open();
  await step('What will be changed');
  await step('Type yes and press Enter.', 'a');
  await step('Making the changes', 'yes', 'enter');
  applying.open();
  await step('Done');
  const ended = view.app.waitUntilExit();
  await press('enter');
  await ended;
  expect(await session.done()).toMatchObject({exitCode: 0, changed: true});
  await expect(`${log.join('\n\n')}\n`).toMatchFileSnapshot('../../../snapshots/views/tui/session.txt');
});

describe('typing ahead', () => {
  test('H13: Enter after Enter gets as far as the record, and does not say that it is published', async () => {
    const {session} = start();
    view = await renderSession(session, {now});
    await view.waitFor('What was found');
    await view.type('\r\r\r\r\r\r\r\r\r\r\r\r');
    await at(session, 'record');
    await new Promise(resolve => setTimeout(resolve, 100));
    expect(session.state().phase.at).toBe('record');
  });

  test('H13: keys typed while the DNS is awaited do not answer the plan', async () => {
    const {session, operations} = start();
    const planning = operations.hold('plan');
    view = await renderSession(session, {now});
    await view.waitFor('What was found');
    await view.type('\r');
    for (const title of ['Which domain', 'What shall', 'Which kind', 'Use the recommended', 'Publish this']) {
      await view.waitFor(title);
      await view.press('enter');
    }
    await at(session, 'planning');
    void view.type('ayes\r');
    planning.open();
    await at(session, 'plan');
    await new Promise(resolve => setTimeout(resolve, 100));
    expect(session.state().phase.at).toBe('plan');
    expect(operations.calls).not.toContain('apply');
  });
});

describe('stopping', () => {
  test('H16: Ctrl-C while changing puts everything back, then the wizard ends by itself', async () => {
    const {session, operations} = start();
    const gate = operations.hold('apply');
    view = await renderSession(session, {now});
    const ended = view.app.waitUntilExit();
    await view.waitFor('What was found');
    await view.press('enter');
    for (const title of ['Which domain', 'What shall', 'Which kind', 'Use the recommended', 'Publish this']) {
      await view.waitFor(title);
      await view.press('enter');
    }
    await view.waitFor('What will be changed');
    await view.press('a', 'yes', 'enter');
    await view.waitFor('Making the changes');
    await view.press('ctrlC', 'ctrlC', 'ctrlC');
    await view.waitFor('Stopping: the step in hand is ended first.');
    gate.open();
    await ended;
    expect(await session.done()).toMatchObject({exitCode: 130, changed: false});
  });

  test('Ctrl-C twice leaves a question, and says that nothing was changed', async () => {
    const {session} = start();
    view = await renderSession(session, {now});
    const ended = view.app.waitUntilExit();
    await view.waitFor('What was found');
    await view.press('ctrlC');
    await view.waitFor('Nothing was changed.');
    await view.press('ctrlC');
    await ended;
    expect(await session.done()).toMatchObject({exitCode: 130, changed: false});
  });
});
