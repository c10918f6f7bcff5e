/**
 * Would Postfix keep the proof message to itself? Its recipient cannot be reached, but a relayhost, a transport map,
 * a filter or a copy would carry it elsewhere. Postfix has no command that resolves an address, so every setting that
 * has a say is looked at; where one cannot be read, the answer is no.
 */
import {visible} from '../../../domain/text.ts';
import {UNREACHABLE_LITERAL} from '../../../proof/message.ts';
import type {Argv, Ports} from '../../../system/ports.ts';
import type {Submission} from '../../mta.ts';
import {parsePostconf, tokens} from '../parse.ts';

/** The client of the test message by SMTP, as smtpd_milter_maps knows it. */
const OWN_ADDRESS = '127.0.0.1';

export interface MailRoute {
  readonly settings: ReadonlyMap<string, string>;
  /** `-o` lines of master.cf as `smtp/inet/smtpd_milters` → value. */
  readonly overrides: ReadonlyMap<string, string>;
  /** Why a message taken in this way could leave the host; undefined where it cannot. */
  readonly leaves: Readonly<Record<Submission, string | undefined>>;
  /** What smtpd_milter_maps gives this host instead of smtpd_milters; undefined where it has no entry. */
  readonly mappedMilters: string | undefined;
}

const PARAMETERS = [
  'relayhost',
  'default_transport',
  'transport_maps',
  'sender_dependent_relayhost_maps',
  'sender_dependent_default_transport_maps',
  'virtual_alias_maps',
  'canonical_maps',
  'recipient_canonical_maps',
  'always_bcc',
  'sender_bcc_maps',
  'recipient_bcc_maps',
  'content_filter',
  'smtp_fallback_relay',
  'inet_protocols',
  'inet_interfaces',
  'sendmail_path',
  'smtpd_milters',
  'non_smtpd_milters',
  'milter_default_action',
  'receive_override_options',
  'smtpd_milter_maps',
] as const;

/** Services that take a message in, by way; the later ones are looked at first (postscreen hands on to smtpd/pass). */
export const INTAKE: Readonly<Record<Submission, readonly string[]>> = {
  sendmail: ['cleanup/unix', 'pickup/unix', 'pickup/fifo'],
  smtp: ['smtp/inet', 'smtpd/pass', '25/inet'],
};

/** Reads what Postfix would do with a message from `sender` to `recipient`. `configDirectory` is that of main.cf. */
export async function readRoute(
  ports: Pick<Ports, 'commands'>,
  configDirectory: string,
  sender: string,
  recipient: string,
): Promise<MailRoute> {
  const run = async (argv: readonly string[]): Promise<string> =>
    (await ports.commands.run(['postconf', '-c', configDirectory, ...argv])).stdout;
  const settings = parsePostconf(await run(['-x', ...PARAMETERS]));
  const overrides = parsePostconf(await run(['-P']));
  const elsewhere =
    detour(settings, overrides) ?? (await mapped(ports, configDirectory, settings, sender, recipient));
  const filtered = (way: Submission): string | undefined => {
    const filter = effectiveFor(way, 'content_filter', {settings, overrides});
    return filter === '' ? undefined : `content_filter hands it to ${visible(filter)}`;
  };
  return {
    settings,
    overrides,
    leaves: {sendmail: elsewhere ?? filtered('sendmail'), smtp: elsewhere ?? filtered('smtp')},
    mappedMilters: await mappedMilters(ports, configDirectory, settings),
  };
}

async function mappedMilters(
  ports: Pick<Ports, 'commands'>,
  configDirectory: string,
  settings: ReadonlyMap<string, string>,
): Promise<string | undefined> {
  for (const {text: table} of tokens(settings.get('smtpd_milter_maps') ?? '')) {
    const argv: Argv = ['postmap', '-c', configDirectory, '-q', OWN_ADDRESS, table];
    const {status, stdout} = await ports.commands.run(argv);
    if (status === 0 && stdout.trim() !== '') return stdout.trim();
  }
  return undefined;
}

/** The value a parameter has for messages that come this way: an `-o` of the service wins over main.cf. */
export function effectiveFor(
  way: Submission,
  name: string,
  route: Pick<MailRoute, 'settings' | 'overrides'>,
): string {
  const override = INTAKE[way].map(service => route.overrides.get(`${service}/${name}`)).find(isGiven);
  return override ?? route.settings.get(name) ?? '';
}

const isGiven = (value: string | undefined): value is string => value !== undefined;

/** Settings that send everything elsewhere, address or not. */
function detour(
  settings: ReadonlyMap<string, string>,
  overrides: ReadonlyMap<string, string>,
): string | undefined {
  const value = (name: string): string => settings.get(name) ?? '';
  if (value('relayhost') !== '') return `relayhost sends it to ${visible(value('relayhost'))}`;
  // A transport without a next hop goes to the recipient's own address.
  if (!/^(smtp:?)?$/.test(value('default_transport'))) {
    return `default_transport is ${visible(value('default_transport'))}`;
  }
  const fallbacks = [
    value('smtp_fallback_relay'),
    ...[...overrides]
      .filter(([name]) => /^smtp\/unix\/smtp_fallback_relay$/.test(name))
      .map(([, hop]) => hop),
  ];
  const fallback = fallbacks.find(hop => hop !== '');
  if (fallback !== undefined) return `smtp_fallback_relay sends it to ${visible(fallback)}`;
  const copies = [...overrides].find(([name, copy]) => name.endsWith('/always_bcc') && copy !== '')?.[1];
  const copy = value('always_bcc') || copies;
  if (copy) return `always_bcc sends a copy to ${visible(copy)}`;
  const protocols = value('inet_protocols');
  if (protocols !== '' && !/\b(all|ipv4)\b/.test(protocols)) {
    return `inet_protocols is ${visible(protocols)}: the test address has only IPv4, and the message would bounce`;
  }
  return undefined;
}

/** The first table that knows the sender or the recipient. */
async function mapped(
  ports: Pick<Ports, 'commands'>,
  configDirectory: string,
  settings: ReadonlyMap<string, string>,
  sender: string,
  recipient: string,
): Promise<string | undefined> {
  const aliasKeys = (address: string): readonly string[] => [
    address,
    address.slice(address.lastIndexOf('@')),
  ];
  const looked: readonly (readonly [string, readonly string[]])[] = [
    ['transport_maps', [recipient, UNREACHABLE_LITERAL, '*']],
    ['virtual_alias_maps', aliasKeys(recipient)],
    ['canonical_maps', aliasKeys(recipient)],
    ['recipient_canonical_maps', aliasKeys(recipient)],
    ['recipient_bcc_maps', aliasKeys(recipient)],
    ['sender_bcc_maps', aliasKeys(sender)],
    ['sender_dependent_relayhost_maps', aliasKeys(sender)],
    ['sender_dependent_default_transport_maps', aliasKeys(sender)],
  ];
  for (const [name, keys] of looked) {
    for (const {text: table} of tokens(settings.get(name) ?? '')) {
      const argv: Argv = ['postmap', '-c', configDirectory, '-q', '-', table];
      const {status, stdout, stderr} = await ports.commands.run(argv, {
        input: Buffer.from(keys.map(key => `${key}\n`).join('')),
      });
      if (stdout.trim() !== '')
        return `${name} has an entry for it: ${visible(stdout.trim().slice(0, 120).replaceAll('\t', ' → '))}`;
      if (status === null || /\b(fatal|error|panic):/.test(stderr)) {
        return `${name} cannot be read (${visible(table)})`;
      }
    }
  }
  return undefined;
}
