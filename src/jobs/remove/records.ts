/** The records of domains that sign no more: which go at once, which stay, and by whom. */
import {nameOfPublisher, type PublishChoice} from '../../dns/publish/index.ts';
import {LockHeld} from '../../domain/errors.ts';
import type {DomainName} from '../../domain/names.ts';
import {type Problem, problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {type Due, entryFinder, isComing, type KeyEntry, type RotationState} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {abandonKeys, readKeys} from '../key-book.ts';
import {lookAtUses, whatUses} from '../key-uses.ts';
import {inTurn} from '../lock-turns.ts';
import type {WorkOptions} from '../options.ts';
import {withdrawRecord} from '../publishing.ts';
import {advance} from '../rotate/advance.ts';
import {publisherFor} from '../rotate/wishes.ts';

export interface RecordOptions extends WorkOptions {
  /** Who withdraws records, where the command line says so; else whom the state remembers. */
  readonly publish?: PublishChoice;
}

/** What became of the records, and what comes next for each key. */
export interface Withdrawn {
  readonly changed: boolean;
  /** What a person has to do at once; a sentence each. */
  readonly lines: readonly string[];
  readonly done: readonly string[];
  readonly refused: readonly Problem[];
  readonly due: readonly Due[];
  readonly state: RotationState;
}

/**
 * Withdraws the records of keys that never signed at once, and the others when no mail needs them, by the same rules as
 * in a rotation. The program in charge does it, or it is said what a person has to do. Takes the lock for each act.
 * undefined where there is nothing to do: no key is left, or one of them signs.
 */
export async function withdrawRecords(
  ports: Ports,
  domains: readonly DomainName[],
  options: RecordOptions,
  signal: AbortSignal,
): Promise<Withdrawn | undefined> {
  const before = await readKeys(ports);
  const own = keysOf(before, domains);
  if (own.length === 0 || own.some(key => key.state === 'active')) return undefined;
  const lines: string[] = [];
  const coming = own.filter(isComing);
  try {
    for (let from = 0; from < coming.length; from += GIVEN_UP) {
      const some = coming.slice(from, from + GIVEN_UP);
      const giving = (held: AbortSignal) => giveUp(ports, options, some, held);
      lines.push(...(await inTurn(ports, signal, true, giving, {command: 'remove'})));
    }
    const {changed, done, refused, failed, due} = await advance(
      ports,
      {...options, domains, dryRun: false, waits: true},
      () => undefined,
      signal,
    );
    return {changed, lines, done, refused: [...refused, ...failed], due, state: await readKeys(ports)};
  } catch (error) {
    // What was changed on this host is done, and stays.
    if (!(error instanceof LockHeld)) throw error;
    const held = problem(error.id, error.message, 'Then run: waxseal rotate --advance');
    return {changed: false, lines, done: [], refused: [held], due: [], state: await readKeys(ports)};
  }
}

/** Keys on their way that are given up while the lock is held once; a program may run for each. */
const GIVEN_UP = 10;

/** Gives keys up that are still on their way. The lock is the caller's. */
async function giveUp(
  ports: Ports,
  options: RecordOptions,
  wanted: readonly KeyEntry[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const state = await readKeys(ports);
  const find = entryFinder(state);
  const coming = wanted.flatMap(each => find(each) ?? []).filter(isComing);
  const uses = await lookAtUses(ports, signal);
  const lines: string[] = [];
  for (const key of coming) {
    const use = whatUses(key, state, uses(key));
    const choice = publisherFor(state, options, key.domain);
    if (use !== undefined) lines.push(`Keep the record ${key.record.name}. ${use}`);
    else if (key.state !== 'staged')
      lines.push(...(await withdrawUnused(ports, options, key, choice, signal)));
  }
  await abandonKeys(ports, coming, 'signing was stopped for the domain');
  return lines;
}

/** What a removal will do with the records, for the plan; a line a record. */
export function recordLines(
  state: RotationState,
  domains: readonly DomainName[],
  options: RecordOptions,
): readonly string[] {
  return keysOf(state, domains).flatMap(({domain, record, ...key}) => {
    if (key.state === 'staged') return [];
    const choice = publisherFor(state, options, domain);
    const who = choice === undefined ? 'you' : visible(nameOfPublisher(choice));
    return [
      isComing(key)
        ? `record  ${record.name}: to be deleted at once by ${who}, since its key never signed`
        : `record  ${record.name}: stays until no mail needs it; then emptied (p=) and deleted by ${who}`,
    ];
  });
}

function keysOf({keys}: RotationState, domains: readonly DomainName[]): readonly KeyEntry[] {
  const wanted = new Set<string>(domains);
  return keys.filter(key => wanted.has(key.domain) && key.state !== 'removed');
}

/** The record of a key that was on its way: no mail needs it. */
async function withdrawUnused(
  ports: Ports,
  options: RecordOptions,
  {domain, selector, record}: KeyEntry,
  choice: PublishChoice | undefined,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const person = `Delete the record ${record.name} from the DNS, if it is there: its key never signed.`;
  if (choice === undefined) return [person];
  const wanted = {domain, selector, name: record.name, value: record.value};
  const done = await withdrawRecord(ports, options, choice, wanted, signal);
  if (!done.ok) return [`NOT DONE: ${visible(done.problem.message)} ${visible(done.problem.hint)}`, person];
  return done.value === 'withdrawn' ? [`done: Deleted ${record.name}: its key never signed.`] : [];
}
