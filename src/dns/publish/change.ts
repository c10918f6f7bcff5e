import type {DnsName, DomainName, Selector} from '../../domain/names.ts';
import type {AuthoritativeServer} from '../survey.ts';

/** One TXT record that is to be there, or to be gone. */
export interface RecordChange {
  readonly action: 'add' | 'remove';
  /** The mail domain and the selector that it is for. */
  readonly domain: DomainName;
  readonly selector: Selector;
  /** Where the record has to be: where an alias (CNAME, DNAME) leads, if there is one. */
  readonly name: DnsName;
  readonly zone: DnsName;
  readonly relativeName: string;
  readonly value: string;
  /** The value as quoted strings of a zone file, on one line. */
  readonly quoted: string;
  readonly ttlSeconds: number;
  /** True where another TXT record is at the name, which has to go: two records make both useless. */
  readonly replaces: boolean;
  /** MNAME of the zone, and all its servers. */
  readonly primary: DnsName;
  readonly servers: readonly AuthoritativeServer[];
}

/** One program to run. Nothing in `argv` is secret: every user of the host can read it. */
export interface Program {
  readonly argv: readonly [string, ...string[]];
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}
