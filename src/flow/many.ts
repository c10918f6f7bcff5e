/** What is said of many domains at once: counts and groups instead of a line for each. Pure. */
import type {ServerStatus, Survey} from '../dns/survey.ts';
import type {ChangeView} from '../plan/plan.ts';
import type {StagedDomain} from './operations.ts';
import type {State} from './state.ts';

/** With more domains than this a line for each says less than a count. */
export const MANY = 20;

export type Standing = 'everywhere' | 'waiting' | 'wrong';

/** Where a record stands: what has to be mended is told from what only takes its time. */
export function standingOf(survey: Survey | undefined): Standing {
  if (survey === undefined) return 'waiting';
  if (survey.settled) return 'everywhere';
  const isWrong = survey.servers.some(
    ({status, mistake}) =>
      status === 'wrong' || status === 'several' || (mistake !== undefined && !SILENT.has(status)),
  );
  return isWrong ? 'wrong' : 'waiting';
}

/** Nothing is known of the record at such a server; another round may find it there. */
const SILENT: ReadonlySet<ServerStatus> = new Set(['timeout', 'unreachable', 'asking']);

export type ByStanding = Readonly<Record<Standing, readonly StagedDomain[]>>;

/** The staged domains by what is known of their records. */
export function byStanding({staged, surveys}: Pick<State, 'staged' | 'surveys'>): ByStanding {
  const found: Record<Standing, StagedDomain[]> = {everywhere: [], waiting: [], wrong: []};
  for (const each of staged) found[standingOf(surveys[each.domain])].push(each);
  return found;
}

/** `613 of 1000 records are everywhere, 380 are waited for, 7 are wrong`. */
export function standingText({everywhere, waiting, wrong}: ByStanding): string {
  const of = everywhere.length + waiting.length + wrong.length;
  return [
    `${everywhere.length} of ${of} records are everywhere`,
    ...(waiting.length === 0 ? [] : [`${waiting.length} are waited for`]),
    ...(wrong.length === 0 ? [] : [`${wrong.length} ${wrong.length === 1 ? 'is' : 'are'} wrong`]),
  ].join(', ');
}

/** Changes of one kind below one directory. */
export interface ChangeGroup {
  readonly action: string;
  readonly count: number;
  readonly first: string;
  readonly last: string;
}

/** As many alike are named one by one. */
const FEW = 3;

/** From so many changes on they are told in groups first. */
export const MANY_CHANGES = 40;

/**
 * Changes alike (kind, action, place down to the second directory) as one where there are more than a few; in the order
 * of the first of each.
 */
export function changeGroups(changes: readonly ChangeView[]): readonly ChangeGroup[] {
  const alike = new Map<string, ChangeView[]>();
  for (const change of changes) {
    const key = [change.kind, change.action, ...change.target.split('/').slice(0, 3)].join(' ');
    const same = alike.get(key);
    if (same === undefined) alike.set(key, [change]);
    else same.push(change);
  }
  return [...alike.values()].flatMap(same =>
    same.length <= FEW ? same.map(each => groupOf([each])) : [groupOf(same)],
  );
}

const groupOf = (same: readonly ChangeView[]): ChangeGroup => ({
  action: same[0]?.action ?? '',
  count: same.length,
  first: same[0]?.target ?? '',
  last: same.at(-1)?.target ?? '',
});

/** `1000 times create, root:root 0600: /etc/dkimkeys/a/s.private to /etc/dkimkeys/z/s.private`. */
export const groupText = ({action, count, first, last}: ChangeGroup): string =>
  count === 1 ? `${first}: ${action}` : `${count} times ${action}: ${first} to ${last}`;

/** Each change; of many how many there are of each kind. */
export const changeTexts = (changes: readonly ChangeView[]): readonly string[] =>
  changes.length < MANY_CHANGES
    ? changes.map(change => `${change.target}: ${change.action}`)
    : changeGroups(changes).map(groupText);

/**
 * Of many changes the short diffs first: what happens to a configuration must not stand below the rows of a thousand domains.
 * A few stay in the order in which they are made.
 */
export const inReadingOrder = (changes: readonly ChangeView[]): readonly ChangeView[] =>
  changes.length < MANY_CHANGES
    ? changes
    : [
        ...changes.filter(isText).toSorted((one, other) => one.diff.length - other.diff.length),
        ...changes.filter(change => !isText(change)),
      ];

/** A diff of a text, not the notice that stands for a private key. */
const isText = ({diff}: ChangeView): boolean => diff.startsWith('--- ');
