/** Defaults of Postfix, for what `postconf -d` was not asked or did not say. */

/** What the ways of mail depend on; `postconf -d` is asked for exactly these. */
export const BUILT_IN: Readonly<Record<string, string>> = {
  append_at_myorigin: 'yes',
  append_dot_mydomain: 'no',
  body_checks: '',
  bounce_service_name: 'bounce',
  canonical_classes: 'envelope_sender, envelope_recipient, header_sender, header_recipient',
  canonical_maps: '',
  cleanup_service_name: 'cleanup',
  compatibility_level: '0',
  content_filter: '',
  default_transport: 'smtp',
  header_checks: '',
  header_size_limit: '102400',
  inet_interfaces: 'all',
  internal_mail_filter_classes: '',
  local_header_rewrite_clients: 'permit_inet_interfaces',
  mail_name: 'Postfix',
  mail_owner: 'postfix',
  mail_version: '',
  masquerade_classes: 'envelope_sender, header_sender, header_recipient',
  masquerade_domains: '',
  masquerade_exceptions: '',
  milter_connect_macros: 'j {daemon_name} {daemon_addr} v _',
  milter_data_macros: 'i',
  milter_default_action: '',
  milter_end_of_data_macros: 'i',
  milter_end_of_header_macros: 'i',
  milter_header_checks: '',
  milter_helo_macros: '{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}',
  milter_macro_daemon_name: '$myhostname',
  milter_macro_defaults: '',
  milter_macro_v: '$mail_name $mail_version',
  milter_mail_macros: 'i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}',
  milter_protocol: '6',
  milter_rcpt_macros: 'i {rcpt_addr} {rcpt_host} {rcpt_mailer}',
  mime_header_checks: '$header_checks',
  multi_instance_directories: '',
  multi_instance_enable: 'no',
  multi_instance_name: '',
  mydestination: '$myhostname, localhost.$mydomain, localhost',
  mydomain: 'localdomain',
  myhostname: '',
  mynetworks: '127.0.0.0/8 [::1]/128',
  myorigin: '$myhostname',
  nested_header_checks: '$header_checks',
  non_smtpd_milters: '',
  notify_classes: 'resource, software',
  postscreen_upstream_proxy_protocol: '',
  qmqpd_authorized_clients: '',
  queue_directory: '/var/spool/postfix',
  receive_override_options: '',
  recipient_delimiter: '',
  remote_header_rewrite_domain: '',
  sender_canonical_classes: 'envelope_sender, header_sender',
  sender_canonical_maps: '',
  smtp_body_checks: '',
  smtp_generic_maps: '',
  smtp_header_checks: '',
  smtp_line_length_limit: '998',
  smtp_mime_header_checks: '',
  smtp_nested_header_checks: '',
  smtp_never_send_ehlo: 'no',
  smtpd_authorized_xclient_hosts: '',
  smtpd_client_restrictions: '',
  smtpd_end_of_data_restrictions: '',
  smtpd_helo_restrictions: '',
  smtpd_data_restrictions: '',
  smtpd_milter_maps: '',
  smtpd_milters: '',
  smtpd_proxy_filter: '',
  smtpd_recipient_restrictions: '',
  smtpd_relay_restrictions: 'permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination',
  smtpd_sasl_auth_enable: 'no',
  smtpd_sender_restrictions: '',
  smtpd_tls_ask_ccert: 'no',
  smtpd_tls_req_ccert: 'no',
  smtpd_tls_security_level: '',
  smtpd_tls_wrappermode: 'no',
  smtpd_upstream_proxy_protocol: '',
  smtpd_use_tls: 'no',
};

/** The first of each stable series whose default is `shutdown`; `tempfail` before (compared in the source texts). */
const SHUTDOWN_SINCE: Readonly<Record<string, number>> = {'3.7': 20, '3.8': 18, '3.9': 9, '3.10': 8};
/** The last of each that is known to have `tempfail`. */
const TEMPFAIL_UNTIL: Readonly<Record<string, number>> = {'3.7': 18, '3.8': 14, '3.9': 8, '3.10': 7};

/** Default of milter_default_action by `mail_version`, where `postconf -d` did not say it; undefined where that is open. */
export function defaultAction(version: string): 'tempfail' | 'shutdown' | undefined {
  const [, major = '', minor = '', patch = '0'] = /^(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?/.exec(version) ?? [];
  if (major === '') return undefined;
  const series = `${Number(major)}.${Number(minor)}`;
  const since = SHUTDOWN_SINCE[series];
  if (since === undefined)
    return Number(major) > 3 || (Number(major) === 3 && Number(minor) > 10) ? 'shutdown' : 'tempfail';
  if (Number(patch) >= since) return 'shutdown';
  return Number(patch) <= (TEMPFAIL_UNTIL[series] ?? 0) ? 'tempfail' : undefined;
}
