import {fail, ok, problem, type Result} from './result.ts';

const UNIT_MS: Readonly<Record<string, number>> = {ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000};

/** Parses `90s`, `2m`, `1h30m`, `250ms`; a bare number is seconds. Result in milliseconds, 30 days at most. */
export function parseDuration(text: string): Result<number> {
  const trimmed = text.trim().toLowerCase();
  const refuse = (): Result<number> =>
    fail(
      problem(
        'duration.syntax',
        `${JSON.stringify(text)} is not a duration.`,
        'Write it as 90s, 2m, 1h30m or 2d.',
      ),
    );
  if (/^\d{1,7}$/.test(trimmed)) return limited(Number(trimmed) * 1000, refuse);
  const parts = [...trimmed.matchAll(/(\d{1,7})(ms|s|m|h|d)/gy)];
  if (parts.length === 0 || parts.map(part => part[0]).join('') !== trimmed) return refuse();
  return limited(
    parts.reduce((sum, part) => sum + Number(part[1]) * (UNIT_MS[part[2] ?? ''] ?? 0), 0),
    refuse,
  );
}

const limited = (ms: number, refuse: () => Result<number>): Result<number> =>
  ms <= 30 * 86_400_000 ? ok(ms) : refuse();

/** A duration for people, two units at most: `2 m 5 s`, `3 h`, `7 d`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const units: readonly (readonly [string, number])[] = [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ];
  const parts: string[] = [];
  let rest = seconds;
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 && parts.length < 2) parts.push(`${count} ${unit}`);
    else if (parts.length > 0) break;
  }
  return parts.length === 0 ? '0 s' : parts.join(' ');
}

/**
 * A moment for people, to the minute: `2026-11-23 10:00 UTC`. `up` where somebody has to wait until then. Text that is no
 * time (ISO 8601) is given back as it is.
 */
export function formatMoment(iso: string, round: 'down' | 'up' = 'down'): string {
  const minutes = Date.parse(iso) / 60_000;
  if (Number.isNaN(minutes)) return iso;
  const whole = round === 'up' ? Math.ceil(minutes) : Math.floor(minutes);
  return `${new Date(whole * 60_000).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
