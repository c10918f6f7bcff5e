import {ChangeFailed, Declined, type ExitCode, HostError} from '../../domain/errors.ts';
import {type AbsolutePath, parentOf, parseAbsolutePath} from '../../domain/paths.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {readSettings} from '../../jobs/rotate/facts.ts';
import {applyPlan, basicReadiness, changeViews, makePlan, sha256Of} from '../../plan/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import {lookAtHost} from '../../services/look.ts';
import {isRunning} from '../../services/manager.ts';
import {type ConfigurationSnapshot, readConfiguration} from '../../services/snapshot.ts';
import {planTimer, rotationPlaces, TIMER_FILES, TIMER_UNIT_NAME} from '../../services/timer.ts';
import {loosePackage, looseWay, repairOf} from '../../system/loose-way.ts';
import type {Ports} from '../../system/ports.ts';
import {isSet} from '../arguments.ts';
import {confirm} from '../confirm.ts';
import type {Context} from '../context.ts';
import {changeLines, tell} from '../print.ts';

/** `waxseal rotate --install-timer`: a planned change as any other; `waxseal undo` takes it away. */
export async function installTimer(context: Context, ports: Ports): Promise<ExitCode> {
  const facts = await lookAtHost(ports, context.signal);
  if (
    facts.serviceManager !== 'systemd' &&
    (await ports.files.stat(parentOf(TIMER_FILES.cron))) === undefined
  ) {
    throw new HostError(
      problem(
        'timer.no-cron',
        `There is neither systemd nor ${parentOf(TIMER_FILES.cron)} on this host.`,
        'Install cron, or have waxseal rotate --advance run every hour in some other way.',
      ),
    );
  }
  const program = programOf(process.execPath, process.argv[1]);
  await refuseLoose(ports, program);
  const snapshot = await withTimer(ports, await readConfiguration(ports, facts));
  const isActive =
    facts.serviceManager === 'systemd' && (await isRunning(ports.commands, 'systemd', TIMER_UNIT_NAME));
  const plan = makePlan({
    purpose: 'install',
    title: 'A timer that advances rotations',
    domains: [],
    steps: planTimer(facts, snapshot, {
      program,
      writes: await placesOf(ports, facts),
      isActive,
    }),
    clock: ports.clock,
    random: ports.random,
  });
  if (plan.steps.length === 0) return await tell(context, {exitCode: 0}, ['The timer is there already.']);
  const changes = changeViews(plan);
  const lines = changes.flatMap(changeLines);
  if (isSet(context.flags, 'dry-run')) return await tell(context, {exitCode: 0, changes}, lines);
  if (!isSet(context.flags, 'json')) for (const line of lines) context.say(line);
  if (!isSet(context.flags, 'yes') && !(await confirm(context, 'Install this timer?'))) {
    throw new Declined(problem('declined', 'Nothing was changed.', 'Run it again when you want to.'));
  }
  const outcome = await applyPlan(
    ports,
    plan,
    {
      proof: async () => ({checks: [], passed: true}),
      ready: basicReadiness(ports),
      lockHeld: true,
    },
    () => {},
    context.signal,
  );
  if (outcome.result === 'nothing')
    throw new ChangeFailed(problem('timer.nothing', 'Nothing was changed.', ''));
  if (outcome.result !== 'applied') throw outcome.error;
  return await tell(context, {exitCode: 0, changed: true, changes}, [
    facts.serviceManager === 'systemd'
      ? 'Installed: rotations advance every hour. To see when: systemctl list-timers waxseal-rotate.timer'
      : `Installed: cron advances rotations every hour (${TIMER_FILES.cron}), and mails root what is news.`,
    'To take it away: waxseal undo',
  ]);
}

/** What runs waxseal: this very interpreter and program, since a timer has no PATH of a login. */
const programOf = (interpreter: string, script: string | undefined): readonly string[] =>
  script === undefined ? ['waxseal'] : [interpreter, script];

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

/** The snapshot with the files of the timer. */
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
