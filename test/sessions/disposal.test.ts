/** What becomes of the private key of a removed selector: `--publish-retired`, `--shred`, and what is refused. */
import {createHash, createPublicKey} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import type {Report} from '../../src/flow/report.ts';
import {openWorld, type World} from '../demo/world.ts';

const DAY = 86_400_000;
const OLD = absolute('/etc/dkimkeys/example.org/202611.private');
const RETIRED = absolute('/var/lib/waxseal/retired');

async function ready(): Promise<{readonly world: World; readonly pem: string; readonly name: string}> {
  const world = await openWorld();
  const {files} = world.sandbox.ports;
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  const pem = Buffer.from((await files.read(OLD)) ?? []).toString('utf8');
  const der = createPublicKey(pem).export({type: 'spki', format: 'der'});
  world.clock.advance(181 * DAY);
  return {world, pem, name: `${createHash('sha256').update(der).digest('hex')}.pem`};
}

const stateOf = (report: Report, selector: string): string =>
  report.domains.find(each => each.selector === selector)?.state ?? 'removed';

/** What a person does for every step; `revoke` may be left out: some delete the record at once. */
function obey(world: World, report: Report, revoke: boolean): void {
  const {dns} = world.sandbox;
  for (const {record, state, nextStep} of report.domains) {
    if (state === 'pending' && nextStep.startsWith('Publish')) dns.publish(record.name, record.strings);
    if (state === 'retiring' && nextStep.startsWith('Revoke')) {
      dns.withdraw(record.name);
      if (revoke) dns.publish(record.name, 'v=DKIM1; k=rsa; p=');
    }
    if (state === 'revoked' && nextStep.startsWith('Delete')) dns.withdraw(record.name);
  }
}

/** Runs `rotate --advance` with days between until the old key is removed; calls `look` after each run. */
async function toTheEnd(
  world: World,
  flags: readonly string[],
  revoke: boolean,
  look: (state: string) => Promise<void>,
): Promise<Report> {
  for (let count = 0; count < 40; count += 1) {
    const run = await world.run(['rotate', '--advance', '--json', ...flags]);
    expect([0, 3], run.err + run.out).toContain(run.exitCode);
    const state = stateOf(run.report, '202611');
    await look(state);
    if (state === 'removed') return run.report;
    obey(world, run.report, revoke);
    await world.clock.sleep(1800);
    world.clock.advance(3 * DAY);
  }
  throw new Error('the old key was never removed');
}

const lastEvidence = async (world: World): Promise<unknown> => {
  const text = await world.sandbox.ports.files.read(absolute('/var/lib/waxseal/state.json'));
  const {keys} = JSON.parse(Buffer.from(text ?? []).toString('utf8'));
  return keys.find(({selector}: {selector: string}) => selector === '202611').log.at(-1).evidence;
};

describe('a removed selector', () => {
  it('--publish-retired: its private key is readable for everybody, once it is revoked everywhere and gone', async () => {
    const {world, pem, name} = await ready();
    const {files} = world.sandbox.ports;
    await toTheEnd(world, ['--publish-retired'], true, async state => {
      // Not a day before: whoever has it could sign so that it verifies.
      const there = (await files.list(RETIRED)) ?? [];
      expect(there.length, state).toBe(state === 'removed' ? 1 : 0);
    });
    expect(await files.list(RETIRED)).toEqual([name]);
    const path = absolute(`${RETIRED}/${name}`);
    expect(Buffer.from((await files.read(path)) ?? []).toString('utf8')).toBe(pem);
    expect(((await files.stat(path))?.mode ?? 0) & 0o777).toBe(0o644);
    // May be passed through, may not be listed, and its time tells nothing of its age.
    expect(((await files.stat(RETIRED))?.mode ?? 0) & 0o777).toBe(0o711);
    expect(await files.stat(OLD)).toBeUndefined();
    expect(await lastEvidence(world)).toMatchObject({kind: 'record-gone', key: 'published'});
  });

  it('--publish-retired: a key whose revocation nobody saw is destroyed and not published', async () => {
    const {world} = await ready();
    const {files} = world.sandbox.ports;
    await toTheEnd(world, ['--publish-retired'], false, async () => {
      expect((await files.list(RETIRED)) ?? []).toEqual([]);
    });
    expect(await files.stat(OLD)).toBeUndefined();
    expect(await lastEvidence(world)).toMatchObject({kind: 'record-gone', key: 'shredded'});
  });

  it('--shred: its private key is overwritten, then removed, and nothing of it is left', async () => {
    const {world, pem} = await ready();
    const {files, commands} = world.sandbox.ports;
    const [run, destroy] = [commands.run.bind(commands), files.destroy.bind(files)];
    const destroyed: string[] = [];
    Object.assign(commands, {
      run: async (...[argv, options]: Parameters<typeof run>) => {
        // No program gets the name of a key: who owns its directory could make it another file's.
        expect(argv.join(' ')).not.toContain(OLD);
        return await run(argv, options);
      },
    });
    Object.assign(files, {
      destroy: async (...[at, isExpected]: Parameters<typeof destroy>) => {
        const ended = await destroy(at, isExpected);
        destroyed.push(`${ended} ${at}`);
        return ended;
      },
    });
    await toTheEnd(world, ['--shred'], true, async state => {
      if (state !== 'removed') expect(await files.stat(OLD), state).toBeDefined();
    });
    expect(destroyed).toContain(`destroyed ${OLD}`);
    expect(await files.stat(OLD)).toBeUndefined();
    expect(await files.list(RETIRED)).toBeUndefined();
    const secret = pem.split('\n')[5] ?? '';
    expect(secret.length).toBe(64);
    expect(await lastEvidence(world)).toMatchObject({kind: 'record-gone', key: 'shredded'});
    const staged = await files.list(absolute('/var/lib/waxseal/keys/example.org'));
    for (const each of staged ?? []) {
      const content = await files.read(absolute(`/var/lib/waxseal/keys/example.org/${each}`));
      expect(Buffer.from(content ?? []).toString('utf8')).not.toContain(secret);
    }
  });
});
