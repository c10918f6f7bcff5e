/**
 * The contract of every program that may sign mail on a host, be it the one that waxseal sets up or another: how it is
 * found, with which keys it signs, and how its signing ends.
 */
import type {SocketEndpoint} from '../domain/endpoint.ts';
import type {Files} from '../system/ports.ts';
import type {HostFacts, Rival, SignerFacts} from './facts.ts';
import type {KeyReader, SignerRow} from './key-rows.ts';
import type {LookContext} from './look-context.ts';
import type {Entrance, Pass} from './mta.ts';
import type {CheckStep, ServiceStep} from './step.ts';

/** What is known already when others than the signer that waxseal serves are looked for. */
export interface RivalContext extends LookContext {
  /** Every way in of the mail server; none where there is none. */
  readonly entrances: readonly Entrance[];
  /** The signer that waxseal serves. */
  readonly signer: SignerFacts | undefined;
  /** Of the units that the programs name, those that are active. */
  readonly active: ReadonlySet<string>;
}

export interface KeyRowReads {
  readonly files: Pick<Files, 'inspect' | 'list' | 'resolve' | 'readLink'>;
  readonly keys: KeyReader;
}

/** How the signing of a program ends while its other work goes on. */
export type SwitchOff =
  /** It is a milter and nothing else: its entry leaves the lists of the mail server. */
  | {readonly by: 'milter'; isEntry(entry: string): boolean}
  | {
      readonly by: 'configuration';
      /** The text of `Rival.configFile`; unchanged where it says so already, or has no such line. */
      edit(text: string): string;
      readonly check: readonly CheckStep[];
      readonly action: ServiceStep['action'];
      /** Until the new configuration holds. Milliseconds. */
      readonly steadyMs: number;
    };

export interface SigningProgram {
  /** Name of its folder below services/, or in services/by-name. */
  readonly kind: string;
  /** Under which it may run. */
  readonly units: readonly string[];
  /** Undefined where it is not on this host, or is the signer that waxseal serves. */
  rival(context: RivalContext): Promise<Rival | undefined>;
  /** Every row that it signs by. What cannot be read is a row of its own, which counts as a use of any key. */
  keyRows(reads: KeyRowReads, facts: HostFacts): Promise<readonly SignerRow[]>;
  /** Absent where waxseal does not know it. */
  readonly switchOff?: SwitchOff;
}

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
