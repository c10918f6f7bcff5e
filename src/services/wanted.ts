/** What the user wants of this host: which domains sign, with which key, and how. */
import type {DomainName, Selector} from '../domain/names.ts';
import type {AbsolutePath} from '../domain/paths.ts';

export interface StagedKey {
  readonly stagedPath: AbsolutePath;
  /** Hex SHA-256 of the PEM file. */
  readonly sha256: string;
}

export interface WantedDomain {
  readonly domain: DomainName;
  readonly selector: Selector;
  readonly key: StagedKey;
  /**
   * The selector of the key that this one replaces: every row that signs as the domain with that key moves to the new
   * one, be it for one address, a subdomain or another domain. Absent for a set-up, which has no key before it.
   */
  readonly replaces?: Selector;
  /** One key for several domains of the plan: it is put in place once, and each domain has a row that names it. */
  readonly shared?: boolean;
}

export interface Wanted {
  readonly domains: readonly WantedDomain[];
  /** `auto` keeps a socket that Postfix can reach, else makes the unix socket below its queue directory. */
  readonly socket: 'auto' | 'unix' | {readonly inetPort: number};
  /** `relaxed/simple`; '' keeps what is set. */
  readonly canonicalization: string;
  /** Hosts besides this one whose mail is signed: addresses, networks, `.domain`. */
  readonly trustedHosts: readonly string[];
  readonly subdomains: boolean;
  /**
   * What becomes of whoever else signs here (HostFacts.otherSigners): `switch` turns their signing off with this plan,
   * `leave` keeps them. Kept and named where nothing is said.
   */
  readonly otherSigners?: 'switch' | 'leave';
}
