/** The rule between a set-up and a rotation, as a table. */
import {describe, expect, it} from 'vitest';
import {rotationProblem, type SetupStart, setupStart, startExitCode} from '../../src/flow/setup-rule.ts';
import {KEY_STATES, type KeyState} from '../../src/rotation/entry.ts';
import {domain, selector} from '../services/wanted.ts';

const key = (name: string, state: KeyState, standby?: true) => ({
  selector: selector(name),
  state,
  ...(standby === undefined ? {} : {standby}),
});

const shown = (start: SetupStart): string => {
  switch (start.start) {
    case 'new':
      return 'new';
    case 'continue':
    case 'signing':
      return `${start.start} ${start.selector}`;
    case 'rotation':
      return `rotation ${start.signing} > ${start.by}${start.isRunning ? ' running' : ''}`;
  }
};

const COMING: readonly KeyState[] = ['staged', 'pending', 'ready'];

describe('how a set-up begins', () => {
  const gone = KEY_STATES.filter(state => !COMING.includes(state) && state !== 'active');
  it.each([
    ['no key', [], undefined, 'new'],
    ['no key, a name', [], 'mine', 'new'],
    ...gone.map(state => [`only one that is ${state}`, [key('old', state)], undefined, 'new'] as const),
    ...COMING.flatMap(
      state =>
        [
          [`${state}`, [key('a', state)], undefined, 'continue a'],
          [`${state}, its name`, [key('a', state)], 'a', 'continue a'],
          [`${state}, another name`, [key('a', state)], 'b', 'new'],
          [
            `${state}, after one that signed`,
            [key('z', 'retiring'), key('a', state)],
            undefined,
            'continue a',
          ],
          [`${state} and active`, [key('s', 'active'), key('a', state)], undefined, 'rotation s > a running'],
          [
            `${state} and active, its name`,
            [key('s', 'active'), key('a', state)],
            'a',
            'rotation s > a running',
          ],
          [
            `${state} and active, the name that signs`,
            [key('s', 'active'), key('a', state)],
            's',
            'rotation s > a running',
          ],
          [
            `${state} and active, a third`,
            [key('a', state), key('s', 'active')],
            'c',
            'rotation s > a running',
          ],
          [`${state}, standing by`, [key('s', 'active'), key('a', state, true)], undefined, 'signing s'],
          [
            `${state}, standing by, its name`,
            [key('s', 'active'), key('a', state, true)],
            'a',
            'rotation s > a',
          ],
        ] as const,
    ),
    ['active', [key('s', 'active')], undefined, 'signing s'],
    ['active, its name', [key('s', 'active')], 's', 'signing s'],
    ...gone.map(
      state =>
        [
          `active, the name of one that is ${state}`,
          [key('o', state), key('s', 'active')],
          'o',
          'rotation s > undefined',
        ] as const,
    ),
    ['active, another name', [key('s', 'active')], 'b', 'rotation s > b'],
    [
      'active, others gone',
      gone.map(state => key(state, state)).concat(key('s', 'active')),
      undefined,
      'signing s',
    ],
  ] as const)('%s', (_, keys, wished, expected) => {
    expect(shown(setupStart(keys, wished === undefined ? undefined : selector(wished)))).toBe(expected);
  });
});

it('says how to continue, and when', () => {
  const running = {start: 'rotation', signing: selector('s'), by: selector('a'), isRunning: true} as const;
  const org = domain('example.org');
  expect(rotationProblem(org, running)).toEqual({
    id: 'rotate.running',
    message: 'example.org is in a key rotation: a replaces s.',
    hint: 'Continue with: waxseal rotate --domain example.org',
  });
  expect(rotationProblem(org, running, new Date('2026-11-29T15:10:31Z')).hint).toBe(
    'a can sign from 2026-11-29 15:11 UTC. Continue then with: waxseal rotate --domain example.org',
  );
  const needed = rotationProblem(org, {...running, isRunning: false});
  expect(needed).toEqual({
    id: 'rotate.needed',
    message: 'example.org already signs with s. Only a rotation replaces that key.',
    hint: 'Run: waxseal rotate --domain example.org --selector a',
  });
  expect(rotationProblem(org, {...running, by: undefined, isRunning: false}).hint).toBe(
    'Leave its selector out. For a new key, run: waxseal rotate --domain example.org',
  );
  expect([rotationProblem(org, running), needed, {...needed, id: 'other'}].map(startExitCode)).toEqual([
    3,
    2,
    undefined,
  ]);
});
