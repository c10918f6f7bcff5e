/**
 * What a set-up may do with a domain, by the keys that waxseal knows of it. The one rule: the key that signs is replaced
 * by a rotation alone, which waits until the new record is known everywhere and moves every row of the old key.
 */
import {formatMoment} from '../domain/duration.ts';
import type {ExitCode} from '../domain/errors.ts';
import type {DomainName, Selector} from '../domain/names.ts';
import {type Problem, problem} from '../domain/result.ts';
import {isComing, type KeyEntry} from '../rotation/index.ts';

/** What the rule looks at, of each key of one domain. */
export type RuledKey = Pick<KeyEntry, 'selector' | 'state' | 'standby'>;

export type SetupStart =
  /** Nothing signs: a new key is made, and one on its way with another selector is given up. */
  | {readonly start: 'new'}
  /** Nothing signs, and this key is on its way. */
  | {readonly start: 'continue'; readonly selector: Selector}
  /** This key signs, and stays what signs. */
  | {readonly start: 'signing'; readonly selector: Selector}
  /** Not for a set-up: `by` replaces the key that signs, and its rotation has begun. */
  | {readonly start: 'rotation'; readonly signing: Selector; readonly by: Selector; readonly isRunning: true}
  /** Not for a set-up: `by` would replace the key that signs; undefined where that selector was used before. */
  | {
      readonly start: 'rotation';
      readonly signing: Selector;
      readonly by: Selector | undefined;
      readonly isRunning: false;
    };

/**
 * How a set-up begins for a domain. A key that stands by is no rotation until somebody asks for it.
 *
 * @param keys those of the domain alone
 * @param wished the selector that a person names; absent: none
 */
export function setupStart(keys: readonly RuledKey[], wished?: Selector): SetupStart {
  const signing = keys.find(({state}) => state === 'active');
  const coming = keys.find(key => isComing(key) && key.standby !== true);
  if (signing === undefined) {
    return coming === undefined || (wished !== undefined && wished !== coming.selector)
      ? {start: 'new'}
      : {start: 'continue', selector: coming.selector};
  }
  if (coming !== undefined) {
    return {start: 'rotation', signing: signing.selector, by: coming.selector, isRunning: true};
  }
  if (wished === undefined || wished === signing.selector)
    return {start: 'signing', selector: signing.selector};
  const isUsed = keys.some(key => key.selector === wished && !isComing(key));
  return {start: 'rotation', signing: signing.selector, by: isUsed ? undefined : wished, isRunning: false};
}

/**
 * Why a set-up stops here, and how to continue: `rotate.running` or `rotate.needed`.
 *
 * @param notBefore when the scheduler lets the new key sign; absent where that is not known yet
 */
export function rotationProblem(
  domain: DomainName,
  {signing, by, isRunning}: Extract<SetupStart, {start: 'rotation'}>,
  notBefore?: Date,
): Problem {
  const rotate = `waxseal rotate --domain ${domain}`;
  if (!isRunning) {
    return problem(
      'rotate.needed',
      `${domain} already signs with ${signing}. Only a rotation replaces that key.`,
      by === undefined
        ? `Leave its selector out. For a new key, run: ${rotate}`
        : `Run: ${rotate} --selector ${by}`,
    );
  }
  return problem(
    'rotate.running',
    `${domain} is in a key rotation: ${by} replaces ${signing}.`,
    notBefore === undefined
      ? `Continue with: ${rotate}`
      : `${by} can sign from ${formatMoment(notBefore.toISOString(), 'up')}. Continue then with: ${rotate}`,
  );
}

/**
 * The exit code of such a Problem, or of a key that another run changed; undefined for any other. A rotation that runs
 * ends: who comes again is not refused.
 */
export const startExitCode = ({id}: Pick<Problem, 'id'>): ExitCode | undefined =>
  id === 'rotate.running' ? 3 : id === 'rotate.needed' ? 2 : id === 'key.other-run' ? 8 : undefined;
