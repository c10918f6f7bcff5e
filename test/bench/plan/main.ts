/**
 * Many domains through all of waxseal's own work, for 1,000 to 10,000: what grows with them and how. Each count has a
 * process of its own, so that its memory is its own. Fails where the growth is not linear: ten times the domains may
 * take at most fifteen times the processor time, in sum and in each part that takes long enough to be told from noise,
 * and fifteen times the memory. Ratios of one run, and no wall clock: what else the machine does must not count.
 *
 *   stage   keys self-tested, kept in a scratch root on real files, entered into the state (one key is made for all)
 *   state   the same keys on their way: shown, agreed on by all servers, signing
 *   plan    tables and rows read, planned, diffed, on a fresh Debian 13 host
 *   flow    the session from the first question to the last word, with its lines and its report
 *
 * node test/bench/run.mjs plan [COUNT ...]
 */
import {execFileSync} from 'node:child_process';
import {generateKeyPairSync} from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type {DomainName, Selector} from '../../../src/domain/names.ts';
import {absolute} from '../../../src/domain/paths.ts';
import type {DomainFacts, StagedDomain} from '../../../src/flow/operations.ts';
import {startSession} from '../../../src/flow/run.ts';
import {moveKeys, recordActive, recordSurveys} from '../../../src/jobs/key-book.ts';
import {createNamedFiles} from '../../../src/jobs/named-files.ts';
import {stage} from '../../../src/jobs/setup/stage.ts';
import {changeViews, makePlan} from '../../../src/plan/index.ts';
import {lookAtHost} from '../../../src/services/look.ts';
import {readConfiguration} from '../../../src/services/read-snapshot.ts';
import {planSigning} from '../../../src/services/signing.ts';
import type {FileStep} from '../../../src/services/step.ts';
import type {Ports} from '../../../src/system/ports.ts';
import {furnish, openWorld} from '../../plan/world.ts';
import {mode} from '../../support/drive.ts';
import {fixtureHost} from '../../support/fake-host.ts';
import {
  check,
  domainOf,
  fakeClock,
  fakeOperations,
  fakeReady,
  fakeSurvey,
  fakeZone,
  selectorOf,
} from '../../support/fake-operations.ts';

const COUNTS = [1000, 2500, 5000, 10_000] as const;
const PARTS = ['stage', 'state', 'plan', 'flow'] as const;
type Part = (typeof PARTS)[number];

interface Figures {
  /** Of processor time. */
  readonly milliseconds: Readonly<Record<Part, number>>;
  readonly mebibytes: number;
}

const SELECTOR = selectorOf('202611');
const never = new AbortController().signal;
const nothing = (): void => undefined;
const clock = {now: () => new Date('2026-11-21T00:00:00Z')};
const random = {bytes: (length: number) => new Uint8Array(length)};

const factsOf = (domain: DomainName): DomainFacts => ({
  domain,
  zone: fakeZone('example.org'),
  provider: undefined,
});

/** Keys and state on real files in a scratch root; one key for all, since making keys is measured by the keys bench. */
async function onFiles(count: number, timed: Timed): Promise<readonly StagedDomain[]> {
  const root = fs.mkdtempSync(path.join(scratch(), 'waxseal-bench-'));
  try {
    fs.chmodSync(root, 0o755);
    furnish(root);
    const world = openWorld(root);
    const key = generateKeyPairSync('rsa', {modulusLength: 2048});
    const pem = key.privateKey.export({type: 'pkcs8', format: 'pem'}).toString();
    const ports: Ports = {...world.ports, keys: {generate: async () => pem}};
    const domains = domainsOf(count);
    const named = createNamedFiles(ports.files, {uid: 0, gid: 0});
    const made = await timed('stage', () =>
      stage(ports, named, {domains, selector: SELECTOR}, domains.map(factsOf), nothing, never, {
        keep: true,
        replaces: [],
      }),
    );
    if (!made.ok) throw new Error(made.problem.message);
    const staged = made.value;
    await timed('state', async () => {
      await moveKeys(ports, staged, 'pending', {kind: 'record-shown'});
      const at = ports.clock.now().toISOString();
      await recordSurveys(
        ports,
        staged.map(each => [each, fakeSurvey(each, ['matching', 'matching'], at)] as const),
      );
      const steps = staged.map(({domain, stagedPath, sha256}): FileStep => {
        const path = absolute(`/etc/dkimkeys/${domain}.private`);
        const content = {from: 'secret', path: stagedPath, sha256} as const;
        const after = {content, owner: {user: 'opendkim', group: 'opendkim'}, mode: 0o600};
        return {kind: 'file', id: `file:${path}`, why: '', path, before: {state: 'absent'}, after};
      });
      const plan = makePlan({purpose: 'setup', title: 'bench', domains: staged, steps, clock, random});
      await recordActive(ports, plan, [check('live.milter', 'pass')]);
    });
    const state = fs.readFileSync(path.join(root, 'var/lib/waxseal/state.json'), 'utf8');
    if (state.match(/"state": "active"/g)?.length !== count) throw new Error('the state is not whole');
    return staged;
  } finally {
    fs.rmSync(root, {recursive: true, force: true});
  }
}

const scratch = (): string => (fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir());

const domainsOf = (count: number): readonly DomainName[] =>
  Array.from({length: count}, (_, at) => domainOf(`d${at}.example.org`));

async function planned(staged: readonly StagedDomain[]): Promise<void> {
  const host = fixtureHost('debian-13');
  const facts = await lookAtHost(host);
  const domains = staged.map(({domain, selector, stagedPath, sha256}) => ({
    domain,
    selector,
    key: {stagedPath, sha256},
  }));
  const change = planSigning(facts, await readConfiguration(host, facts, staged), {
    sign: domains,
    settings: {canonicalization: 'relaxed/simple', subdomains: true},
  });
  if (!change.ok) throw new Error(change.problem.message);
  const {steps} = change.value;
  const plan = makePlan({purpose: 'setup', title: 'bench', domains, steps, clock, random});
  if (changeViews(plan).length < staged.length) throw new Error('the plan is too small');
}

/** The session with everything around it imaginary: what is left is the flow itself. */
async function flowed(staged: readonly StagedDomain[]): Promise<void> {
  const operations = fakeOperations({ready: each => fakeReady(each)});
  const session = startSession(
    operations,
    mode({interactive: false, yes: true, waitMs: 60_000}),
    {domains: staged.map(({domain}) => domain).join(','), selector: SELECTOR as Selector},
    fakeClock(),
  );
  const report = await session.done();
  if (report.exitCode !== 0 || report.domains.length !== staged.length) {
    throw new Error(`the session ended with ${report.exitCode}`);
  }
  JSON.stringify(report);
}

type Timed = <T>(part: Part, work: () => Promise<T>) => Promise<T>;

async function measure(count: number): Promise<Figures> {
  const milliseconds: Record<Part, number> = {stage: 0, state: 0, plan: 0, flow: 0};
  const timed: Timed = async (part, work) => {
    const before = process.cpuUsage();
    const value = await work();
    const {user, system} = process.cpuUsage(before);
    milliseconds[part] = (user + system) / 1000;
    return value;
  };
  // The first run of a function is slower than the others.
  await runAll(50, (_part, work) => work());
  await runAll(count, timed);
  return {milliseconds, mebibytes: process.resourceUsage().maxRSS / 1024};
}

async function runAll(count: number, timed: Timed): Promise<void> {
  const staged = await onFiles(count, timed);
  await timed('plan', () => planned(staged));
  await timed('flow', () => flowed(staged));
}

const sumOf = ({milliseconds}: Figures): number => PARTS.reduce((sum, part) => sum + milliseconds[part], 0);

function inOwnProcess(count: number): Figures {
  const [program = ''] = process.argv.slice(1);
  const output = execFileSync(process.execPath, [program, '--one', String(count)], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  return JSON.parse(output.trim().split('\n').at(-1) ?? '');
}

const row = (cells: readonly string[]): void => console.log(cells.map(cell => cell.padStart(10)).join(''));

const printHead = (): void =>
  row(['domains', ...PARTS.map(part => `${part} s`), 'sum s', 'ms/domain', 'MiB']);

function printRow(count: number, figures: Figures): void {
  const sum = sumOf(figures);
  row([
    String(count),
    ...PARTS.map(part => (figures.milliseconds[part] / 1000).toFixed(2)),
    (sum / 1000).toFixed(2),
    (sum / count).toFixed(2),
    figures.mebibytes.toFixed(0),
  ]);
}

const MOST = 1.5;
/** A part under this many milliseconds at the smallest count says nothing about growth. */
const TELLING = 50;

/** Growth beyond what more domains explain, as a factor; 1 is linear. */
function judge(all: ReadonlyMap<number, Figures>): void {
  const [first, last] = [[...all][0], [...all].at(-1)];
  if (first === undefined || last === undefined || first[0] === last[0]) return;
  const more = last[0] / first[0];
  const growths: readonly (readonly [what: string, small: number, large: number])[] = [
    ['in sum', sumOf(first[1]), sumOf(last[1])],
    ...PARTS.map(part => [part, first[1].milliseconds[part], last[1].milliseconds[part]] as const),
    ['memory', first[1].mebibytes, last[1].mebibytes],
  ];
  for (const [what, small, large] of growths) {
    const factor = large / small / more;
    const counts = what === 'memory' || small >= TELLING;
    console.log(
      `${what}: ${more} times the domains, ${(large / small).toFixed(1)} times as much${counts ? '' : ' (too short to count)'}`,
    );
    if (counts && factor > MOST) {
      console.log(`${what} does not grow linearly`);
      process.exitCode = 1;
    }
  }
}

const [kind, one] = process.argv.slice(2);
if (kind === '--one') console.log(JSON.stringify(await measure(Number(one))));
else {
  const given = process.argv.slice(2).map(Number);
  const counts = given.length > 0 ? given : COUNTS;
  const all = new Map<number, Figures>();
  printHead();
  for (const count of counts) {
    const figures = inOwnProcess(count);
    printRow(count, figures);
    all.set(count, figures);
  }
  judge(all);
}
