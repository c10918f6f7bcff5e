/** check_host() of RFC 7208: whether an address may send for a domain, and by which term. */
import {type DnsName, isWithin, parseDnsName} from '../domain/names.ts';
import {addressOctets, isInNetwork, reverseName} from './address.ts';
import type {DnsPorts} from './client.ts';
import {excerpt} from './evidence.ts';
import {type ResolverOptions, resolve, resolveOnlyText} from './resolver.ts';
import {expandMacros} from './spf-macro.ts';
import type {DnsMessage, QueryType} from './wire.ts';

export type SpfResult = 'none' | 'neutral' | 'pass' | 'fail' | 'softfail' | 'temperror' | 'permerror';

export interface SpfVerdict {
  readonly address: string;
  readonly result: SpfResult;
  /** The term that decided, with the domain of its record: `include:_spf.example.net > ip4:192.0.2.0/24`. Foreign text. */
  readonly by: string | undefined;
  /** What went wrong, for temperror and permerror. Foreign text in it. */
  readonly reason: string | undefined;
  /** Terms that asked the DNS (RFC 7208 §4.6.4: 10 at most), and questions without an answer (2 at most). */
  readonly lookups: number;
  readonly voidLookups: number;
}

export interface SpfQuestion {
  readonly domain: DnsName;
  /** Of the host that sends. */
  readonly address: string;
  /** Local part of the envelope sender. Default `postmaster`. */
  readonly local?: string;
  /** Default: the domain. */
  readonly helo?: string;
}

const MAX_LOOKUPS = 10;
const MAX_VOID = 2;
/** Names of one mx or ptr term (§4.6.4). */
const MAX_NAMES = 10;

/** Ends the evaluation: no term after it counts. */
class SpfError extends Error {
  readonly result: 'temperror' | 'permerror';
  constructor(result: 'temperror' | 'permerror', message: string) {
    super(message);
    this.result = result;
  }
}

interface Matched {
  readonly result: SpfResult;
  readonly by: string | undefined;
}

/** Asks the resolver. Never rejects but with the reason of the signal. */
export async function evaluateSpf(
  ports: DnsPorts,
  question: SpfQuestion,
  options: ResolverOptions,
): Promise<SpfVerdict> {
  const {address} = question;
  const octets = addressOctets(address);
  const base = {address, by: undefined, reason: undefined, lookups: 0, voidLookups: 0};
  if (octets === undefined) return {...base, result: 'none', reason: 'that is no address'};
  const walk = new SpfWalk(ports, question, octets, options);
  try {
    const {result, by} = await walk.check(question.domain);
    return {...base, ...walk.counted(), result, by};
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof SpfError)) throw error;
    return {...base, ...walk.counted(), result: error.result, reason: error.message};
  }
}

/** Records whose terms are counted at most: one that includes itself would never end. */
const MAX_COUNTED = 30;

/**
 * Terms that ask the DNS (§4.6.4), those of all records that are included with them: what a receiver needs that finds the
 * sender in none. Names with macros are counted, but not followed.
 */
export async function countLookups(
  ports: DnsPorts,
  record: string,
  options: ResolverOptions,
): Promise<number> {
  let count = 0;
  const records = [record];
  for (let read = 0; read < Math.min(records.length, MAX_COUNTED); read++) {
    for (const name of lookupsIn(records[read] ?? '')) {
      count++;
      if (name === undefined || records.length >= MAX_COUNTED) continue;
      const included = await resolveOnlyText(ports, name, options, isSpfRecord);
      if (included !== undefined) records.push(included);
    }
  }
  return count;
}

/** One entry a term that asks: the name whose record is read for it, undefined for terms of another kind. */
function lookupsIn(text: string): readonly (DnsName | undefined)[] {
  try {
    const {terms, redirect} = parseSpf(text);
    const end = terms.findIndex(({name}) => name === 'all');
    const asking = (end < 0 ? terms : terms.slice(0, end)).filter(({network}) => network === undefined);
    const follow = end < 0 && redirect !== undefined ? [redirect] : [];
    return [
      ...asking.map(({name, argument}) => (name === 'include' ? plainName(argument) : undefined)),
      ...follow.map(plainName),
    ];
  } catch (error) {
    // A record in error asks nobody: that it is one is said elsewhere.
    if (error instanceof SpfError) return [];
    throw error;
  }
}

function plainName(text: string | undefined): DnsName | undefined {
  const name = parseDnsName(text ?? '');
  return name.ok && name.value !== '' ? name.value : undefined;
}

/** RFC 7208 §4.5: the version, then a blank or the end. */
export const isSpfRecord = (text: string): boolean => /^v=spf1(?: |$)/i.test(text);

interface Term {
  readonly text: string;
  readonly qualifier: SpfResult;
  readonly name: string;
  readonly argument: string | undefined;
  /** Octets of the address of ip4 and ip6. */
  readonly network: Uint8Array | undefined;
  readonly four: number;
  readonly six: number;
}

interface SpfRecord {
  readonly terms: readonly Term[];
  readonly redirect: string | undefined;
}

const QUALIFIERS: Readonly<Record<string, SpfResult>> = {
  '+': 'pass',
  '-': 'fail',
  '~': 'softfail',
  '?': 'neutral',
};

/** A name may have a slash in it, as in `%{l/}`; lengths of networks stand at the end (§5.6). */
const MECHANISM =
  /^([-+~?]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?::(\S+?))?(\/(?:0|[1-9]\d{0,2}))?(?:\/(\/(?:0|[1-9]\d{0,2})))?$/i;

/** @throws SpfError permerror: one wrong term spoils the record, wherever it stands (§4.6). */
function parseSpf(text: string): SpfRecord {
  const terms: Term[] = [];
  const known = new Map<string, string>();
  for (const word of text.trim().split(/ +/).slice(1)) {
    const modifier = /^([a-z][a-z0-9_.-]*)=(.*)$/i.exec(word);
    if (modifier === null) {
      terms.push(parseMechanism(word));
      continue;
    }
    const [, given = '', value = ''] = modifier;
    const name = given.toLowerCase();
    const isOurs = name === 'redirect' || name === 'exp';
    if (isOurs ? known.has(name) || !isDomainSpec(value) : !isMacroString(value)) {
      throw new SpfError('permerror', `"${excerpt(word)}" is not allowed there`);
    }
    if (isOurs) known.set(name, value);
  }
  return {terms, redirect: known.get('redirect')};
}

/** §7.1: visible ASCII, every `%` a macro. */
const isMacroString = (text: string): boolean =>
  /^[\x21-\x7e]*$/.test(text) && expandMacros(text, NOBODY) !== undefined;

/** §7.1: it ends with a macro, or with a dot and a top-level label, which is not all digits. */
const isDomainSpec = (text: string): boolean =>
  isMacroString(text) &&
  (/%\{[^}]*\}\.?$/.test(text) || /\.(?!\d+\.?$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.?$/i.test(text));

/** For reading macros without anybody to expand them for. */
const NOBODY = {local: 'l', senderDomain: 'd', domain: 'd', address: new Uint8Array(4), helo: 'h'};

function parseMechanism(word: string): Term {
  const wrong = (): SpfError => new SpfError('permerror', `"${excerpt(word)}" is no term of SPF`);
  const match = MECHANISM.exec(word);
  if (match === null) throw wrong();
  const [, sign = '', kind = '', argument, first, second] = match;
  const name = kind.toLowerCase();
  const lengths = [first, second].map(each =>
    each === undefined ? undefined : Number(each.replace(/\//g, '')),
  );
  const isNetwork = name === 'ip4' || name === 'ip6';
  const network = isNetwork ? networkOf(name, argument) : undefined;
  const six = name === 'ip6' ? lengths[0] : lengths[1];
  const four = name === 'ip6' ? undefined : lengths[0];
  const isBad =
    (isNetwork
      ? network === undefined || second !== undefined
      : argument !== undefined && !isDomainSpec(argument)) ||
    ((name === 'include' || name === 'exists') && argument === undefined) ||
    (name === 'all' && argument !== undefined) ||
    (['include', 'exists', 'ptr', 'all'].includes(name) && (first !== undefined || second !== undefined)) ||
    (four ?? 0) > 32 ||
    (six ?? 0) > 128;
  if (isBad) throw wrong();
  return {
    text: word,
    qualifier: QUALIFIERS[sign === '' ? '+' : sign] ?? 'pass',
    name,
    argument,
    network,
    four: four ?? 32,
    six: six ?? 128,
  };
}

/** IPv4 in dots, IPv6 in its own notation, an IPv4-mapped one too. */
function networkOf(name: string, argument = ''): Uint8Array | undefined {
  return (name === 'ip6') === argument.includes(':') ? addressOctets(argument) : undefined;
}

/** Undefined where the DNS had a fault. */
async function orNothing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof SpfError && error.result === 'temperror') return undefined;
    throw error;
  }
}

class SpfWalk {
  readonly #ports: DnsPorts;
  readonly #question: SpfQuestion;
  readonly #address: Uint8Array;
  readonly #options: ResolverOptions;
  #lookups = 0;
  #voids = 0;

  constructor(ports: DnsPorts, question: SpfQuestion, address: Uint8Array, options: ResolverOptions) {
    this.#ports = ports;
    this.#question = question;
    this.#address = address;
    this.#options = options;
  }

  counted(): {readonly lookups: number; readonly voidLookups: number} {
    return {lookups: this.#lookups, voidLookups: this.#voids};
  }

  async check(domain: DnsName): Promise<Matched> {
    const message = await this.#ask(domain, 'TXT');
    const texts = message.answers.flatMap(record => (record.type === 'TXT' ? [record.text] : []));
    const records = texts.filter(isSpfRecord);
    const [text] = records;
    if (text === undefined) return {result: 'none', by: undefined};
    if (records.length > 1) throw new SpfError('permerror', `${domain} has ${records.length} SPF records`);
    const record = parseSpf(text);
    for (const term of record.terms) {
      const match = await this.#matches(term, domain);
      if (match !== undefined) return {result: term.qualifier, by: match};
    }
    if (record.redirect === undefined) return {result: 'neutral', by: undefined};
    return await this.#redirect(record.redirect, domain);
  }

  async #redirect(target: string, domain: DnsName): Promise<Matched> {
    this.#count();
    const name = this.#nameOf(target, domain);
    const {result, by} = await this.check(name);
    if (result === 'none') throw new SpfError('permerror', `redirect=${name} has no SPF record`);
    return {result, by: `redirect=${name}${by === undefined ? '' : ` > ${by}`}`};
  }

  /** The term as evidence where it matches. */
  async #matches(term: Term, domain: DnsName): Promise<string | undefined> {
    switch (term.name) {
      case 'all':
        return term.text;
      case 'ip4':
      case 'ip6':
        return this.#inOwnNetwork(term) ? term.text : undefined;
      case 'include':
        return await this.#included(term, domain);
      case 'a':
        this.#count();
        return (await this.#hasAddress(this.#nameOf(term.argument, domain), term)) ? term.text : undefined;
      case 'mx':
        return await this.#throughMx(term, domain);
      case 'exists': {
        this.#count();
        const message = await this.#ask(this.#nameOf(term.argument, domain), 'A');
        return message.answers.some(record => record.type === 'A') ? term.text : undefined;
      }
      default:
        return await this.#throughPtr(term, domain);
    }
  }

  #inOwnNetwork({name, network, four, six}: Term): boolean {
    // An IPv4-mapped network of ip6 holds nobody: such senders count as IPv4 (§5).
    if (network?.length !== (name === 'ip4' ? 4 : 16)) return false;
    return isInNetwork(this.#address, network, name === 'ip4' ? four : six);
  }

  async #included(term: Term, domain: DnsName): Promise<string | undefined> {
    this.#count();
    const name = this.#nameOf(term.argument, domain);
    const {result, by} = await this.check(name);
    if (result === 'none') throw new SpfError('permerror', `include:${name} has no SPF record`);
    return result === 'pass' ? `${term.text}${by === undefined ? '' : ` > ${by}`}` : undefined;
  }

  async #throughMx(term: Term, domain: DnsName): Promise<string | undefined> {
    this.#count();
    const message = await this.#ask(this.#nameOf(term.argument, domain), 'MX');
    const targets = message.answers.flatMap(record => (record.type === 'MX' ? [record.target] : []));
    if (targets.length > MAX_NAMES)
      throw new SpfError('permerror', `"${excerpt(term.text)}" leads to ${targets.length} hosts`);
    for (const target of targets) {
      if (await this.#hasAddress(target, term)) return `${term.text} > ${target}`;
    }
    return undefined;
  }

  async #throughPtr(term: Term, domain: DnsName): Promise<string | undefined> {
    this.#count();
    const wanted = this.#nameOf(term.argument, domain);
    // §5.5: what cannot be looked up does not match; it is no error of the whole.
    const reverse = await orNothing(this.#ask(reverseName(this.#address) as DnsName, 'PTR'));
    const names = (reverse?.answers ?? []).flatMap(record => (record.type === 'PTR' ? [record.target] : []));
    for (const name of names.slice(0, MAX_NAMES)) {
      const isBelow = isWithin(name, wanted);
      if (isBelow && (await orNothing(this.#hasAddress(name, {...term, four: 32, six: 128}))) === true)
        return `${term.text} > ${name}`;
    }
    return undefined;
  }

  async #hasAddress(name: DnsName, {four, six}: Pick<Term, 'four' | 'six'>): Promise<boolean> {
    const isFour = this.#address.length === 4;
    const message = await this.#ask(name, isFour ? 'A' : 'AAAA');
    return message.answers.some(record => {
      const octets =
        record.type === 'A' || record.type === 'AAAA' ? addressOctets(record.address) : undefined;
      return octets !== undefined && isInNetwork(this.#address, octets, isFour ? four : six);
    });
  }

  #count(): void {
    this.#lookups++;
    if (this.#lookups > MAX_LOOKUPS)
      throw new SpfError('permerror', `more than ${MAX_LOOKUPS} terms ask the DNS`);
  }

  #nameOf(text: string | undefined, domain: DnsName): DnsName {
    if (text === undefined) return domain;
    const {domain: senderDomain, local = 'postmaster', helo = senderDomain} = this.#question;
    const expanded = expandMacros(text, {local, senderDomain, domain, address: this.#address, helo});
    // §7.3: a name that is too long loses labels from the left.
    let name = (expanded ?? '').replace(/\.$/, '');
    while (name.length > 253 && name.includes('.')) name = name.slice(name.indexOf('.') + 1);
    const parsed = parseDnsName(name);
    if (expanded === undefined || !parsed.ok || parsed.value === '') {
      throw new SpfError('permerror', `"${excerpt(text)}" is no domain name`);
    }
    return parsed.value;
  }

  async #ask(name: DnsName, type: QueryType): Promise<DnsMessage> {
    const resolved = await resolve(this.#ports, {name, type}, this.#options);
    if (resolved.kind !== 'answer') throw new SpfError('temperror', `${name} ${type} could not be looked up`);
    const {message} = resolved;
    // A missing record is an error of its own, not a void lookup (§4.5, §5.2).
    if (type !== 'TXT' && !message.answers.some(record => record.type === type)) {
      this.#voids++;
      if (this.#voids > MAX_VOID) {
        throw new SpfError(
          'permerror',
          `more than ${MAX_VOID} names in the record lead nowhere, the last is ${name}`,
        );
      }
    }
    return message;
  }
}
