/** Whether clients log in to a service, and whether they speak TLS (SASL_README, TLS_README). Pure. */
import {tokens} from '../parse.ts';
import type {ServiceSettings} from './settings.ts';

/** In the order in which they are asked. */
export const RESTRICTIONS = [
  'smtpd_client_restrictions',
  'smtpd_helo_restrictions',
  'smtpd_sender_restrictions',
  'smtpd_relay_restrictions',
  'smtpd_recipient_restrictions',
  'smtpd_data_restrictions',
  'smtpd_end_of_data_restrictions',
] as const;

const isYes = (settings: ServiceSettings, name: string): boolean =>
  settings.value(name).trim().toLowerCase() === 'yes';

/** `must`: a list of restrictions refuses everybody who has not logged in. */
export function loginOf(settings: ServiceSettings): 'may' | 'must' | 'no' {
  if (!isYes(settings, 'smtpd_sasl_auth_enable')) return 'no';
  return RESTRICTIONS.some(name => needsLogin(settings.value(name))) ? 'must' : 'may';
}

/** Only `permit_sasl_authenticated` lets mail past a plain `reject` or `defer`. */
function needsLogin(value: string): boolean {
  const restrictions = tokens(value).map(({text}) => text);
  const end = restrictions.findIndex(word => word === 'reject' || word === 'defer');
  const before = end < 0 ? [] : restrictions.slice(0, end);
  return (
    before.includes('permit_sasl_authenticated') &&
    before.every(
      word => word === 'permit_sasl_authenticated' || /^(reject_|defer_|warn_if_reject$)/.test(word),
    )
  );
}

export function tlsOf(settings: ServiceSettings): 'no' | 'may' | 'always' {
  if (isYes(settings, 'smtpd_tls_wrappermode')) return 'always';
  const level = settings.value('smtpd_tls_security_level').trim().toLowerCase();
  if (level !== '') return level === 'none' ? 'no' : 'may';
  return isYes(settings, 'smtpd_use_tls') || isYes(settings, 'smtpd_enforce_tls') ? 'may' : 'no';
}

export const asksForCertificates = (settings: ServiceSettings): boolean =>
  isYes(settings, 'smtpd_tls_ask_ccert') || isYes(settings, 'smtpd_tls_req_ccert');
