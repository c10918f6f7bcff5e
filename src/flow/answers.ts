/** What a person decides. Every field has one Question and one flag; an absent field is not answered yet. */
import type {PublishChoice} from '../dns/publish/index.ts';
import type {DomainName, Selector} from '../domain/names.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import type {KeySpec} from '../system/ports.ts';

export type KeyChoice =
  /** `shared`: one key for all domains of the run; each still has its own record and its own copy of the file. */
  | {readonly source: 'generate'; readonly spec: KeySpec; readonly shared?: true}
  | {readonly source: 'import'; readonly path: AbsolutePath};

export type SocketChoice = 'auto' | 'unix' | {readonly inetPort: number};

/** Header and body canonicalization, RFC 6376 §3.4. */
export type CanonicalizationChoice =
  | 'relaxed/relaxed'
  | 'relaxed/simple'
  | 'simple/relaxed'
  | 'simple/simple';

export interface Answers {
  /** Install the packages that are missing. */
  readonly install?: boolean;
  /** Selectors of single domains: from a list, or of keys that they have already. The others get `selector`. */
  readonly selectors?: ReadonlyMap<DomainName, Selector>;
  /** Whoever else signs on this host: its signing is switched off, or goes on beside ours. */
  readonly otherSigner?: 'switch' | 'leave';
  readonly domains?: readonly DomainName[];
  readonly selector?: Selector;
  readonly key?: KeyChoice;
  /** `recommended` skips the questions below in the wizard. */
  readonly settings?: 'recommended' | 'change';
  readonly subdomains?: boolean;
  readonly trustedHosts?: readonly string[];
  readonly socket?: SocketChoice;
  readonly canonicalization?: CanonicalizationChoice;
  /** t=y in the record. */
  readonly testMode?: boolean;
  /** n= in the record; '' for none. */
  readonly note?: string;
  /** Who enters the record; absent: the person. */
  readonly publish?: PublishChoice;
}

export type QuestionId = keyof Answers;

/** The selector that a domain gets: its own, else the common one; undefined where neither is answered. */
export const selectorFor = (
  {selectors, selector}: Pick<Answers, 'selectors' | 'selector'>,
  domain: DomainName,
): Selector | undefined => selectors?.get(domain) ?? selector;
