import {publishArgv} from '../../dns/publish/index.ts';
import {command} from '../../domain/command.ts';
import {Declined, type ExitCode} from '../../domain/errors.ts';
import type {DomainName} from '../../domain/names.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {readKeys} from '../../jobs/key-book.ts';
import type {WorkOptions} from '../../jobs/options.ts';
import {adoptKeys} from '../../jobs/rotate/adopt.ts';
import {createRotation} from '../../jobs/rotate/guided.ts';
import {markLeaked, withLeak} from '../../jobs/rotate/leak.ts';
import {isComing, type KeyEntry, publisherOf, type RotationState} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {isSet, textOf} from '../arguments.ts';
import {changing} from '../changing.ts';
import {confirm} from '../confirm.ts';
import {type Context, resolversOf, rootPorts} from '../context.ts';
import {publishFlag} from '../publisher.ts';
import {runFlow} from '../session.ts';
import {chosen, domainsOf} from '../state-report.ts';
import {usage} from '../usage.ts';
import {runAdvance} from './rotate-advance.ts';
import {checkHosts} from './rotate-hosts.ts';
import {rotateTimer} from './rotate-timer.ts';

/**
 * `waxseal rotate`: a new key for domains that sign, guided; with `--advance` whatever is due, without asking. The old
 * key stays published, and is retired by the same switch that lets the new one sign.
 */
export async function rotate(context: Context): Promise<ExitCode> {
  const ports = await rootPorts(context, 'A rotation changes the mail configuration, and needs root.');
  const {flags} = context;
  if (isSet(flags, 'all') && domainsOf(context) !== undefined) {
    throw usage('usage.value', '--all and --domain exclude each other.', 'Give one of them.');
  }
  const standby = isSet(flags, 'standby') ? {standby: true} : {};
  const others = ['emergency', 'install-timer', 'check-hosts'] as const;
  if (isSet(flags, 'advance') && !others.some(each => isSet(flags, each))) {
    // Takes the lock itself, for one act at a time.
    return await runAdvance(context, ports, optionsOf(context), standby);
  }
  if (isSet(flags, 'install-timer')) {
    return await changing(context, ports, 'rotate', (own, released) => rotateTimer(own, ports, released));
  }
  if (isSet(flags, 'check-hosts')) return await checkHosts(context, ports);
  const known = await adopt(context, ports);
  if (isSet(flags, 'emergency')) return await emergency(context, ports, known);
  if (isSet(flags, 'dry-run') || isSet(flags, 'standby')) {
    const supposed = (state: RotationState): RotationState => ({...state, keys: known.keys});
    return await runAdvance(context, ports, optionsOf(context), {...standby, supposed});
  }
  return await guided(context, ports, known);
}

function optionsOf({flags, outside}: Context): WorkOptions {
  return {resolvers: resolversOf(flags), environment: outside.environment};
}

/** Keys that sign here and were made by others become known, each with its age. A dry run only says so. */
async function adopt(context: Context, ports: Ports): Promise<RotationState> {
  const dryRun = isSet(context.flags, 'dry-run');
  const options = {...optionsOf(context), dryRun};
  const {adopted, state} = await adoptKeys(ports, options, domainsOf(context), context.signal);
  for (const {domain, selector, why} of adopted) {
    const name = `${visible(selector)}._domainkey.${visible(domain)}`;
    context.say(
      why === undefined
        ? `${dryRun ? 'Would be taken up' : 'Taken up'}: ${name}, which signs already`
        : `Not taken up: ${name}: ${visible(why)}`,
    );
  }
  return state;
}

function signing(context: Context, state: RotationState): readonly DomainName[] {
  const keys = chosen(context, state);
  const domains = [...new Set(keys.filter(key => key.state === 'active').map(({domain}) => domain))];
  if (domains.length > 0) return domains;
  const waiting = keys.find(isComing);
  throw waiting === undefined
    ? usage('rotate.none', 'No domain has a key that signs.', 'Begin with: waxseal setup')
    : usage(
        'rotate.none',
        `${waiting.domain} has no key that signs yet.`,
        `Finish its setup first: waxseal setup --domain ${waiting.domain}`,
      );
}

/** Gives the keys up; then whatever is due. */
async function emergency(context: Context, ports: Ports, known: RotationState): Promise<ExitCode> {
  const domains = signing(context, known);
  if (domainsOf(context) === undefined && !isSet(context.flags, 'all')) {
    const one = command('waxseal', 'rotate', '--emergency', '--domain', domains[0] ?? '');
    throw usage(
      'usage.missing',
      '--emergency needs to know whose key is leaked.',
      `For one domain: ${one}; for every domain: waxseal rotate --emergency --all`,
    );
  }
  const dryRun = isSet(context.flags, 'dry-run');
  context.say(
    `The key of ${domains.join(', ')} ${dryRun ? 'would be' : 'is'} given up. Mail that it has signed and that is still in queues will fail DKIM as soon as its record is revoked; by SPF it may still pass DMARC.`,
  );
  if (dryRun) {
    const supposed = (state: RotationState): RotationState =>
      withLeak({...state, keys: known.keys}, domains, ports.clock.now());
    return await runAdvance(context, ports, optionsOf(context), {supposed});
  }
  if (!isSet(context.flags, 'yes') && !(await confirm(context, 'Replace and revoke it?'))) {
    throw new Declined(problem('declined', 'Nothing was changed.', 'Run it again when you want to.'));
  }
  await changing(context, ports, 'rotate', () => markLeaked(ports, domains));
  return await runAdvance(context, ports, optionsOf(context));
}

/** The main job again with a new selector. A rotation that was begun goes on with its own key. */
async function guided(context: Context, ports: Ports, known: RotationState): Promise<ExitCode> {
  const domains = signing(context, known);
  const keys = chosen(context, known);
  const begun = keys.find(key => isComing(key) && domains.includes(key.domain));
  const selector = textOf(context.flags, 'selector') ?? begun?.selector;
  const signs = keys.filter(key => key.state === 'active' && domains.includes(key.domain));
  const hooks = textOf(context.flags, 'hook-dir');
  // A line between the frames of a screen would tear it.
  const say = context.view.view === 'tui' ? context.log : context.say;
  const operations = createRotation(ports, {
    ...optionsOf(context),
    namedFiles: await context.namedFiles(),
    ...(hooks === undefined ? {} : {hookDirectory: context.pathOf(hooks)}),
    onHook: ({hook, ok, said}) => say(`hook: ${visible(hook)} ${ok ? 'ok' : 'FAILED'}: ${said}`),
  });
  return await runFlow(
    context,
    {operations, clock: ports.clock, sandbox: false},
    {
      ...remembered(context, await readKeys(ports), domains),
      ...strength(context, begun === undefined ? signs : [begun]),
      ...context.flags,
      domain: domains,
      ...(selector === undefined ? {} : {selector}),
    },
  );
}

/** A new key is never weaker than the one before it, where nothing was said. */
function strength(
  {flags}: Pick<Context, 'flags'>,
  keys: readonly KeyEntry[],
): Readonly<Record<string, string>> {
  if (textOf(flags, 'bits') !== undefined || textOf(flags, 'algorithm') !== undefined) return {};
  const bits = Math.max(0, ...keys.map(key => (key.algorithm === 'rsa' ? key.bits : 0)));
  return bits > 2048 ? {bits: bits > 3072 ? '4096' : '3072'} : {};
}

/** The program that entered the records before, as flags; none where the domains do not share one, or another is given. */
function remembered(
  context: Context,
  state: RotationState,
  domains: readonly DomainName[],
): Readonly<Record<string, string>> {
  if (publishFlag(context) !== undefined) return {};
  const [first = [], ...others] = domains.map(domain => {
    const publish = publisherOf(state, domain);
    return publish === undefined ? [] : publishArgv(publish);
  });
  if (others.some(argv => argv.join(' ') !== first.join(' '))) return {};
  return Object.fromEntries(
    first.flatMap((word, at) => (at % 2 === 0 ? [[word.slice(2), first[at + 1] ?? '']] : [])),
  );
}
