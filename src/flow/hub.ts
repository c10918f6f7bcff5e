/** What the hub shows: each key of the host in a few words. */
import {type DomainName, displayDomain, type Selector} from '../domain/names.ts';
import {visible} from '../domain/text.ts';
import {ageOf, type Due, entryFinder, type RotationState} from '../rotation/index.ts';

const HUB_ACTIONS = ['rotate', 'advance', 'resume', 'check', 'record', 'remove', 'setup', 'leave'] as const;
export type HubAction = (typeof HUB_ACTIONS)[number];

export interface HubRow {
  readonly domain: DomainName;
  /** As a person writes the domain. */
  readonly name: string;
  readonly selector: Selector;
  /** `RSA 2048`, `Ed25519`. */
  readonly key: string;
  /** `12 d`: since it signs, or since it was made. */
  readonly age: string;
  readonly state: string;
  readonly next: string;
  /** Not before; '' where it is not time that is waited for. */
  readonly when: string;
  /** When the next step comes, in ten columns: a date, a time of today, or who must act first. */
  readonly due: string;
  readonly level: Due['level'];
  /** A key is on its way for this domain: there is something to go on with. */
  readonly isBegun: boolean;
}

export interface HubChoice {
  readonly action: HubAction;
  readonly row: HubRow | undefined;
}

const DAY = 86_400_000;

/** A row for every key that has a next step, as the hub lists them. */
export function hubRows(
  state: RotationState,
  all: readonly Due[],
  now: Date,
  localTime: (at: Date) => string,
): readonly HubRow[] {
  const begun = new Set(
    state.keys.filter(key => ['staged', 'pending', 'ready'].includes(key.state)).map(({domain}) => domain),
  );
  const find = entryFinder(state);
  return all.flatMap(step => {
    const key = find(step);
    if (key === undefined) return [];
    return [
      {
        domain: key.domain,
        name: displayDomain(key.domain),
        selector: key.selector,
        key: key.algorithm === 'rsa' ? `RSA ${key.bits}` : 'Ed25519',
        age: `${Math.floor(ageOf(key, state, now) / DAY)} d`,
        state: key.state,
        next: visible(step.text),
        when: step.notBefore === undefined ? '' : `Not before ${localTime(step.notBefore)}`,
        due: shortly(step, now, localTime),
        level: step.level,
        isBegun: begun.has(key.domain),
      },
    ];
  });
}

const WAITS: Readonly<Record<Due['waitsFor'], string>> = {
  nobody: 'now',
  nothing: '',
  time: '',
  dns: 'the DNS',
  queue: 'the queue',
  person: 'you',
  clock: 'the clock',
};

function shortly({waitsFor, notBefore}: Due, now: Date, localTime: (at: Date) => string): string {
  if (notBefore === undefined) return WAITS[waitsFor];
  const [date = '', time = ''] = localTime(notBefore).split(' ');
  return localTime(now).startsWith(`${date} `) ? time : date;
}

/** What a letter does, and what it is called; the same in every view. */
export const HUB_KEYS: readonly (readonly [letter: string, what: string, action: HubAction])[] = [
  ['r', 'rotate', 'rotate'],
  ['a', 'advance', 'advance'],
  ['u', 'resume', 'resume'],
  ['c', 'check', 'check'],
  ['s', 'show record', 'record'],
  ['d', 'remove', 'remove'],
  ['n', 'new set-up', 'setup'],
  ['q', 'leave', 'leave'],
];
