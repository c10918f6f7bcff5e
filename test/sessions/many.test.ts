/** Many domains that fall due together, as they do half a year after they were set up together. */
import {expect, it, onTestFinished} from 'vitest';
import {openWorld} from '../demo/world.ts';

const DAY = 86_400_000;
const COUNT = 12;
/** Of one domain, in a run that makes its next key: what a few looks at both records need. */
const QUESTIONS = 300;

it('begins the rotation of every domain that is due in one run, and asks for each record once a look', async () => {
  const warnings: string[] = [];
  const hear = (warning: Error): void => void warnings.push(warning.name);
  process.on('warning', hear);
  onTestFinished(() => void process.off('warning', hear));
  const world = await openWorld();
  const domains = Array.from({length: COUNT}, (_, at) => `d${at}.example.org`);
  const flags = domains.flatMap(domain => ['--domain', domain]);
  const made = await world.setUp(...flags);
  expect(made.exitCode, made.err).toBe(0);
  world.clock.advance(181 * DAY);
  const before = world.sandbox.dns.asked.length;
  const run = await world.run(['rotate', '--advance', '--json']);
  expect(run.exitCode, run.err).toBe(3);
  const states = run.report.domains.map(({state}) => state);
  expect(states.filter(state => state === 'pending')).toHaveLength(COUNT);
  expect(world.sandbox.dns.asked.length - before).toBeLessThan(COUNT * QUESTIONS);
  // cron mails whatever Node has to say.
  expect(warnings).toEqual([]);
});
