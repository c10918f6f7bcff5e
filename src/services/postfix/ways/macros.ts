/**
 * Which macros a milter gets at which step, and with which values (milter_macro_lookup, smtpd_milter_eval and
 * cleanup_milter_eval in Postfix's source text). Pure.
 *
 * For mail by SMTP the lists are those of the smtpd service at every step, but from the end of the headers on cleanup
 * fills them in: {daemon_name} is cleanup's own one there, and next hops and TLS are not known to it.
 */
import type {Decision} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import type {MilterStage} from '../../mta.ts';
import {tokens, words} from '../parse.ts';
import {decision, placed} from './says.ts';
import type {ServiceSettings} from './settings.ts';

export const STAGES: readonly MilterStage[] = ['connect', 'helo', 'mail', 'rcpt', 'data', 'eoh', 'eom'];

const LISTS: Readonly<Record<MilterStage, string>> = {
  connect: 'milter_connect_macros',
  helo: 'milter_helo_macros',
  mail: 'milter_mail_macros',
  rcpt: 'milter_rcpt_macros',
  data: 'milter_data_macros',
  eoh: 'milter_end_of_header_macros',
  eom: 'milter_end_of_data_macros',
};

/** Macros by step; a value that depends on the client or the message is `undefined`. */
export type MacrosByStage = Readonly<Record<MilterStage, ReadonlyMap<string, string | undefined>>>;

export interface MacroSource {
  /** By SMTP; else cleanup plays the client. */
  readonly smtp:
    | {
        readonly settings: ServiceSettings;
        /** By a filter on this host, which does not log in. */
        readonly isReturned: boolean;
        /** Client and server may speak TLS; `always`: from the first octet. */
        readonly tls: 'no' | 'may' | 'always';
        readonly clientCertificates: boolean;
        /** Where the service listens, as far as that is fixed. */
        readonly address: string | undefined;
        readonly port: string | undefined;
      }
    | undefined;
  /** The cleanup service that the message goes to. */
  readonly cleanup: ServiceSettings;
}

/** The list that a login is told by: from MAIL on, the other steps have none of its macros by default. */
export function loginMacros({smtp, cleanup}: MacroSource): Decision {
  const setting = (smtp?.settings ?? cleanup).get(LISTS.mail);
  const names = words((smtp?.settings ?? cleanup).value(LISTS.mail));
  return decision(
    setting,
    names.includes('{auth_type}')
      ? 'Postfix tells milters that a client has logged in.'
      : `${placed(setting)} has no {auth_type}, so milters don't learn that a client has logged in.`,
  );
}

export function macrosSent(source: MacroSource): MacrosByStage {
  const lists = source.smtp?.settings ?? source.cleanup;
  return byStage(source, stage => words(lists.value(LISTS[stage])));
}

const KNOWN =
  `j v i _ {daemon_name} {daemon_addr} {daemon_port} {client_addr} {client_name} {client_port} {client_ptr}
  {client_connections} {client_resolve} {tls_version} {cipher} {cipher_bits} {tls_sni} {cert_subject} {cert_issuer}
  {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer} {rcpt_addr} {rcpt_host} {rcpt_mailer}`.split(
    /\s+/,
  );

/** What a milter gets that asks for all of it by itself (SMFIF_SETSYMLIST), whatever the lists say. */
export const macrosOnRequest = (source: MacroSource): MacrosByStage =>
  byStage(source, () => [...KNOWN, ...defaultsOf(source).keys()]);

function byStage(source: MacroSource, namesAt: (stage: MilterStage) => readonly string[]): MacrosByStage {
  const defaults = defaultsOf(source);
  const at = (stage: MilterStage): ReadonlyMap<string, string | undefined> => {
    const found = new Map<string, string | undefined>();
    for (const name of namesAt(stage)) {
      const key = name.startsWith('{') ? name : `{${name}}`;
      const known = source.smtp === undefined ? byCleanup(source, stage, key) : bySmtp(source, stage, key);
      const fallback = defaults.get(key);
      // A default is there for every client: the value of one who logs in makes no difference to who has none.
      if (
        known === undefined ||
        (known.value === undefined && CONDITIONAL.has(key) && fallback !== undefined)
      ) {
        if (fallback !== undefined) found.set(visible(name), visible(fallback));
      } else found.set(visible(name), known.value === undefined ? undefined : visible(known.value));
    }
    return found;
  };
  return Object.fromEntries(STAGES.map(stage => [stage, at(stage)])) as Record<
    MilterStage,
    ReadonlyMap<string, string | undefined>
  >;
}

/** Macros that some clients have and some have not. */
const CONDITIONAL: ReadonlySet<string> = new Set([
  '{auth_type}',
  '{auth_authen}',
  '{auth_author}',
  '{tls_version}',
  '{cipher}',
  '{cipher_bits}',
  '{tls_sni}',
  '{cert_subject}',
  '{cert_issuer}',
]);

interface Sent {
  /** Undefined where it depends on the client or the message. */
  readonly value: string | undefined;
}

const VARIES: Sent = {value: undefined};
const fixed = (value: string): Sent => ({value});

const isFrom = (stage: MilterStage, first: MilterStage): boolean =>
  STAGES.indexOf(stage) >= STAGES.indexOf(first);

/** Undefined where the macro has no value at this step: then it is not sent. */
function bySmtp(source: MacroSource, stage: MilterStage, key: string): Sent | undefined {
  const {smtp, cleanup} = source;
  if (smtp === undefined) return undefined;
  const isInCleanup = stage === 'eoh' || stage === 'eom';
  const settings = isInCleanup ? cleanup : smtp.settings;
  switch (key) {
    case '{daemon_name}':
      return fixed(settings.value('milter_macro_daemon_name'));
    case '{v}':
      return fixed(settings.value('milter_macro_v'));
    case '{j}':
      return fixed(settings.value('myhostname'));
    case '{daemon_addr}':
      return {value: smtp.address};
    case '{daemon_port}':
      return {value: smtp.port};
    case '{_}':
    case '{client_addr}':
    case '{client_name}':
    case '{client_port}':
    case '{client_ptr}':
      return VARIES;
    case '{client_connections}':
    case '{client_resolve}':
      return isInCleanup ? undefined : VARIES;
    case '{tls_version}':
    case '{cipher}':
    case '{cipher_bits}':
    case '{tls_sni}':
      return isInCleanup || !hasTls(smtp.tls, stage) ? undefined : VARIES;
    case '{cert_subject}':
    case '{cert_issuer}':
      return isInCleanup || !smtp.clientCertificates || !hasTls(smtp.tls, stage) ? undefined : VARIES;
    // The queue file is made with the first recipient that is accepted.
    case '{i}':
      return isFrom(stage, 'data') ? VARIES : undefined;
    case '{auth_type}':
    case '{auth_authen}':
    case '{auth_author}':
      // Without a login there is no value: whether clients can log in here is told by the entrance.
      return isFrom(stage, 'mail') && !smtp.isReturned ? VARIES : undefined;
    case '{mail_addr}':
    case '{mail_host}':
    case '{mail_mailer}':
      return isFrom(stage, 'mail') && !isInCleanup ? VARIES : undefined;
    case '{rcpt_addr}':
    case '{rcpt_host}':
    case '{rcpt_mailer}':
      return isFrom(stage, 'rcpt') && !isInCleanup ? VARIES : undefined;
    default:
      return undefined;
  }
}

const hasTls = (tls: 'no' | 'may' | 'always', stage: MilterStage): boolean =>
  tls === 'always' || (tls === 'may' && isFrom(stage, 'helo'));

function byCleanup({cleanup}: MacroSource, stage: MilterStage, key: string): Sent | undefined {
  switch (key) {
    case '{daemon_name}':
      return fixed(cleanup.value('milter_macro_daemon_name'));
    case '{v}':
      return fixed(cleanup.value('milter_macro_v'));
    case '{j}':
      return fixed(cleanup.value('myhostname'));
    case '{_}':
      return fixed('localhost [127.0.0.1]');
    case '{client_addr}':
    case '{daemon_addr}':
      return fixed('127.0.0.1');
    case '{client_name}':
    case '{client_ptr}':
      return fixed('localhost');
    case '{client_port}':
    case '{daemon_port}':
      return fixed('0');
    case '{i}':
      return VARIES;
    case '{mail_addr}':
      return isFrom(stage, 'mail') ? VARIES : undefined;
    case '{rcpt_addr}':
      return isFrom(stage, 'rcpt') ? VARIES : undefined;
    default:
      return undefined;
  }
}

/** milter_macro_defaults: `name=value`, `{name}=value`, `{ name = value }`; of two with one name the first counts. */
function defaultsOf(source: MacroSource): ReadonlyMap<string, string> {
  const settings = source.smtp?.settings ?? source.cleanup;
  const found = new Map<string, string>();
  for (const {text} of tokens(settings.value('milter_macro_defaults'))) {
    const isName = /^\{[^{}]*\}=/.test(text);
    const plain = text.startsWith('{') && !isName ? text.slice(1).replace(/\}$/, '') : text;
    const equals = plain.indexOf('=');
    if (equals < 0) continue;
    const name = plain.slice(0, equals).trim();
    const key = name.startsWith('{') ? name : `{${name}}`;
    if (!found.has(key)) found.set(key, plain.slice(equals + 1).trim());
  }
  return found;
}
