import {type DnsName, parseDomain} from '../domain/names.ts';
import {fromLatin1} from './octets.ts';

// sub-domain = Let-dig [Ldh-str] (RFC 5321 §4.1.2)
const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
// The underscore is outside that grammar but legal in the DNS and in use in selectors, so it is read, never written.
const SELECTOR_LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

// What nearly every signature has: lower case already, nothing to convert.
const PLAIN_DOMAIN = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * A name from d=, s= or i= as lower-case A-labels, or undefined where it is none. U-labels, which internationalized
 * mail may hold as UTF-8, become A-labels before anything is compared or looked up (RFC 8616 §5).
 *
 * @param text code units 0..255 holding UTF-8
 * @param what a domain has two labels at least
 */
export function toAscii(text: string, what: 'domain' | 'selector'): string | undefined {
  if (text.length > 1000) return undefined;
  if (what === 'domain' && text.length <= 253 && PLAIN_DOMAIN.test(text)) return text;
  const labels = text.split('.');
  if (labels.length < (what === 'domain' ? 2 : 1)) return undefined;
  const plain = what === 'domain' ? LABEL : SELECTOR_LABEL;
  const ascii: string[] = [];
  for (const label of labels) {
    if (plain.test(label)) {
      ascii.push(label.toLowerCase());
      continue;
    }
    const converted = NON_ASCII.test(label) ? labelToAscii(label) : undefined;
    if (converted === undefined) return undefined;
    ascii.push(converted);
  }
  const name = ascii.join('.');
  return name.length <= 253 ? name : undefined;
}

/**
 * Owner name of the key record (RFC 6376 §3.6.2.1), or undefined where it does not fit into the DNS. Both parts come
 * from {@link toAscii}, so their labels are right.
 */
export function keyName(selector: string, domain: string): DnsName | undefined {
  const name = `${selector}._domainkey.${domain}`;
  return name.length <= 253 ? (name as DnsName) : undefined;
}

const NON_ASCII = /[^\x00-\x7f]/;

// One label at a time, as a selector may be a single label, with one of our own beside it to make a domain.
function labelToAscii(label: string): string | undefined {
  const text = fromLatin1(label).toString('utf8');
  if (text.includes('\ufffd') || /[.\u3002\uff0e\uff61]/.test(text)) return undefined;
  const domain = parseDomain(`${text}.example`);
  return domain.ok ? domain.value.slice(0, -'.example'.length) : undefined;
}
