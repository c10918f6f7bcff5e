/**
 * Mail keeps flowing: while waxseal sets up, adds a domain, fails and puts back, undoes and sets up again, a stream of
 * messages goes through the host's Postfix to a next hop. Nothing is lost or deferred, and once signing was active
 * nothing of a signing domain goes out unsigned or with a broken signature.
 */
import {mkdir, readdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import {describe, expect, test} from 'vitest';
import {verifyMessage} from '../../src/dkim/index.ts';
import {RESOLVER} from './support/dns.ts';
import type {Host} from './support/host.ts';
import {run, sleep, start, startServer, until} from './support/process.ts';
import {releases} from './support/release.ts';
import {type DomainReport, waxsealJson} from './support/waxseal.ts';
import {inWorld} from './support/world.ts';

const RATE = 30;
/** One message in six is of the domain that comes later. */
const SENDERS = [...Array<string>(5).fill('alice@example.com'), 'bob@example.org'];
const SINK = '10.53.3.1';

interface Sent {
  readonly id: string;
  readonly from: string;
  readonly begun: number;
  readonly accepted: number;
  /** When it was not taken at first, and why. */
  readonly deferred: readonly (readonly [at: number, why: string])[];
}
interface Refused {
  readonly id: string;
  readonly refused: string;
}
interface Delivered {
  readonly file: string;
  readonly id: string;
  readonly verdicts: readonly boolean[];
}

const program = (name: string): string => path.join(import.meta.dirname, 'flowing', name);
const lines = (text: string): readonly unknown[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line));

/** From the moment a run was proven until it was begun to be undone, seconds of the epoch, by its own journal. */
interface Period {
  readonly from: number;
  readonly until: number;
  readonly domains: readonly string[];
}

async function periods(host: Host): Promise<readonly Period[]> {
  const found: Period[] = [];
  for (const name of await host.list('/var/lib/waxseal/runs')) {
    const journal = await host.read(`/var/lib/waxseal/runs/${name}/journal.jsonl`);
    const plan = JSON.parse(await host.read(`/var/lib/waxseal/runs/${name}/plan.json`)) as {
      domains: {domain: string}[];
    };
    const at = (mark: string): number | undefined => {
      const line = journal.split('\n').find(each => each.includes(`"run":"${mark}"`));
      return line === undefined ? undefined : Date.parse((JSON.parse(line) as {at: string}).at) / 1000;
    };
    const from = at('applied');
    if (from === undefined) continue;
    found.push({
      from,
      until: at('undoing') ?? Number.POSITIVE_INFINITY,
      domains: plan.domains.map(each => each.domain),
    });
  }
  return found;
}

describe.each(releases)('$name', release => {
  test('a stream of messages through set-up, a second domain, failures put back, undo, undo and set-up again: none is lost or deferred, none unsigned while signing', () =>
    inWorld(release, async ({host, internet, directory}) => {
      const inside = (argv: readonly string[]): readonly string[] => [
        'nsenter',
        `--net=/run/netns/${internet.namespace}`,
        '--',
        ...argv,
      ];
      const box = path.join(directory, 'delivered');
      await mkdir(box);
      startServer(
        inside(['/usr/bin/python3', program('sink.py'), SINK, '2525', box]),
        path.join(directory, 'sink.txt'),
      );
      await host.must(['postconf', '-e', `relayhost=[${SINK}]:2525`, 'default_process_limit=40']);
      await host.must(['postfix', 'reload']);

      const keys: DomainReport[] = [];
      for (const domain of ['example.com', 'example.org']) {
        const report = await waxsealJson(host, ['setup', '--domain', domain, '--yes', '--no-wait'], 3);
        const key = report.domains.find(each => each.domain === domain);
        if (key === undefined) throw new Error(`no key for ${domain}`);
        await internet.publishEverywhere(key.record.zone, key.record.name, key.record.strings);
        keys.push(key);
      }

      const stream = start(
        inside(['/usr/bin/python3', program('stream.py'), String(RATE), SENDERS.join(',')]),
        {
          timeoutMs: 360_000,
        },
      );
      const begun = performance.now();
      await sleep(2000);
      const change = async (...argv: readonly string[]): Promise<void> => {
        const report = await waxsealJson(host, argv, 0);
        expect(report.changed, argv.join(' ')).toBe(true);
        await sleep(3000);
      };
      /** The live test finds the socket closed to Postfix, and everything is put back while mail goes on. */
      const failure = async (...argv: readonly string[]): Promise<void> => {
        await host.write(
          '/usr/local/sbin/runuser',
          '#!/bin/sh\ncase "$*" in *"test -w"*) exit 1;; esac\nexec /usr/sbin/runuser "$@"\n',
        );
        await host.must(['chmod', '755', '/usr/local/sbin/runuser']);
        const report = await waxsealJson(host, argv, 6);
        expect(report, argv.join(' ')).toMatchObject({
          changed: false,
          error: {id: 'proof.failed'},
        });
        await host.must(['rm', '/usr/local/sbin/runuser']);
        await sleep(3000);
      };
      await failure('setup', '--domain', 'example.com', '--yes', '--no-wait');
      await change('setup', '--domain', 'example.com', '--yes', '--no-wait');
      await failure('setup', '--domain', 'example.org', '--yes', '--no-wait');
      await change('setup', '--domain', 'example.org', '--yes', '--no-wait');
      await change('undo', '--yes');
      await change('undo', '--yes');
      await change('setup', '--domain', 'example.com', '--domain', 'example.org', '--yes', '--no-wait');
      const seconds = (performance.now() - begun) / 1000;
      stream.child.kill('SIGTERM');
      const sent = lines((await stream.finished).stdout) as readonly (Sent | Refused)[];
      // What was handed over while Postfix was reloaded ("skipped, still being delivered") is looked at minutes later.
      await until(
        'the queue to be empty',
        async () => {
          await host.exec(['postqueue', '-f']);
          return (await host.must(['postqueue', '-j'])).trim() === '' ? true : undefined;
        },
        {withinMs: 300_000, everyMs: 1000},
      );

      const judged = await run(inside(['/usr/bin/python3', program('judge.py'), RESOLVER, box]), {
        timeoutMs: 120_000,
      });
      const delivered = lines(judged.stdout) as readonly Delivered[];
      const byId = new Map(delivered.map(each => [each.id, each] as const));
      const ours = await verifiedByEngine(box, keys);
      const accepted = sent.filter((each): each is Sent => 'accepted' in each);
      const signing = await periods(host);
      // A message counts where all of its way through Postfix' door lay in a period in which its domain was signing.
      const due = accepted.filter(({from, begun, accepted: at}) =>
        signing.some(
          period =>
            period.domains.includes(from.split('@')[1] ?? '') && begun > period.from && at < period.until,
        ),
      );
      const faults = due.filter(({id}) => {
        const verdicts = byId.get(id)?.verdicts ?? [];
        return verdicts.length !== 1 || verdicts[0] !== true || ours.get(byId.get(id)?.file ?? '') !== 'pass';
      });
      const signed = delivered.filter(({verdicts}) => verdicts.length > 0);
      const verified = signed.filter(
        ({verdicts, file}) => verdicts.every(Boolean) && ours.get(file) === 'pass',
      );
      const deferred = accepted.flatMap(each => each.deferred);
      const lost = accepted.filter(({id}) => !byId.has(id));
      console.log(
        `flowing on ${release.suite}: ${sent.length} sent in ${seconds.toFixed(0)} s (${(sent.length / seconds).toFixed(1)}/s), ` +
          `${deferred.length} deferred; ${byId.size} delivered, ` +
          `${signed.length} signed, ${verified.length} verified by both; ` +
          `${due.length} while their domain was signing, of these ${faults.length} unsigned or broken; ${lost.length} lost`,
      );
      expect(sent.filter(each => 'refused' in each)).toEqual([]);
      // Not even for a moment: a key that is gone while a table still names it would be answered with 451 (FACTS 2.1).
      expect(deferred).toEqual([]);
      expect(accepted.length / seconds).toBeGreaterThanOrEqual(20);
      expect(lost).toEqual([]);
      expect(delivered.length).toBe(byId.size);
      expect(faults).toEqual([]);
      expect(verified.length).toBe(signed.length);
      expect(due.length).toBeGreaterThan(accepted.length / 4);
      // The stream met the host before it signed, too: else this would show nothing.
      expect(signed.length).toBeLessThan(delivered.length);
    }));
});

/** The embedded engine on every message, with the records as they were published. */
async function verifiedByEngine(
  box: string,
  keys: readonly DomainReport[],
): Promise<ReadonlyMap<string, string>> {
  const records = new Map(keys.map(({record}) => [record.name, record.value] as const));
  const verdicts = new Map<string, string>();
  for (const file of (await readdir(box)).filter(name => name.endsWith('.eml'))) {
    const results = await verifyMessage(await readFile(path.join(box, file)), {
      lookup: async name => {
        const value = records.get(name);
        return value === undefined ? {status: 'absent'} : {status: 'found', records: [value]};
      },
      now: Date.now() / 1000,
    });
    verdicts.set(file, results.map(({result}) => result).join(' '));
  }
  return verdicts;
}
