/** Whose message it is, for OpenDKIM. */
import {visible} from '../../../domain/text.ts';
import {lowerCase} from './data-set.ts';
import type {NamedSet} from './model.ts';
import type {Trace} from './trace.ts';

export interface Author {
  readonly user: string;
  /** Lower case. */
  readonly domain: string;
  readonly address: string;
}

/** SenderMacro, then the first field of SenderHeaders that is there, then From. */
export function authorOf(trace: Trace): Author | undefined {
  const macro = trace.setting('SenderMacro');
  const ofMacro = macro === undefined ? undefined : trace.macro(macro.value);
  const headers = trace.set('SenderHeaders');
  const text = ofMacro?.replace(/^<(.*)>$/s, '$1') ?? senderField(trace, headers);
  const at = text.lastIndexOf('@');
  const [user, domain] = [text.slice(0, at), text.slice(at + 1)];
  if (at < 1 || domain === '') {
    trace.note(
      {name: 'From', value: text, source: trace.byDefault()},
      `"${visible(text)}" is no address, so OpenDKIM doesn't sign this mail.`,
    );
    return undefined;
  }
  const author = {user, domain: lowerCase(domain), address: `${user}@${lowerCase(domain)}`};
  const setting = ofMacro === undefined ? headers?.setting : macro;
  if (setting !== undefined) trace.note(setting, `${visible(author.address)} decides which key signs.`);
  return author;
}

function senderField(trace: Trace, headers: NamedSet | undefined): string {
  const {from, sender} = trace.asked;
  if (headers !== undefined && headers.set === undefined)
    trace.unread(headers.setting, trace.unreadable(headers));
  const names = headers?.set?.rows.map(row => lowerCase(row.key)) ?? [];
  const first = names.find(name => name === 'from' || name === 'sender');
  return first === 'sender' ? (sender ?? from) : from;
}

export function isExempt(trace: Trace, {domain}: Author): boolean {
  const exempt = trace.set('ExemptDomains');
  if (exempt === undefined) return false;
  const row = exempt.set === undefined ? 'unread' : exempt.set.first(domain);
  if (row === 'unread') return trace.unread(exempt.setting, trace.unreadable(exempt)) !== 'unknown';
  if (row === undefined) return false;
  trace.note(exempt.setting, `${visible(domain)} is in ExemptDomains, so OpenDKIM ignores this mail.`, row);
  return true;
}
