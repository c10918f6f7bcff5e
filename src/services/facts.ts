/** What a look at the host found. Plain data: it is shown, decided on and put into snapshots. */

import type {DomainName} from '../domain/names.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import type {Problem} from '../domain/result.ts';
import type {Distribution, Layout} from '../layouts/layout.ts';
import type {ServiceManagerName} from './manager.ts';

/** One `-o name=value` of a service in master.cf that concerns milters. */
export interface ServiceOverride {
  /** `submission/inet`. */
  readonly service: string;
  readonly name: string;
  readonly value: string;
}

export interface PostfixFacts {
  readonly version: string;
  readonly configDirectory: AbsolutePath;
  readonly queueDirectory: AbsolutePath;
  readonly running: boolean;
  /** True where smtpd or cleanup are chrooted: the milter's socket must lie below the queue directory. */
  readonly chrooted: boolean;
  /** chroot flag by service: `smtp/inet` → true. */
  readonly chroot: Readonly<Record<string, boolean>>;
  readonly myhostname: string;
  readonly mydomain: string;
  readonly myorigin: string;
  readonly mydestination: readonly string[];
  readonly virtualDomains: readonly string[];
  readonly relayhost: string;
  /** Values as written (unexpanded); '' where not set. */
  readonly smtpdMilters: string;
  readonly nonSmtpdMilters: string;
  readonly milterDefaultAction: string;
  readonly internalMailFilterClasses: string;
  readonly contentFilter: string;
  readonly overrides: readonly ServiceOverride[];
  /** Unit that reloads it: `postfix.service`, `postfix@-.service`. */
  readonly unit: string;
  readonly mainCf: AbsolutePath;
}

export interface KnownKey {
  /** Name in the key table; '' for the single Domain/Selector/KeyFile form. */
  readonly label: string;
  readonly domain: string;
  readonly selector: string;
  readonly path: string;
}

export interface OpenDkimFacts {
  readonly version: string;
  readonly configFile: AbsolutePath;
  /** Effective values by lower-case parameter name; the last of a duplicated parameter wins. */
  readonly settings: Readonly<Record<string, string>>;
  readonly keys: readonly KnownKey[];
  /** Domains that are signed today, from SigningTable or Domain. */
  readonly signedDomains: readonly string[];
  readonly unit: string;
  readonly active: boolean;
  /** The unit's own PIDFile= and a `-p` in ExecStart= that overrides Socket. */
  readonly unitPidFile: string;
  readonly socketOverride: string;
  readonly user: string;
  readonly group: string;
  /** User= of the unit; absent where it starts as root and UserID decides. */
  readonly unitUser?: string;
  /** Group= and SupplementaryGroups= of the unit: names or numbers; absent where it sets none. */
  readonly unitGroup?: string;
  readonly unitGroups?: readonly string[];
  /** The account that OpenDKIM changes to once it runs, `USER` or `USER:GROUP`: `-u` of the unit, else UserID; absent where neither is set. */
  readonly changesTo?: string;
  /** Where OpenDKIM was once meant to listen: /etc/default/opendkim. Postfix may still look for it there. */
  readonly formerSockets?: readonly string[];
}

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
  readonly postfix: PostfixFacts | undefined;
  /** Where there is no Postfix: the name of the mail server that is there, or the path of its sendmail(1). */
  readonly otherMta?: string;
  readonly opendkim: OpenDkimFacts | undefined;
  readonly otherSigners: readonly OtherSigner[];
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
