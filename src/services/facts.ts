/** What a look at the host found. Plain data: it is shown, decided on and put into snapshots. */

import type {SocketEndpoint} from '../domain/endpoint.ts';
import type {DomainName} from '../domain/names.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import type {Problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {Distribution, Layout} from '../layouts/layout.ts';
import type {ServiceManagerName} from './manager.ts';

/** What every MTA says of itself. */
export interface MtaFacts {
  /** Name of its folder below services/. */
  readonly kind: string;
  /** As its makers write it. */
  readonly program: string;
  readonly version: string;
  readonly running: boolean;
  readonly unit: string;
  /** Its own name; '' where none is set. */
  readonly hostname: string;
  /** Where it hands all mail to, as written; '' where it delivers itself. */
  readonly relay: string;
  /** True where processes that connect to milters are chrooted. */
  readonly chrooted: boolean;
}

export interface KnownKey {
  /** Name in the key table; '' for the single Domain/Selector/KeyFile form. */
  readonly label: string;
  readonly domain: string;
  readonly selector: string;
  readonly path: string;
  /** Named by a row in effect. */
  readonly used: boolean;
}

/** How signing hangs on the way of a message: a milter that the MTA asks, or the MTA itself as it delivers. */
export type Attachment = {readonly by: 'milter'; readonly endpoint: SocketEndpoint} | {readonly by: 'mta'};

/** What every signer says of itself; each adds what it alone reads, inside its own folder. */
export interface SignerFacts {
  /** Name of its folder below services/. */
  readonly kind: string;
  /** As its makers write it. */
  readonly program: string;
  readonly version: string;
  readonly unit: string;
  readonly active: boolean;
  readonly configFile: AbsolutePath;
  /** The account that signs. */
  readonly user: string;
  readonly group: string;
  /** User= of the unit; absent where it starts as root. */
  readonly unitUser?: string;
  /** Group= and SupplementaryGroups= of the unit: names or numbers; absent where it sets none. */
  readonly unitGroup?: string;
  readonly unitGroups?: readonly string[];
  /** The account that it changes to once it runs, `USER` or `USER:GROUP`; absent where nothing says one. */
  readonly changesTo?: string;
  /** Today; undefined where it is not set up. */
  readonly attachment: Attachment | undefined;
  readonly keys: readonly KnownKey[];
  /** Files whose writers choose with which keys it signs. */
  readonly keySources: readonly AbsolutePath[];
  /** Domains that are signed today. */
  readonly signedDomains: readonly string[];
}

/** Where a signer answers as a milter; undefined where it does not. */
export const milterEndpoint = (
  signer: Pick<SignerFacts, 'attachment'> | undefined,
): SocketEndpoint | undefined =>
  signer?.attachment?.by === 'milter' ? signer.attachment.endpoint : undefined;

/** A program other than the signer that waxseal serves, which signs mail of this host, or may. */
export interface Rival {
  /** As `SigningProgram.kind`. */
  readonly kind: string;
  /** As its makers write it. */
  readonly program: string;
  /** How it was found: a milter entry, a running unit, a configuration file. */
  readonly evidence: string;
  readonly signs: 'yes' | 'perhaps' | 'no';
  /** Where its signing is switched on and off; absent where waxseal does not know it. */
  readonly configFile?: AbsolutePath;
  readonly unit?: string;
  /** Whose mail it signs; absent where nobody looked. */
  readonly domains?: RivalDomains;
}

/** What the configuration of another signer says about whose mail it signs. */
export interface RivalDomains {
  /** Lower case. */
  readonly known: readonly string[];
  /** What could not be read or names no domain, for a person: more may be signed than is known. */
  readonly unread: readonly string[];
}

/** What nobody reads. */
export const unreadDomains = (what: string): RivalDomains => ({known: [], unread: [visible(what)]});

export interface HostFacts {
  readonly distribution: Distribution;
  readonly layout: Layout | undefined;
  readonly serviceManager: ServiceManagerName;
  readonly hostname: string;
  readonly privileged: boolean;
  readonly mta: MtaFacts | undefined;
  /** Where no mail server is known: the name of the one that is there, or the path of its sendmail(1). */
  readonly otherMta?: string;
  readonly signer: SignerFacts | undefined;
  readonly rivals: readonly Rival[];
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
