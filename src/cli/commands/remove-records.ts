import {nameOfPublisher, type PublishChoice} from '../../dns/publish/index.ts';
import type {DomainName} from '../../domain/names.ts';
import {visible} from '../../domain/text.ts';
import {abandonKeys, isComing} from '../../jobs/key-book.ts';
import {lookAtUses, whatUses} from '../../jobs/key-uses.ts';
import type {WorkOptions} from '../../jobs/options.ts';
import {withdrawRecord} from '../../jobs/publishing.ts';
import {advance, publisherFor} from '../../jobs/rotate/advance.ts';
import type {KeyEntry, RotationState} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {type Context, resolversOf} from '../context.ts';
import {dueLines, dueReports} from '../due-report.ts';
import {publishFlag} from '../publisher.ts';
import type {Outcome} from '../report.ts';
import {stateOf} from '../state-report.ts';

export interface AfterRemoval {
  readonly outcome: Partial<Outcome>;
  readonly lines: readonly string[];
}

/**
 * The records of domains that sign no more. Those of keys that never signed go at once; the others when no mail needs
 * them, by the same rules as in a rotation. The program in charge does it, or it is said what a person has to do.
 */
export async function withdrawRecords(
  context: Context,
  ports: Ports,
  domains: readonly DomainName[],
): Promise<AfterRemoval> {
  const before = await stateOf(ports);
  const own = keysOf(before, domains);
  if (own.length === 0 || own.some(key => key.state === 'active')) return {outcome: {}, lines: []};
  const publish = publishFlag(context);
  const options = {
    resolvers: resolversOf(context.flags),
    environment: context.outside.environment,
    ...(publish === undefined ? {} : {publish}),
  };
  const lines: string[] = [];
  const coming = own.filter(isComing);
  const uses = coming.length === 0 ? undefined : await lookAtUses(ports, context.signal);
  for (const key of coming) {
    const use = whatUses(key, before, uses?.(key) ?? []);
    if (use !== undefined) {
      lines.push(`Keep the record ${key.record.name}. ${use}`);
      continue;
    }
    const choice = publisherFor(before, options, key.domain);
    if (key.state !== 'staged') lines.push(...(await withdrawUnused(context, ports, options, key, choice)));
  }
  await abandonKeys(ports, coming, 'signing was stopped for the domain');
  const result = await advance(
    ports,
    {...options, domains, dryRun: false, lockHeld: true},
    () => undefined,
    context.signal,
  );
  const state = await stateOf(ports);
  return {
    outcome: {
      changed: result.changed,
      domains: dueReports(state, result.due, ports.clock.now()),
    },
    lines: [
      ...lines,
      ...result.done.map(text => `done: ${visible(text)}`),
      ...[...result.refused, ...result.failed].map(
        ({message, hint}) => `NOT DONE: ${visible(message)} ${visible(hint)}`,
      ),
      ...dueLines(result.due),
      ...(result.due.length === 0 ? [] : ['Go on with: waxseal rotate --advance (its timer does, too)']),
    ],
  };
}

/** What a removal will do with the records, for a dry run; a line a record. */
export function recordLines(
  context: Context,
  state: RotationState,
  domains: readonly DomainName[],
): readonly string[] {
  const publish = publishFlag(context);
  const options = publish === undefined ? {} : {publish};
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
  context: Context,
  ports: Ports,
  options: WorkOptions,
  {domain, selector, record}: KeyEntry,
  choice: PublishChoice | undefined,
): Promise<readonly string[]> {
  const person = `Delete the record ${record.name} from the DNS, if it is there: its key never signed.`;
  if (choice === undefined) return [person];
  const wanted = {domain, selector, name: record.name, value: record.value};
  const done = await withdrawRecord(ports, options, choice, wanted, context.signal);
  if (!done.ok) return [`NOT DONE: ${visible(done.problem.message)} ${visible(done.problem.hint)}`, person];
  return done.value === 'withdrawn' ? [`done: Deleted ${record.name}: its key never signed.`] : [];
}
