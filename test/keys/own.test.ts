/** What of waxseal's own can be relied on: by kind, owner and mode. */
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {STATE_DIRECTORY} from '../../src/domain/places.ts';
import {judgeOwn} from '../../src/keys/index.ts';
import type {FileStat} from '../../src/system/ports.ts';

const FILE = absolute(`${STATE_DIRECTORY}/state.json`);

const judged = (path: typeof FILE, kind: FileStat['kind'], mode: number, uid = 0): string => {
  const wrong = judgeOwn(path, {kind, mode, uid}, path === FILE ? 'file' : 'directory');
  return wrong === undefined ? 'right' : `${wrong.id}: ${wrong.message}`;
};

describe('a file of its own', () => {
  it.each([
    ['600', 0, 'right'],
    ['400', 0, 'right'],
    ['700', 0, 'right'],
    ['640', 0, 'read'],
    ['610', 0, 'read'],
    ['604', 0, 'read'],
    ['601', 0, 'read'],
    ['620', 0, 'changed'],
    ['602', 0, 'changed'],
    ['666', 0, 'changed'],
    ['600', 1000, 'changed'],
    ['400', 1000, 'changed'],
  ])('with mode %s of user %i: %s', (mode, uid, might) => {
    expect(judged(FILE, 'file', Number.parseInt(mode, 8), uid)).toBe(
      might === 'right'
        ? 'right'
        : `state.unsafe: ${FILE} isn't root's alone: other users might have ${might} it.`,
    );
  });

  it('is a file and nothing else', () => {
    expect(judged(FILE, 'directory', 0o700)).toBe(`state.kind: ${FILE} is not a file.`);
    expect(judged(FILE, 'symlink', 0o777)).toBe(`state.kind: ${FILE} is not a file but a symbolic link.`);
    expect(judged(FILE, 'other', 0o600)).toBe(`state.kind: ${FILE} is not a file.`);
  });
});

it.each([
  ['711', 'right'],
  ['700', 'right'],
  ['755', 'read'],
  ['715', 'read'],
  ['713', 'changed'],
  ['731', 'changed'],
])('the state directory lets others pass, not look: %s is %s', (mode, might) => {
  expect(judged(STATE_DIRECTORY, 'directory', Number.parseInt(mode, 8))).toContain(might);
});
