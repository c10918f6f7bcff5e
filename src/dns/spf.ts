/** check_host() of RFC 7208: whether an address may send for a domain, and by which term. */
import {type DnsName, parseDnsName} from '../domain/names.ts';
import {addressOctets, isInNetwork, reverseName} from './address.ts';
import type {DnsPorts} from './client.ts';
import {type ResolverOptions, resolve} from './resolver.ts';
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

interface Term {
  readonly text: string;
  readonly qualifier: SpfResult;
  readonly name: string;
  readonly argument: string | undefined;
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

const MECHANISM =
  /^([-+~?]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?::([^\s/]+))?(\/\d{1,3})?(?:\/(\/\d{1,3}))?$/i;

/** @throws SpfError permerror: one wrong term spoils the record, wherever it stands (§4.6). */
function parseSpf(text: string): SpfRecord {
  const terms: Term[] = [];
  let redirect: string | undefined;
  for (const word of text.trim().split(/ +/).slice(1)) {
    const modifier = /^([a-z][a-z0-9_.-]*)=(.*)$/i.exec(word);
    if (modifier !== null) {
      if (modifier[1]?.toLowerCase() !== 'redirect') continue;
      if (redirect !== undefined || modifier[2] === '')
        throw new SpfError('permerror', `"${word}" is not allowed there`);
      redirect = modifier[2];
    } else terms.push(parseMechanism(word));
  }
  return {terms, redirect};
}

function parseMechanism(word: string): Term {
  const wrong = new SpfError('permerror', `"${word}" is no term of SPF`);
  const match = MECHANISM.exec(word);
  if (match === null) throw wrong;
  const [, sign = '', kind = '', argument, first, second] = match;
  const name = kind.toLowerCase();
  const lengths = [first, second].map(each =>
    each === undefined ? undefined : Number(each.replace(/\//g, '')),
  );
  const isNetwork = name === 'ip4' || name === 'ip6';
  const six = name === 'ip6' ? lengths[0] : lengths[1];
  const four = name === 'ip6' ? undefined : lengths[0];
  const isBad =
    (isNetwork || name === 'include' || name === 'exists'
      ? argument === undefined
      : name === 'all' && (argument !== undefined || first !== undefined)) ||
    (isNetwork && second !== undefined) ||
    (['include', 'exists', 'ptr', 'all'].includes(name) && (first !== undefined || second !== undefined)) ||
    (four ?? 0) > 32 ||
    (six ?? 0) > 128;
  if (isBad) throw wrong;
  return {
    text: word,
    qualifier: QUALIFIERS[sign === '' ? '+' : sign] ?? 'pass',
    name,
    argument,
    four: four ?? 32,
    six: six ?? 128,
  };
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
    const records = texts.filter(text => /^v=spf1(?: |$)/i.test(text));
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

  #inOwnNetwork(term: Term): boolean {
    const network = addressOctets(term.argument ?? '');
    const length = term.name === 'ip4' ? 4 : 16;
    if (network?.length !== length)
      throw new SpfError('permerror', `"${term.text}" has no ${term.name} address`);
    return isInNetwork(this.#address, network, length === 4 ? term.four : term.six);
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
      throw new SpfError('permerror', `"${term.text}" leads to ${targets.length} hosts`);
    for (const target of targets) {
      if (await this.#hasAddress(target, term)) return `${term.text} > ${target}`;
    }
    return undefined;
  }

  async #throughPtr(term: Term, domain: DnsName): Promise<string | undefined> {
    this.#count();
    const wanted = this.#nameOf(term.argument, domain);
    const reverse = await this.#ask(reverseName(this.#address) as DnsName, 'PTR');
    const names = reverse.answers.flatMap(record => (record.type === 'PTR' ? [record.target] : []));
    for (const name of names.slice(0, MAX_NAMES)) {
      const isBelow = name === wanted || name.endsWith(`.${wanted}`);
      if (isBelow && (await this.#hasAddress(name, {...term, four: 32, six: 128})))
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
      throw new SpfError('permerror', `"${text}" is no domain name`);
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
