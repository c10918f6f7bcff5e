/**
 * A busy host is no failure: set-up, rotation, removal and undo while every processor of the machine has four other
 * processes to run. `WAXSEAL_BUSY_ROUNDS=20` for the full claim, `WAXSEAL_BUSY_PROCESSES` for more of them a core.
 */
import {spawn} from 'node:child_process';
import {availableParallelism} from 'node:os';
import path from 'node:path';
import {describe, expect, test} from 'vitest';
import type {Internet} from './support/dns.ts';
import {differences, fingerprint} from './support/fingerprint.ts';
import type {Host} from './support/host.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {sleep, until} from './support/process.ts';
import {releases} from './support/release.ts';
import {makeReady, type Report, waxseal, waxsealJson} from './support/waxseal.ts';
import {inWorld} from './support/world.ts';

const ROUNDS = Number(process.env['WAXSEAL_BUSY_ROUNDS'] ?? 1);
const PROCESSES = Number(process.env['WAXSEAL_BUSY_PROCESSES'] ?? 4);
const BUSY = path.join(import.meta.dirname, '../../scripts/busy.mjs');

/** Runs `act` while every core has so many more processes to run. */
async function underLoad(act: () => Promise<void>): Promise<void> {
  const load = Array.from({length: PROCESSES * availableParallelism()}, () =>
    spawn(process.execPath, [BUSY], {stdio: ['pipe', 'ignore', 'ignore']}),
  );
  try {
    await act();
  } finally {
    for (const child of load) child.kill('SIGKILL');
  }
}

/** A rotation as a person does it: the new record is published everywhere, and the caches are waited out. */
async function rotate(host: Host, internet: Internet): Promise<string> {
  await host.write('etc/waxseal/rotation.conf', 'interval = 1s\nremind = 0s\nmargin = 1s\n');
  await sleep(1500);
  const begun = await waxsealJson(host, ['rotate', '--advance'], 3);
  const coming = begun.domains.find(({state}) => state === 'pending');
  if (coming === undefined) throw new Error(JSON.stringify(begun.domains));
  await internet.publishEverywhere('example.com', coming.record.name, coming.record.strings);
  await until(
    `${coming.selector} to be active`,
    async () => {
      const outcome = await waxseal(host, ['rotate', '--advance', '--json']);
      const report = JSON.parse(outcome.stdout) as Report;
      expect(report.error, outcome.stdout).toBeNull();
      return report.domains.some(each => each.selector === coming.selector && each.state === 'active')
        ? true
        : undefined;
    },
    {withinMs: 600_000, everyMs: 1000},
  );
  return coming.selector;
}

const trixie = releases.filter(({suite}) => suite === 'trixie');

describe.each(trixie)('$name', release => {
  test.each(Array.from({length: ROUNDS}, (_, round) => round + 1))(
    'set up, rotated, removed and undone on a busy host, round %i',
    () =>
      inWorld(release, async ({host, internet}) => {
        const before = await fingerprint(host);
        const signed = async (): Promise<string> =>
          verdict(await send(host, internet, {by: 'sendmail', from: 'alice@example.com'}));
        await underLoad(async () => {
          const {selector} = await makeReady(host, internet);
          await sleep(3500);
          await waxsealJson(host, ['setup', '--domain', 'example.com', '--yes', '--wait', '5m'], 0);
          expect(await signed()).toBe(VALID('example.com', selector));
          const next = await rotate(host, internet);
          expect(await signed()).toBe(VALID('example.com', next));
          await waxsealJson(host, ['remove', '--domain', 'example.com', '--yes'], 0);
          expect(await signed()).toBe('unsigned');
          // The removal, the switch, the new key that was put in place before it, and the set-up.
          for (let runs = 0; runs < 4; runs += 1) await waxsealJson(host, ['undo', '--yes'], 0);
        });
        await host.must(['rm', '-r', '/etc/waxseal']);
        expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
      }),
  );
});
