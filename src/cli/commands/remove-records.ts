import type {DomainName} from '../../domain/names.ts';
import {visible} from '../../domain/text.ts';
import {abandonKeys, isComing} from '../../flow/real/key-book.ts';
import {withdrawRecord} from '../../flow/real/publishing.ts';
import {advance, publisherFor} from '../../flow/real/rotation-advance.ts';
import type {KeyEntry} from '../../rotation/index.ts';
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
  const {keys} = await stateOf(ports);
  const own = keys.filter(key => domains.includes(key.domain) && key.state !== 'removed');
  if (own.length === 0 || own.some(key => key.state === 'active')) return {outcome: {}, lines: []};
  const publish = publishFlag(context);
  const options = {
    resolvers: resolversOf(context.flags),
    environment: context.outside.environment,
    ...(publish === undefined ? {} : {publish}),
  };
  const lines: string[] = [];
  for (const key of own.filter(isComing)) {
    lines.push(...(await giveUp(context, ports, options, key)));
  }
  const result = await advance(ports, {...options, domains, dryRun: false}, () => undefined, context.signal);
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

/** A key that was on its way has nowhere to go any more, and no mail needs its record. */
async function giveUp(
  context: Context,
  ports: Ports,
  options: Parameters<typeof withdrawRecord>[1] & Parameters<typeof publisherFor>[1],
  key: KeyEntry,
): Promise<readonly string[]> {
  const {domain, selector, record, state} = key;
  const choice = publisherFor(await stateOf(ports), options, domain);
  const wanted = {domain, selector, name: record.name, value: record.value};
  const person = `Delete the record ${record.name} from the DNS, if it is there: its key never signed.`;
  const lines: string[] = [];
  if (state !== 'staged' && choice === undefined) lines.push(person);
  if (state !== 'staged' && choice !== undefined) {
    const done = await withdrawRecord(ports, options, choice, wanted, context.signal);
    if (done.ok && done.value === 'withdrawn')
      lines.push(`done: Deleted ${record.name}: its key never signed.`);
    if (!done.ok) {
      lines.push(`NOT DONE: ${visible(done.problem.message)} ${visible(done.problem.hint)}`, person);
    }
  }
  await abandonKeys(ports, [key], 'signing was stopped for the domain');
  return lines;
}
