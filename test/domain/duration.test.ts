import {expect, test} from 'vitest';
import {formatDuration, formatMoment, parseDuration} from '../../src/domain/duration.ts';

test.each([
  ['2026-11-23T10:00:00.000Z', 'down', '2026-11-23 10:00 UTC'],
  ['2026-11-23T10:00:00.000Z', 'up', '2026-11-23 10:00 UTC'],
  ['2026-11-23T10:00:55.475Z', 'down', '2026-11-23 10:00 UTC'],
  ['2026-12-31T23:59:00.001Z', 'up', '2027-01-01 00:00 UTC'],
  ['2026-11-23T12:00:00+02:00', 'down', '2026-11-23 10:00 UTC'],
  ['', 'down', ''],
  ['soon', 'up', 'soon'],
] as const)('the moment %j, rounded %s, is %j', (iso, round, text) => {
  expect(formatMoment(iso, round)).toBe(text);
});

test.each([
  ['90s', 90_000, '1 m 30 s'],
  ['2m', 120_000, '2 m'],
  ['1h30m', 5_400_000, '1 h 30 m'],
  ['15', 15_000, '15 s'],
] as const)('the duration %s is %d ms, and %j for people', (text, ms, told) => {
  expect(parseDuration(text)).toEqual({ok: true, value: ms});
  expect(formatDuration(ms)).toBe(told);
});

test.each(['soon', '2x', '', '-1s', '31d', '1m 2s'])('%j is no duration', text => {
  expect(parseDuration(text)).toMatchObject({ok: false, problem: {id: 'duration.syntax'}});
});
