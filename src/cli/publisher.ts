/** The program that enters records, as the command line names it, and as the state remembers it. */
import {nameOfPublisher, type PublishChoice, parsePublish} from '../dns/publish/index.ts';
import {givenFrom} from '../flow/given.ts';
import {publisherFor, type Wish, wishOf} from '../jobs/rotate/wishes.ts';
import {type Due, entryFinder, type RotationFacts, type RotationState} from '../rotation/index.ts';
import {type FlagValues, textOf} from './arguments.ts';
import type {Context} from './context.ts';
import {taken} from './usage.ts';

/** Flags that name files, as whole paths. */
export function pathsOf(context: Pick<Context, 'pathOf'>, flags: FlagValues): FlagValues {
  const named = ['key', 'tsig-key', 'lexicon-config'].flatMap(name => {
    const text = textOf(flags, name);
    return text === undefined ? [] : [[name, context.pathOf(text)] as const];
  });
  const hook = /^hook:(.+)$/.exec(textOf(flags, 'publish') ?? '')?.[1];
  return {
    ...Object.fromEntries(named),
    ...(hook === undefined ? {} : {publish: `hook:${context.pathOf(hook)}`}),
  };
}

/** `--publish` and what belongs to it; undefined where nothing was said. Throws UsageError for one that means nothing. */
export function publishFlag(context: Pick<Context, 'flags' | 'pathOf'>): PublishChoice | undefined {
  const {publish} = taken(givenFrom({...context.flags, ...pathsOf(context, context.flags)}));
  return publish === undefined ? undefined : taken(parsePublish(publish));
}

const WOULD: Readonly<Record<Wish, string>> = {
  enter: 'would enter',
  revoke: 'would empty (p=)',
  withdraw: 'would delete',
};

/** What a dry run would have a program do in the DNS now; a line each. */
export function wishLines(
  state: RotationState,
  all: readonly Due[],
  facts: RotationFacts,
  publish: PublishChoice | undefined,
): readonly string[] {
  const find = entryFinder(state);
  return all.flatMap(step => {
    const key = find(step);
    const wish = key === undefined ? undefined : wishOf(key, step, facts);
    const choice = publisherFor(state, publish === undefined ? {} : {publish}, step.domain);
    if (key === undefined || wish === undefined || choice === undefined) return [];
    return [`${nameOfPublisher(choice)} ${WOULD[wish]}: ${key.record.name}`];
  });
}
