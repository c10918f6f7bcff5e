import {type ExitCode, LockHeld} from '../../domain/errors.ts';
import {visible} from '../../domain/text.ts';
import {readKeys} from '../../jobs/key-book.ts';
import {inTurn} from '../../jobs/lock-turns.ts';
import type {WorkOptions} from '../../jobs/options.ts';
import {type AdvanceResult, advance} from '../../jobs/rotate/advance.ts';
import {type HowTold, type News, needsPerson, tellByMail} from '../../jobs/rotate/notify.ts';
import type {AdvanceOptions} from '../../jobs/rotate/run.ts';
import {type Due, entryFinder, entryName, type RotationState, revokedValue} from '../../rotation/index.ts';
import {lookAtHost} from '../../services/look.ts';
import type {Ports} from '../../system/ports.ts';
import {isSet, textOf} from '../arguments.ts';
import type {Context} from '../context.ts';
import {dueChecks, dueLines, dueReports} from '../due-report.ts';
import {tell} from '../print.ts';
import {publishFlag, wishLines} from '../publisher.ts';
import {silentChecks, silentLines} from '../silent-report.ts';
import {chosen, domainsOf} from '../state-report.ts';

/** One run of the scheduler, told as lines or as JSON. Exit 0, 3 where the DNS or a person is waited for, 4, 6. */
export async function runAdvance(
  context: Context,
  ports: Ports,
  options: WorkOptions,
  how: Pick<AdvanceOptions, 'standby' | 'supposed'> = {},
): Promise<ExitCode> {
  const {flags} = context;
  const dryRun = isSet(flags, 'dry-run');
  const hooks = textOf(flags, 'hook-dir');
  const disposal = isSet(flags, 'publish-retired')
    ? ({disposal: 'publish'} as const)
    : isSet(flags, 'shred')
      ? ({disposal: 'shred'} as const)
      : {};
  const publish = publishFlag(context);
  // A name that nobody here knows is a mistake in typing, not a host without keys.
  const known = await readKeys(ports);
  if (known.keys.length > 0)
    chosen(context, dryRun && how.supposed !== undefined ? how.supposed(known) : known);
  const result = await advance(
    ports,
    {
      ...options,
      ...(publish === undefined ? {} : {publish}),
      domains: domainsOf(context),
      dryRun,
      ...how,
      ...(hooks === undefined ? {} : {hookDirectory: context.pathOf(hooks)}),
      ...disposal,
    },
    event => {
      if (event.type === 'check' && event.check.status === 'fail') context.say(visible(event.check.cause));
    },
    context.signal,
  );
  const told = await tellPerson(context, ports, result);
  const {state} = result;
  const exitCode = exitCodeOf(result, dryRun);
  const lines = [
    ...result.done.map(text => `done: ${visible(text)}`),
    ...result.hooks.map(({hook, ok, said}) => `hook: ${visible(hook)} ${ok ? 'ok' : 'FAILED'}: ${said}`),
    ...result.refused.map(({message, hint}) => `NOT DONE IN THE DNS: ${visible(message)} ${visible(hint)}`),
    ...result.failed.map(({message, hint}) => `FAILED: ${visible(message)} ${visible(hint)}`),
    ...(result.held === undefined ? [] : [`LEFT TO THE NEXT RUN: ${visible(result.held.message)}`]),
    ...(result.due.length === 0 ? ['No keys yet. Begin with: waxseal setup'] : []),
    ...dueLines(result.due),
    ...silentLines(result.facts.silent),
    ...(dryRun ? wishLines(state, result.due, result.facts, publish).map(line => visible(line)) : []),
    ...records(state, result.due, result.facts),
  ];
  const [failed] = [...(result.held === undefined ? [] : [result.held]), ...result.failed, ...result.refused];
  return await tell(
    context,
    {
      exitCode,
      changed: result.changed,
      domains: dueReports(state, result.due, ports.clock.now()),
      checks: [...dueChecks(result.due), ...silentChecks(result.facts.silent)],
      ...(failed === undefined ? {} : {error: failed}),
    },
    isSet(flags, 'quiet') && isSet(flags, 'advance') ? newsOf(result, told) : lines,
  );
}

/**
 * With `--quiet`, as cron runs it and mails what is said: only what was done or failed, and once what a person must do.
 */
const newsOf = (
  {done, hooks}: AdvanceResult,
  told: {readonly how: HowTold; readonly lines: readonly string[]},
): readonly string[] => [
  ...done.map(text => `done: ${visible(text)}`),
  ...hooks.filter(({ok}) => !ok).map(({hook, said}) => `hook: ${visible(hook)} FAILED: ${said}`),
  ...(told.how === 'new' || told.how === 'failed' ? told.lines : []),
];

function exitCodeOf({due, failed, facts, held}: AdvanceResult, dryRun: boolean): ExitCode {
  if (dryRun) return 0;
  if (held !== undefined) return 8;
  if (failed.length > 0) return 6;
  if (due.some(({level}) => level === 'alarm')) return 4;
  // Nothing is known to be wrong, but not everything is known.
  if (facts.silent !== undefined) return 3;
  return due.some(({waitsFor}) => waitsFor === 'person' || waitsFor === 'dns') ? 3 : 0;
}

async function tellPerson(
  context: Context,
  ports: Ports,
  result: AdvanceResult,
): Promise<{readonly how: HowTold; readonly lines: readonly string[]}> {
  if (isSet(context.flags, 'dry-run') || !isSet(context.flags, 'advance')) return {how: 'nothing', lines: []};
  const {facts} = result;
  const isWhole = domainsOf(context) === undefined;
  const names = new Set<string>(result.due.map(entryName));
  const news: readonly News[] = [
    ...needsPerson(result.due).map(step => ({
      about: entryName(step),
      text: visible(`${step.domain}: ${step.text}`),
    })),
    ...[...result.refused, ...result.failed].map(({id, message, hint}) => ({
      about: id,
      text: visible(`${message} ${hint}`.trim()),
    })),
  ];
  const silent = new Set(
    [...facts.records].flatMap(([name, {seen}]) => (seen === 'unknown' ? [name as string] : [])),
  );
  const {mail} = facts.settings;
  const lines = news.map(({text}) => text);
  if (news.length === 0 && (result.state.told ?? []).length === 0) return {how: 'nothing', lines};
  const how = await whileHeld(ports, context.signal, () =>
    tellByMail(
      ports,
      {
        to: mail,
        host: async () => (await lookAtHost(ports, context.signal)).hostname,
        isSeen: about => !silent.has(about) && (isWhole || names.has(about)),
      },
      news,
    ),
  );
  if (how === 'failed') context.say(`waxseal: warning: sendmail did not take the mail to ${visible(mail)}`);
  return {how, lines};
}

/** What was told is written down, so it needs the lock. Where another run has it, whoever prints this run tells it. */
async function whileHeld(ports: Ports, signal: AbortSignal, work: () => Promise<HowTold>): Promise<HowTold> {
  try {
    return await inTurn(ports, signal, true, work);
  } catch (error) {
    if (error instanceof LockHeld) return 'new';
    throw error;
  }
}

/** What a person is asked to publish, ready to be copied. */
function records(
  state: RotationState,
  all: readonly Due[],
  {inUse}: AdvanceResult['facts'],
): readonly string[] {
  const find = entryFinder(state);
  return all.flatMap(step => {
    const key = find(step);
    if (key === undefined || step.waitsFor !== 'person') return [];
    const revoked = key.state === 'retiring' && key.withdrawal !== undefined && !inUse.has(key.record.name);
    if (key.state !== 'pending' && key.state !== 'active' && !revoked) return [];
    return [
      '',
      `Name:   ${key.record.name}`,
      'Type:   TXT',
      `Value:  ${revoked ? revokedValue(key) : key.record.value}`,
    ];
  });
}
