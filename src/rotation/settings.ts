/** How long everything takes: /etc/waxseal/rotation.conf, lines `name = value`. */
import {fail, ok, problem, type Result} from '../domain/result.ts';
import {visible} from '../domain/text.ts';

export interface RotationSettings {
  /** Age at which a signing key is due for replacement; M3AAWG advises half a year. */
  readonly intervalMs: number;
  /** How long before that it is mentioned. */
  readonly remindMs: number;
  /** Age at which a key that is still not replaced is a warning. */
  readonly overdueMs: number;
  /** Added to the negative-cache time before a new key signs. */
  readonly marginMs: number;
  /** Added to queue life and TTL before a record is withdrawn. */
  readonly safetyMs: number;
  /** A record stays at least so long after the switch. */
  readonly floorMs: number;
  /** How long the empty record stays. */
  readonly revokedMs: number;
  /** A next key is always published in advance. */
  readonly standby: boolean;
  /** What becomes of the private key of a removed selector. */
  readonly disposal: 'shred' | 'publish' | 'keep';
  /** Where `publish` puts it. */
  readonly publishDirectory: string;
  /** Who gets a mail when a person must act; '' for nobody. */
  readonly mail: string;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const DEFAULT_SETTINGS: RotationSettings = {
  intervalMs: 180 * DAY,
  remindMs: 14 * DAY,
  overdueMs: 365 * DAY,
  marginMs: 10 * MINUTE,
  safetyMs: DAY,
  floorMs: 7 * DAY,
  revokedMs: 30 * DAY,
  standby: false,
  disposal: 'shred',
  publishDirectory: '/var/lib/waxseal/retired',
  mail: '',
};

const DURATIONS: Readonly<Record<string, keyof RotationSettings>> = {
  interval: 'intervalMs',
  remind: 'remindMs',
  overdue: 'overdueMs',
  margin: 'marginMs',
  safety: 'safetyMs',
  floor: 'floorMs',
  revoked: 'revokedMs',
};

/** Problem `rotation.settings` for a line that means nothing, with its number: a typing error must not shorten a wait. */
export function parseSettings(text: string): Result<RotationSettings> {
  let settings = DEFAULT_SETTINGS;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.replace(/(^|\s)#.*$/, '').trim();
    if (line === '') continue;
    const match = /^([a-z-]+)\s*=(.*)$/.exec(line);
    const changed = match === null ? undefined : settingOf(match[1] ?? '', (match[2] ?? '').trim());
    if (changed === undefined) {
      return fail(
        problem(
          'rotation.settings',
          `Line ${index + 1} of rotation.conf cannot be used: ${visible(line.slice(0, 60))}`,
          `Names: ${[...Object.keys(DURATIONS), 'standby', 'disposal', 'publish-directory', 'mail'].join(', ')}; durations as 90s, 4h, 30d.`,
        ),
      );
    }
    settings = {...settings, ...changed};
  }
  return ok(settings);
}

function settingOf(name: string, value: string): Partial<RotationSettings> | undefined {
  const duration = Object.hasOwn(DURATIONS, name) ? DURATIONS[name] : undefined;
  if (duration !== undefined) {
    const ms = longDuration(value);
    return ms === undefined ? undefined : {[duration]: ms};
  }
  switch (name) {
    case 'standby':
      return value === 'yes' || value === 'no' ? {standby: value === 'yes'} : undefined;
    case 'disposal':
      return value === 'shred' || value === 'publish' || value === 'keep' ? {disposal: value} : undefined;
    case 'publish-directory':
      return /^\/[^\0]+$/.test(value) ? {publishDirectory: value} : undefined;
    case 'mail':
      // An address, never an option of sendmail(1).
      return value === '' || /^[A-Za-z0-9_][^\s,<>]*$/.test(value) ? {mail: value} : undefined;
    default:
      return undefined;
  }
}

const UNITS: Readonly<Record<string, number>> = {s: 1000, m: MINUTE, h: HOUR, d: DAY};

/** `90s`, `4h`, `180d`; ten years at most. */
export function longDuration(text: string): number | undefined {
  const match = /^(\d{1,9})\s*([smhd])$/.exec(text.trim());
  const ms = Number(match?.[1] ?? Number.NaN) * (UNITS[match?.[2] ?? ''] ?? Number.NaN);
  return Number.isFinite(ms) && ms <= 3650 * DAY ? ms : undefined;
}
