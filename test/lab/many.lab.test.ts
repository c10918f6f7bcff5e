/** A thousand domains on one host, from the first command to signed mail and back, with real BIND, OpenDKIM and Postfix. */
import {describe, expect, test} from 'vitest';
import {differences, exposedKeys, fingerprint} from './support/fingerprint.ts';
import type {Host} from './support/host.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {describeOutcome, type Outcome} from './support/process.ts';
import {releases} from './support/release.ts';
import {launchWaxseal, type Report, reportOf} from './support/waxseal.ts';
import {inWorld} from './support/world.ts';

const COUNT = Number(process.env['WAXSEAL_LAB_DOMAINS'] ?? 1000);
const names = (count: number): readonly string[] =>
  Array.from({length: count}, (_, at) => `d${String(at + 1).padStart(5, '0')}.example.com`);

/** Runs waxseal and tells how long it took and how much memory it had at most. */
async function measured(
  host: Host,
  what: string,
  argv: readonly string[],
  exitCode: number,
): Promise<{report: Report; outcome: Outcome; line: string}> {
  const running = launchWaxseal(host, [...argv, '--json']);
  let peak = 0;
  const watch = setInterval(() => {
    void host
      .exec([
        'bash',
        '-c',
        "for pid in $(pgrep -f dist/waxseal.js); do sed -n 's/^VmHWM:[^0-9]*//p' /proc/$pid/status; done",
      ])
      .then(({stdout}) => {
        peak = Math.max(peak, ...stdout.split('\n').map(text => Number.parseInt(text, 10) || 0));
      })
      .catch(() => undefined);
  }, 500);
  const outcome = await running.finished;
  clearInterval(watch);
  expect(outcome.status, `${what}: ${describeOutcome(outcome).slice(0, 4000)}`).toBe(exitCode);
  const line = `${what}: ${(outcome.milliseconds / 1000).toFixed(1)} s, ${Math.round(peak / 1024)} MiB`;
  console.log(line);
  return {report: reportOf(outcome), outcome, line};
}

const trixie = releases.filter(({suite}) => suite === 'trixie');

describe.each(trixie.length > 0 ? trixie : releases)('$name', release => {
  test(`${COUNT} domains with one key: set up, signed, one more added, undone`, () =>
    inWorld(release, async ({host, internet}) => {
      const domains = names(COUNT);
      await host.write('/root/domains.txt', `# made for the lab\n${domains.join('\n')}\n`);
      const setup = ['setup', '--domains-file', '/root/domains.txt', '--shared-key', '--yes', '--no-wait'];
      const lines: string[] = [];
      const first = await measured(host, `${COUNT} domains, keys made and records asked for`, setup, 3);
      lines.push(first.line);
      expect(first.report.domains).toHaveLength(COUNT);
      expect(new Set(first.report.domains.map(({record}) => record.value)).size).toBe(1);
      const before = await fingerprint(host);
      for (let at = 0; at < COUNT; at += 100) {
        await internet.update(
          'example.com',
          first.report.domains
            .slice(at, at + 100)
            .map(
              ({record}) =>
                `update add ${record.name}. 60 TXT ${record.strings.map(each => `"${each}"`).join(' ')}`,
            ),
        );
      }
      await internet.refreshSecondary('example.com');
      await internet.restart('unbound');
      const second = await measured(
        host,
        `${COUNT} domains, surveyed, planned, applied and proven`,
        setup,
        0,
      );
      lines.push(second.line);
      expect(second.report.domains.filter(({state}) => state === 'active')).toHaveLength(COUNT);
      expect(await exposedKeys(host)).toEqual([]);
      const [selector = ''] = second.report.domains.map(each => each.selector);
      for (const domain of [domains[0], domains[COUNT >> 1], domains[COUNT - 1]]) {
        const captured = await send(host, internet, {from: `alice@${domain}`, by: 'smtp'});
        expect(verdict(captured)).toBe(VALID(domain ?? '', selector));
      }
      const third = await measured(host, `${COUNT} domains, run again with nothing to do`, setup, 0);
      lines.push(third.line);
      expect(third.report.changed).toBe(false);
      const back = await measured(host, `${COUNT} domains, undone`, ['undo', '--yes'], 0);
      lines.push(back.line);
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
      console.log(lines.join('\n'));
    }));
});
