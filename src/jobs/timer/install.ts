/** The timer that advances rotations, as a planned change: the program it runs is judged before. */
import {HostError} from '../../domain/errors.ts';
import {type AbsolutePath, parentOf, parseAbsolutePath} from '../../domain/paths.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {basicReadiness, makePlan, sha256Of} from '../../plan/index.ts';
import type {ChangeView} from '../../plan/plan.ts';
import {NOTHING_TO_PROVE} from '../../proof/proof.ts';
import type {HostFacts} from '../../services/facts.ts';
import {lookAtHost} from '../../services/look.ts';
import {isRunning} from '../../services/manager.ts';
import {readConfiguration} from '../../services/read-snapshot.ts';
import type {ConfigurationSnapshot} from '../../services/snapshot.ts';
import {planTimer, rotationPlaces, TIMER_FILES, TIMER_UNIT_NAME} from '../../services/timer.ts';
import {loosePackage, looseWay, repairOf} from '../../system/loose-way.ts';
import type {Ports} from '../../system/ports.ts';
import {readSettings} from '../rotate/facts.ts';
import {type Dialog, runChange, type Shown} from '../run-change.ts';

export type TimerInstallation =
  | Shown
  | {readonly result: 'there'}
  | {
      readonly result: 'installed';
      readonly changes: readonly ChangeView[];
      /** `cron`: a line of crontab(5), where systemd does not run. */
      readonly by: 'systemd' | 'cron';
    };

/**
 * Installs what runs `program` with `rotate --advance` every hour; `waxseal undo` takes it away. The lock is the caller's.
 * Rejects with HostError `timer.no-cron` or `timer.loose-program`, Declined, or the error of the plan.
 */
export async function installTimer(
  ports: Ports,
  dialog: Dialog,
  program: readonly string[],
  signal: AbortSignal,
): Promise<TimerInstallation> {
  const facts = await lookAtHost(ports, signal);
  const by = facts.serviceManager === 'systemd' ? 'systemd' : 'cron';
  if (by === 'cron' && (await ports.files.stat(parentOf(TIMER_FILES.cron))) === undefined) {
    throw new HostError(
      problem(
        'timer.no-cron',
        `There is neither systemd nor ${parentOf(TIMER_FILES.cron)} on this host.`,
        'Install cron, or have waxseal rotate --advance run every hour in some other way.',
      ),
    );
  }
  await refuseLoose(ports, program);
  const snapshot = await withTimer(ports, await readConfiguration(ports, facts));
  const isActive = by === 'systemd' && (await isRunning(ports.commands, by, TIMER_UNIT_NAME));
  const plan = makePlan({
    purpose: 'install',
    title: 'A timer that advances rotations',
    domains: [],
    steps: planTimer(facts, snapshot, {program, writes: await placesOf(ports, facts), isActive}),
    ...ports,
  });
  if (plan.steps.length === 0) return {result: 'there'};
  const done = await runChange(
    ports,
    dialog,
    {plan, further: [], question: 'Install this timer?', isSame: async () => true},
    async () => ({proof: async () => NOTHING_TO_PROVE, ready: basicReadiness(ports)}),
    signal,
  );
  return done.result === 'shown' ? done : {result: 'installed', changes: done.changes, by};
}

/**
 * Root runs the program every hour from now on: whoever can change it, the interpreter, or any file or directory of the
 * package that it loads, would be root. Rejects with HostError `timer.loose-program`.
 */
async function refuseLoose(ports: Pick<Ports, 'files' | 'users'>, program: readonly string[]): Promise<void> {
  for (const part of program) {
    const path = parseAbsolutePath(part);
    if (!path.ok) continue;
    const look = part === program.at(-1) ? loosePackage : looseWay;
    const loose = await look(ports, path.value, ({uid}) => uid === 0);
    if (loose === undefined) continue;
    const by = loose.at === path.value ? '' : `, by ${visible(loose.at)}`;
    throw new HostError(
      problem(
        'timer.loose-program',
        `Others than root can change ${visible(path.value)}${by}, and the timer would run it as root.`,
        `Install waxseal where only root can write. Or run: ${repairOf(loose)}`,
      ),
    );
  }
}

/** Real directories that a rotation of this host writes to. */
async function placesOf(ports: Ports, facts: HostFacts): Promise<readonly AbsolutePath[]> {
  const {disposal, publishDirectory} = await readSettings(ports);
  const shown = parseAbsolutePath(publishDirectory);
  const places = [...rotationPlaces(facts)];
  if (disposal === 'publish' && shown.ok) {
    // One that is not there yet is made.
    const isThere = (await ports.files.stat(shown.value)) !== undefined;
    places.push(isThere ? shown.value : parentOf(shown.value));
  }
  return await Promise.all(places.map(async path => (await ports.files.resolve(path)) ?? path));
}

async function withTimer(ports: Ports, snapshot: ConfigurationSnapshot): Promise<ConfigurationSnapshot> {
  const entries = {...snapshot.entries};
  for (const path of [...Object.values(TIMER_FILES), parentOf(TIMER_FILES.wanted)]) {
    const directory = (await ports.files.resolve(parentOf(path))) ?? parentOf(path);
    const real = `${directory}${path.slice(parentOf(path).length)}` as AbsolutePath;
    const stat = await ports.files.stat(real);
    const content = stat?.kind === 'file' ? await ports.files.read(real) : undefined;
    entries[path] = {
      path: real,
      stat,
      text: content === undefined ? undefined : Buffer.from(content).toString('utf8'),
      sha256: content === undefined ? '' : sha256Of(content),
    };
  }
  return {...snapshot, entries};
}
