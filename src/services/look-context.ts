/** What every detector of a look at the host gets. */
import type {Problem} from '../domain/result.ts';
import type {Layout} from '../layouts/layout.ts';
import type {Ports} from '../system/ports.ts';

/** A look reads files, asks commands and resolves users; it gets no port that could do more. */
export type LookPorts = Pick<Ports, 'files' | 'commands' | 'users' | 'process'>;

export interface LookContext {
  readonly ports: LookPorts;
  readonly layout: Layout | undefined;
  readonly systemd: boolean;
  readonly signal: AbortSignal | undefined;
}

/** What a look at a daemon found; no facts are not even asked for where its program is not installed. */
export interface Found<F> {
  readonly facts: F;
  /** What forbids going on, and what is odd. */
  readonly blockers: readonly Problem[];
  readonly remarks: readonly Problem[];
}
