/** What a look at the host found. Plain data: it is shown, decided on and put into snapshots. */

import type {DomainName} from '../domain/names.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import type {Problem} from '../domain/result.ts';
import type {Distribution, Layout} from '../layouts/layout.ts';
import type {ServiceManagerName} from './manager.ts';
import type {OpenDkimFacts} from './opendkim/facts.ts';
import type {PostfixFacts} from './postfix/facts.ts';

export interface OtherSigner {
  readonly name: 'rspamd' | 'amavis' | 'dkimpy-milter' | 'dkim-milter' | 'dkimproxy' | 'opendkim';
  /** How it was found: a milter entry, a running unit, a configuration file. */
  readonly evidence: string;
  readonly signs: 'yes' | 'perhaps' | 'no';
  /** Where its signing is switched on and off; absent where waxseal does not know it. */
  readonly configFile?: AbsolutePath;
  readonly unit?: string;
  /** Whose mail it signs; absent where nobody looked. */
  readonly domains?: OtherDomains;
}

/** What the configuration of another signer says about whose mail it signs. */
export interface OtherDomains {
  /** Lower case. */
  readonly known: readonly string[];
  /** What could not be read or names no domain, for a person: more may be signed than is known. */
  readonly unread: readonly string[];
}

export interface HostFacts {
  readonly distribution: Distribution;
  readonly layout: Layout | undefined;
  readonly serviceManager: ServiceManagerName;
  readonly hostname: string;
  readonly privileged: boolean;
  readonly mta: PostfixFacts | undefined;
  /** Where there is no Postfix: the name of the mail server that is there, or the path of its sendmail(1). */
  readonly otherMta?: string;
  readonly signer: OpenDkimFacts | undefined;
  readonly rivals: readonly OtherSigner[];
  /** Packages that are missing and that waxseal can install. */
  readonly missingPackages: readonly string[];
  /** Domains found in the MTA's own configuration, best guess first. */
  readonly mailDomains: readonly DomainName[];
  /** What forbids going on (exit 5), each with its hint; empty on a supported host. */
  readonly blockers: readonly Problem[];
  /** What is odd but no obstacle. */
  readonly remarks: readonly Problem[];
  /** Programs that could enter records into the DNS, the one that did last first; undefined where nobody looked. */
  readonly publishers?: readonly PublisherFact[];
}

export interface PublisherFact {
  /** As the answer to the question: `nsupdate key=/etc/bind/waxseal.key`. */
  readonly publish: string;
  /** A program with what it needs, beside it: `Dynamic update with the key waxseal.key`. */
  readonly label: string;
  /** It entered the records of a domain before. */
  readonly remembered: boolean;
}

export type {DomainSelector} from '../domain/names.ts';
