/**
 * Programs behind a signer of which nothing is known but that a test message came through them and verified. That counts
 * as long as the line that names the program is what it was then. Only reads.
 */
import {type AbsolutePath, below} from '../domain/paths.ts';
import {STATE_DIRECTORY} from '../domain/places.ts';
import {sourceText} from '../domain/source.ts';
import {oddKind} from '../keys/index.ts';
import type {Breaker, Entrance} from '../services/mta.ts';
import type {Files} from '../system/ports.ts';

/** One program on one way in, as it was named at `at`. */
export interface Shown {
  readonly entrance: string;
  /** Instance of the mail server; '' where there is one. */
  readonly instance: string;
  readonly name: string;
  readonly value: string;
  /** The place of the line, as text. */
  readonly source: string;
  /** When the message came through: ISO 8601, UTC. */
  readonly at: string;
}

export const SHOWN_FILE: AbsolutePath = below(STATE_DIRECTORY, 'shown.json');

/** True for a milter: a filter would carry a test message on, so that none is sent. */
export const canBeShown = ({isUnknown, where}: Breaker): boolean =>
  isUnknown === true && where === 'later-milter';

/** What a test message on this way would settle. */
export const toBeShown = (entrance: Entrance): readonly Omit<Shown, 'at'>[] =>
  entrance.breakers.filter(canBeShown).map(breaker => nameOf(entrance, breaker));

const nameOf = ({id, instance}: Entrance, {decision: {name, value, source}}: Breaker): Omit<Shown, 'at'> => ({
  ...{entrance: id, instance, name, value},
  source: sourceText(source),
});

export const sameWay = (one: Omit<Shown, 'at'>, other: Omit<Shown, 'at'>): boolean =>
  one.entrance === other.entrance &&
  one.instance === other.instance &&
  one.name === other.name &&
  one.value === other.value &&
  one.source === other.source;

/** The ways without what was shown to do no harm, and what was. */
export function settled(
  entrances: readonly Entrance[],
  known: readonly Shown[],
): {readonly entrances: readonly Entrance[]; readonly shown: readonly Shown[]} {
  const shown: Shown[] = [];
  const open = entrances.map(entrance => {
    const breakers = entrance.breakers.filter(breaker => {
      const name = nameOf(entrance, breaker);
      const proof = canBeShown(breaker) ? known.find(each => sameWay(each, name)) : undefined;
      if (proof !== undefined) shown.push(proof);
      return proof === undefined;
    });
    return breakers.length === entrance.breakers.length ? entrance : {...entrance, breakers};
  });
  return {entrances: open, shown};
}

/** Nothing where the file is missing or damaged: then it has to be shown again. */
export async function readShown(files: Pick<Files, 'read' | 'stat'>): Promise<readonly Shown[]> {
  if ((await oddKind(files, SHOWN_FILE)) !== undefined) return [];
  const content = await files.read(SHOWN_FILE, {follow: false});
  try {
    const value: unknown = content === undefined ? undefined : JSON.parse(Buffer.from(content).toString());
    return isObject(value) && value['version'] === 1 && Array.isArray(value['shown'])
      ? value['shown'].filter(isShown)
      : [];
  } catch {
    return [];
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

const isShown = (value: unknown): value is Shown =>
  isObject(value) &&
  ['entrance', 'instance', 'name', 'value', 'source', 'at'].every(key => typeof value[key] === 'string') &&
  !Number.isNaN(Date.parse(String(value['at'])));
