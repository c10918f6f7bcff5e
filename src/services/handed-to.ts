/** What a mail server hands mail to, as the other programs of the host are looked for. Pure. */
import type {SocketEndpoint} from '../domain/endpoint.ts';
import type {Entrance, Pass} from './mta.ts';

/** A milter, or a content filter, that mail is handed to. */
export interface HandedTo {
  /** As it is written, without options, made harmless. */
  readonly text: string;
  readonly endpoint: SocketEndpoint | undefined;
  /** For a sentence: the setting that names it. */
  readonly evidence: string;
}

/** Every milter, in the order of the ways in; one that several ways lead to is there several times. */
export const milters = (entrances: readonly Entrance[]): readonly HandedTo[] =>
  passesOf(entrances).flatMap(({milters, decidedBy, byClient}) =>
    [{milters, decision: decidedBy[0]}, ...byClient].flatMap(list =>
      'fatal' in list.milters
        ? []
        : list.milters.map(hop => {
            const text = hop.text.split(/[\s,{}]+/).find(Boolean) ?? '';
            return {text, endpoint: hop.endpoint, evidence: `${list.decision?.name ?? ''} has ${text}`};
          }),
    ),
  );

/** Every content filter, as {@link milters}. */
export const filters = (entrances: readonly Entrance[]): readonly HandedTo[] =>
  passesOf(entrances).flatMap(({next}) =>
    next === undefined || next.by === 'hold'
      ? []
      : [{text: next.to, endpoint: undefined, evidence: `${next.decision.name} is ${next.to}`}],
  );

const passesOf = (entrances: readonly Entrance[]): readonly Pass[] => entrances.flatMap(({passes}) => passes);
