/** All that one change wants of the signer of this host, in one request: steps, trial and remarks come from one final text. */
import type {SocketEndpoint} from '../domain/endpoint.ts';
import type {DomainName, DomainSelector, Selector} from '../domain/names.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import type {Problem} from '../domain/result.ts';
import type {Attachment} from './facts.ts';
import type {Step} from './step.ts';
import type {Trial} from './trial.ts';

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

/** How the signer works from then on. What is absent stays as it is. */
export interface SignerSettings {
  /** `auto` keeps a socket that the MTA can reach, else makes the unix socket that it can. */
  readonly socket?: 'auto' | 'unix' | {readonly inetPort: number};
  /** `relaxed/simple`; '' keeps what is set. */
  readonly canonicalization?: string;
  /** Hosts besides this one whose mail is signed: addresses, networks, `.domain`. */
  readonly trustedHosts?: readonly string[];
  /** Whether mail of every subdomain is signed, too. */
  readonly subdomains?: boolean;
}

export interface SigningIntent {
  readonly sign?: readonly WantedDomain[];
  /** Mail that is signed no more. Private keys stay where they are: mail under way still needs their records. */
  readonly stop?: readonly DomainName[];
  /** Keys that are gone: their rows go, where nothing refers to them. A signer takes that over when it next reads them. */
  readonly forget?: readonly DomainSelector[];
  readonly settings?: SignerSettings;
  /**
   * What becomes of whoever else signs here (HostFacts.rivals): `switch` turns their signing off with this plan, `leave`
   * keeps them. Kept and named where nothing is said.
   */
  readonly rivals?: 'switch' | 'leave';
}

export interface SignerChange {
  /** Private keys and directories: never taken back once tables may have named them. */
  readonly place: readonly Step[];
  /** Tables, configuration, check, reload or restart. */
  readonly switch: readonly Step[];
  /** Afterwards. */
  readonly attachment: Attachment | undefined;
  /** Where it was once meant to answer. */
  readonly former: readonly SocketEndpoint[];
  /** Of the final texts of `switch`; undefined where nothing new signs. */
  readonly trial: Trial | undefined;
  /** Rows that a rotation cannot move, `file:line: row`: they would sign with the replaced key afterwards, too. */
  readonly keptRows: readonly string[];
  /** What is odd and stays, or what was decided and may surprise. */
  readonly remarks: readonly Problem[];
}
