/** What every detector of a look at the host gets. */
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
