import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';
import {hostTree, openWorld, type World} from '../demo/world.ts';

interface Case {
  readonly world: World;
  readonly directory: string;
  /** The newest run. */
  readonly run: string;
}

async function signing(): Promise<Case> {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  const directory = path.join(world.sandbox.machine.root, 'var/lib/waxseal');
  const run = fs.readdirSync(path.join(directory, 'runs')).at(-1) ?? '';
  return {world, directory, run: path.join(directory, 'runs', run)};
}

const exported = JSON.stringify({waxseal: 'export', version: 1, host: 'other.example.org', keys: []});

const CHANGES: readonly (readonly string[])[] = [
  ['setup', '--domain', 'example.com', '--yes', '--no-wait'],
  ['rotate', '--domain', 'example.org', '--yes', '--no-wait'],
  ['rotate', '--advance'],
  ['rotate', '--install-timer', '--yes'],
  ['remove', '--domain', 'example.org', '--yes'],
  ['undo', '--yes'],
  ['import', 'export.json'],
];

const KINDS: readonly (readonly [string, string, (of: Case) => void])[] = [
  [
    'a journal of random octets',
    'run.damaged',
    ({run}) => fs.writeFileSync(`${run}/journal.jsonl`, '\x9c\0{'),
  ],
  ['a plan that is cut off', 'run.damaged', ({run}) => fs.truncateSync(`${run}/plan.json`, 100)],
  ['an empty state', 'state.damaged', ({directory}) => fs.writeFileSync(`${directory}/state.json`, '')],
  [
    'a state of another shape',
    'state.damaged',
    ({directory}) => fs.writeFileSync(`${directory}/state.json`, '{"schemaVersion":1,"keys":{}}'),
  ],
  [
    'a state that is a link',
    'state.kind',
    ({directory}) => {
      fs.renameSync(`${directory}/state.json`, `${directory}/elsewhere.json`);
      fs.symlinkSync('elsewhere.json', `${directory}/state.json`);
    },
  ],
  [
    'a state that is a directory',
    'state.kind',
    ({directory}) => {
      fs.rmSync(`${directory}/state.json`);
      fs.mkdirSync(`${directory}/state.json`);
    },
  ],
  [
    'a state that others may write',
    'state.unsafe',
    ({directory}) => fs.chmodSync(`${directory}/state.json`, 0o666),
  ],
  [
    'a directory that others may write',
    'state.unsafe',
    ({directory}) => fs.chmodSync(`${directory}/runs`, 0o777),
  ],
  [
    'answers of a wizard that are torn',
    'draft.damaged',
    ({directory}) => fs.writeFileSync(`${directory}/draft.json`, '{"version":1', {mode: 0o600}),
  ],
];

/** Runs the way out as a person would paste it; owners are those of the sandbox's own ledger. */
function paste(hint: string, {directory, world}: Case): void {
  const line = /(?:^|: )((?:mv|rm|chown) .*)$/.exec(hint)?.[1];
  if (line === undefined) throw new Error(`no command in: ${hint}`);
  const bin = path.join(world.home, 'bin');
  fs.mkdirSync(bin, {recursive: true});
  fs.writeFileSync(path.join(bin, 'chown'), '#!/bin/sh\n', {mode: 0o755});
  execFileSync('/bin/sh', ['-ec', line.replaceAll('/var/lib/waxseal', directory)], {
    env: {PATH: `${bin}:/usr/bin:/bin`},
  });
}

describe('notes that are damaged', () => {
  it.each(KINDS)('%s (%s) stop every change, and the way out opens it again', async (_, id, damage) => {
    const of = await signing();
    const {world} = of;
    fs.writeFileSync(path.join(world.home, 'export.json'), exported);
    damage(of);
    const before = await hostTree(world.sandbox);
    let hint = '';
    for (const argv of CHANGES) {
      const run = await world.run([...argv, '--json']);
      expect(run.exitCode, argv.join(' ')).toBe(5);
      expect(run.report.error?.id, argv.join(' ')).toBe(id);
      expect(run.report.error?.message).toContain('/var/lib/waxseal');
      hint = run.report.error?.hint ?? '';
    }
    expect(await hostTree(world.sandbox)).toEqual(before);

    for (const argv of [['status'], ['check'], ['undo', '--list']]) {
      const shown = await world.run([...argv, '--json']);
      expect(shown.exitCode, argv.join(' ')).toBe(4);
      expect(shown.report.checks, argv.join(' ')).toContainEqual(
        expect.objectContaining({id, status: 'fail'}),
      );
      expect((await world.run(argv)).out).toContain('FAIL');
    }
    const explained = await world.run(['explain', 'a@example.org', '--json']);
    expect(explained.exitCode).toBe(0);
    expect(explained.report.checks).toContainEqual(expect.objectContaining({id, status: 'warn'}));
    expect((await world.run(['status', '--monitor'])).out).toMatch(/^DKIM (CRITICAL|UNKNOWN) /);

    paste(hint, of);
    for (const argv of [
      ['import', 'export.json'],
      ['rotate', '--domain', 'example.org', '--no-wait', '--yes'],
    ]) {
      const run = await world.run([...argv, '--json']);
      expect([0, 3], run.out).toContain(run.exitCode);
    }
    const sound = await world.run(['status', '--json']);
    expect(sound.report.checks).toEqual([]);
  });
});
