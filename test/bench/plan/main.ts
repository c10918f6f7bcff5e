/**
 * Plan and diff for 1, 100, 1,000 and 10,000 domains on a fresh Debian 13 host held in memory: reading, planning,
 * making the plan, its diff. Key generation is left out. Prints medians and the growth a domain; asserts nothing.
 */
import {parseDomain, parseSelector} from '../../../src/domain/names.ts';
import {stagedKeyPath} from '../../../src/domain/places.ts';
import {changeViews, makePlan} from '../../../src/plan/index.ts';
import {lookAtHost} from '../../../src/services/look.ts';
import {planSigning, type Wanted} from '../../../src/services/signing.ts';
import {readConfiguration} from '../../../src/services/snapshot.ts';
import {fixtureHost, sha256} from '../../support/fake-host.ts';

const COUNTS = [1, 100, 1000, 10_000] as const;
const ROUNDS = 5;

function wantedFor(count: number): Wanted {
  const selector = parseSelector('202611');
  if (!selector.ok) throw new TypeError('selector');
  return {
    domains: Array.from({length: count}, (_, at) => {
      const domain = parseDomain(`d${at}.example.org`);
      if (!domain.ok) throw new TypeError('domain');
      return {
        domain: domain.value,
        selector: selector.value,
        key: {stagedPath: stagedKeyPath(domain.value, selector.value), sha256: sha256(`key ${at}`)},
      };
    }),
    socket: 'auto',
    canonicalization: 'relaxed/simple',
    trustedHosts: [],
    subdomains: true,
  };
}

const clock = {now: () => new Date('2026-11-21T00:00:00Z')};
const random = {bytes: (length: number) => new Uint8Array(length)};

async function once(count: number): Promise<Record<'read' | 'plan' | 'diff', number>> {
  const host = fixtureHost('debian-13');
  const wanted = wantedFor(count);
  const facts = await lookAtHost(host);
  const start = performance.now();
  const snapshot = await readConfiguration(host, facts, wanted.domains);
  const read = performance.now();
  const change = planSigning(facts, snapshot, wanted);
  if (!change.ok) throw new Error(change.problem.message);
  const plan = makePlan({
    purpose: 'setup',
    title: 'bench',
    domains: wanted.domains,
    steps: change.value.steps,
    clock,
    random,
  });
  const planned = performance.now();
  const views = changeViews(plan);
  if (views.length < count) throw new Error('the plan is too small');
  return {read: read - start, plan: planned - read, diff: performance.now() - planned};
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

await once(100);
console.log('domains      read ms   plan ms   diff ms     sum ms   µs a domain');
for (const count of COUNTS) {
  const rounds: Awaited<ReturnType<typeof once>>[] = [];
  for (let round = 0; round < ROUNDS; round += 1) rounds.push(await once(count));
  const [read, plan, diff] = (['read', 'plan', 'diff'] as const).map(part =>
    median(rounds.map(each => each[part])),
  );
  const sum = (read ?? 0) + (plan ?? 0) + (diff ?? 0);
  const cell = (value: number, width: number): string => value.toFixed(1).padStart(width);
  console.log(
    `${String(count).padStart(7)} ${cell(read ?? 0, 12)} ${cell(plan ?? 0, 9)} ${cell(diff ?? 0, 9)} ${cell(sum, 10)} ${cell((sum * 1000) / count, 13)}`,
  );
}
