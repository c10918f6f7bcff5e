/** What a look at Postfix found, beyond what every MTA says of itself. */
import type {AbsolutePath} from '../../domain/paths.ts';
import type {MtaFacts} from '../facts.ts';

/** One `-o name=value` of a service in master.cf that concerns milters. */
export interface ServiceOverride {
  /** `submission/inet`. */
  readonly service: string;
  readonly name: string;
  readonly value: string;
}

export interface PostfixFacts extends MtaFacts {
  readonly kind: 'postfix';
  readonly configDirectory: AbsolutePath;
  readonly queueDirectory: AbsolutePath;
  /** chroot flag by service: `smtp/inet` → true. */
  readonly chroot: Readonly<Record<string, boolean>>;
  readonly mydomain: string;
  readonly myorigin: string;
  readonly mydestination: readonly string[];
  readonly virtualDomains: readonly string[];
  /** Values as written (unexpanded); '' where not set. */
  readonly smtpdMilters: string;
  readonly nonSmtpdMilters: string;
  readonly milterDefaultAction: string;
  readonly internalMailFilterClasses: string;
  readonly contentFilter: string;
  readonly overrides: readonly ServiceOverride[];
  readonly mainCf: AbsolutePath;
}

/** The facts of Postfix, where that is the mail server. */
export const postfixOf = ({mta}: {readonly mta: MtaFacts | undefined}): PostfixFacts | undefined =>
  mta !== undefined && isPostfix(mta) ? mta : undefined;

const isPostfix = (mta: MtaFacts): mta is PostfixFacts => mta.kind === 'postfix';
