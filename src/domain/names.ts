import {domainToASCII, domainToUnicode} from 'node:url';
import {fail, ok, problem, type Result} from './result.ts';

/** A host or mail domain: lower-case A-labels (RFC 5890), at least two labels, no trailing dot. */
export type DomainName = string & {readonly __brand: 'DomainName'};

/** A DKIM selector: one or more LDH labels joined by dots, lower case (RFC 6376 §3.1). */
export type Selector = string & {readonly __brand: 'Selector'};

/** Any owner name in the DNS, underscores allowed: lower case, no trailing dot; the root is ''. */
export type DnsName = string & {readonly __brand: 'DnsName'};

const LDH_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const DNS_LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,62})$/;
const MAX_NAME = 253;

const shown = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);

/**
 * Parses a mail domain as a person types it: IDN in any form, upper case, a trailing dot, surrounding blanks.
 * Refuses addresses, URLs, wildcards, single labels and IP addresses, each with its own hint.
 */
export function parseDomain(text: string): Result<DomainName> {
  const trimmed = text.trim().replace(/\.$/, '');
  const refuse = (why: string, hint: string): Result<DomainName> =>
    fail(problem('domain.syntax', `${shown(text)} is not a mail domain: ${why}.`, hint));
  if (trimmed === '')
    return refuse('it is empty', 'Give the part after the @ of your addresses, as example.org.');
  if (trimmed.includes('@')) {
    const after = trimmed.slice(trimmed.lastIndexOf('@') + 1);
    return refuse('it is an address', `Give only the part after the @: ${after || 'example.org'}.`);
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) || trimmed.includes('/')) {
    return refuse('it looks like a URL', 'Give only the domain, as example.org.');
  }
  if (trimmed.includes('*')) {
    return refuse(
      'a wildcard cannot be signed for',
      'Name each domain; subdomains are covered by their own setting.',
    );
  }
  if (/^[0-9.]+$/.test(trimmed) || trimmed.includes(':')) {
    return refuse('it is an IP address', 'Give the domain in the From address of your mail.');
  }
  if (/(^|\.)[0-9]+$/.test(trimmed)) return refuse('its last label is a number', 'Check the spelling.');
  const ascii = domainToASCII(trimmed).toLowerCase();
  if (ascii === '') return refuse('it has characters that no domain can have', 'Check the spelling.');
  const labels = ascii.split('.');
  if (labels.some(label => label === ''))
    return refuse('it has an empty label', 'Remove the doubled or leading dot.');
  const bad = labels.find(label => !LDH_LABEL.test(label));
  if (bad !== undefined) {
    return refuse(
      `the label ${shown(bad)} may have only letters, digits and inner hyphens, 63 at most`,
      'Check the spelling.',
    );
  }
  if (labels.length < 2) return refuse('it has only one label', 'Give the full domain, as example.org.');
  if (ascii.length > MAX_NAME)
    return refuse(`it is longer than ${MAX_NAME} characters`, 'Check the spelling.');
  return ok(ascii as DomainName);
}

/**
 * Parses a selector. Strict on purpose: it becomes a file name and a DNS name (daemons/opendkim.md#tools).
 */
export function parseSelector(text: string): Result<Selector> {
  const lower = text.trim().toLowerCase();
  const refuse = (why: string): Result<Selector> =>
    fail(
      problem(
        'selector.syntax',
        `${shown(text)} is not a selector: ${why}.`,
        'Use letters, digits and inner hyphens, as 202611 or mail-a.',
      ),
    );
  if (lower === '') return refuse('it is empty');
  if (lower.includes('_domainkey')) return refuse('"._domainkey" is added by itself');
  if (lower.length > 120) return refuse('it is longer than 120 characters');
  if (!lower.split('.').every(label => LDH_LABEL.test(label))) {
    return refuse('each label may have only letters, digits and inner hyphens, 63 at most');
  }
  return ok(lower as Selector);
}

/** Parses an owner name as DNS software prints it. The root is '.' or ''. */
export function parseDnsName(text: string): Result<DnsName> {
  const lower = text.trim().toLowerCase().replace(/\.$/, '');
  if (lower === '') return ok('' as DnsName);
  if (lower.length > MAX_NAME || !lower.split('.').every(label => DNS_LABEL.test(label))) {
    return fail(problem('dns-name.syntax', `${shown(text)} is not a DNS name.`, 'Check the spelling.'));
  }
  return ok(lower as DnsName);
}

/** Names a key: the pair of d= and s= (RFC 6376 §3.5). */
export interface DomainSelector {
  readonly domain: DomainName;
  readonly selector: Selector;
}

/** Owner name of a key record: selector._domainkey.domain (RFC 6376 §3.6.2.1). */
export const keyRecordName = (selector: Selector, domain: DomainName): DnsName =>
  `${selector}._domainkey.${domain}` as DnsName;

/** Name relative to the zone; `@` for the apex itself, as panels and zone files write it. */
export function relativeTo(name: DnsName, apex: DnsName): string {
  if (name === apex) return '@';
  return apex !== '' && isWithin(name, apex) ? name.slice(0, -(apex.length + 1)) : name;
}

/** A domain for people: the A-label, with the U-label in brackets where it differs. */
export function displayDomain(domain: DomainName): string {
  const unicode = domainToUnicode(domain);
  return unicode === '' || unicode === domain ? domain : `${domain} (${unicode})`;
}

/** True where `name` is `zone` or lies below it. */
export const isWithin = (name: string, zone: string): boolean =>
  zone === '' || name === zone || name.endsWith(`.${zone}`);
