/** What the hub shows: each key of the host in a few words. */
import {displayDomain} from '../domain/names.ts';
import {sourceText} from '../domain/source.ts';
import {visible} from '../domain/text.ts';
import type {KeyByHand} from '../host/index.ts';
import {ageOf, type Due, entryFinder, type KeyEntry, type RotationState} from '../rotation/index.ts';

export type HubAction =
  | 'rotate'
  | 'advance'
  | 'resume'
  | 'adopt'
  | 'check'
  | 'record'
  | 'remove'
  | 'setup'
  | 'leave';

export interface HubRow {
  readonly domain: string;
  /** As a person writes the domain. */
  readonly name: string;
  readonly selector: string;
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
  /** waxseal has no note of this key. */
  readonly isByHand: boolean;
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
        key: keyText(key),
        age: `${Math.floor(ageOf(key, state, now) / DAY)} d`,
        state: key.state,
        next: visible(step.text),
        when: step.notBefore === undefined ? '' : `Not before ${localTime(step.notBefore)}`,
        due: shortly(step, now, localTime),
        level: step.level,
        isBegun: begun.has(key.domain),
        isByHand: false,
      },
    ];
  });
}

/** A row for each key that waxseal did not make. */
export const byHandRows = (keys: readonly KeyByHand[]): readonly HubRow[] =>
  keys.map(({domain, selector, key, row, program}) => ({
    domain,
    name: visible(domain),
    selector: visible(selector),
    key: key.known ? keyText(key) : '',
    ...{age: '', state: 'by hand', when: '', due: 'adopt', level: 'ok', isBegun: false, isByHand: true},
    next: `${visible(program)} signs with it by the row "${visible(row.pattern)}" (${sourceText(row.source)}). Adopt it, so that waxseal rotates it.`,
  }));

const keyText = ({algorithm, bits}: Pick<KeyEntry, 'algorithm' | 'bits'>): string =>
  algorithm === 'rsa' ? `RSA ${bits}` : 'Ed25519';

/** What can be done about a row: there must be something to go on with, or to adopt. */
export const isOffered = (action: HubAction, row: HubRow | undefined): boolean =>
  action === 'resume'
    ? row?.isBegun === true
    : action === 'adopt'
      ? row?.isByHand === true
      : action !== 'advance' || row?.isByHand !== true;

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
  ['t', 'adopt', 'adopt'],
  ['c', 'check', 'check'],
  ['s', 'show record', 'record'],
  ['d', 'remove', 'remove'],
  ['n', 'new set-up', 'setup'],
  ['q', 'leave', 'leave'],
];
