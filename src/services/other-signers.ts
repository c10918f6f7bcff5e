/** Who else may sign mail on this host. */
import {type SocketEndpoint, sameEndpoint} from '../domain/endpoint.ts';
import {type AbsolutePath, absolute, below} from '../domain/paths.ts';
import {visible} from '../domain/text.ts';
import {milterEndpoint, type OtherSigner} from './facts.ts';
import type {LookContext} from './look-context.ts';
import {openDkimDomains, runningOpenDkims} from './opendkim/domains.ts';
import type {OpenDkimFacts} from './opendkim/facts.ts';
import {parseSocket} from './opendkim/socket.ts';
import {amavisDomains, rspamdDomains, unreadDomains} from './other-domains.ts';
import type {PostfixFound} from './postfix/detect.ts';
import type {PostfixFacts} from './postfix/facts.ts';
import {addressOf, endpointOf, isOpenDkim} from './postfix/milters.ts';
import {tokens} from './postfix/parse.ts';
import {tryReadText} from './reading.ts';
import {showUnits} from './systemd.ts';

const UNITS = ['rspamd.service', 'amavis.service', 'amavisd.service', 'dkimpy-milter.service'] as const;

/** rspamd, amavis, a second OpenDKIM and the like, each with the evidence; empty where OpenDKIM is alone. */
export async function findOtherSigners(
  context: LookContext,
  found: Pick<PostfixFound, 'facts' | 'milters'> | undefined,
  opendkim?: OpenDkimFacts,
): Promise<readonly OtherSigner[]> {
  const postfix = found?.facts;
  const units = context.systemd
    ? await showUnits(context.ports.commands, UNITS, ['Id', 'ActiveState'], context.signal)
    : [];
  const runs = (unit: (typeof UNITS)[number]): boolean =>
    units[UNITS.indexOf(unit)]?.['ActiveState'] === 'active';
  const wired = [...(found?.milters ?? []), ...milterOverrides(postfix)].join(' ');
  const signers = [
    await rspamd(context, wired, runs('rspamd.service')),
    await amavis(context, postfix, UNITS.filter(unit => unit.startsWith('amavis')).find(runs)),
    await dkimpy(context, wired, runs('dkimpy-milter.service')),
    dkimFilter(wired),
    dkimproxy(postfix),
    await secondOpenDkim(context, postfix, wired, opendkim),
  ];
  return signers.flatMap(signer => signer ?? []);
}

const milterOverrides = (postfix: PostfixFacts | undefined): readonly string[] =>
  (postfix?.overrides ?? []).flatMap(override => (override.name.endsWith('milters') ? override.value : []));

/** Its signing module is on by default and signs as soon as it finds a key (daemons/rspamd.md#signing). */
async function rspamd(
  context: LookContext,
  wired: string,
  running: boolean,
): Promise<OtherSigner | undefined> {
  const entry = entryOf(wired, /:11332\b|rspamd/);
  const local = absolute('/etc/rspamd/local.d/dkim_signing.conf');
  const override = absolute('/etc/rspamd/override.d/dkim_signing.conf');
  const [general, winning] = await Promise.all(
    [local, override].map(async path =>
      withoutComments((await tryReadText(context.ports.files, path)) ?? ''),
    ),
  );
  const text = `${general ?? ''}\n${winning ?? ''}`;
  const configured = text.trim() !== '';
  if (entry === undefined && !running && !configured) return undefined;
  const keys =
    (await context.ports.files.list(absolute('/var/lib/rspamd/dkim')).catch(() => undefined)) ?? [];
  const wins = enabledIn(winning ?? '') !== undefined;
  const off = /^(false|no|off)$/.test(enabledIn(winning ?? '') ?? enabledIn(general ?? '') ?? '');
  const hasKeys =
    keys.some(name => name.endsWith('.key')) || /\b(path|selector|domain|path_map|use_redis)\b/.test(text);
  const evidence =
    entry !== undefined
      ? `smtpd_milters has ${visible(entry)}`
      : running
        ? 'rspamd.service is running'
        : `${local} is there`;
  const reached = entry !== undefined;
  return {
    name: 'rspamd',
    evidence,
    signs: off || !reached ? 'no' : hasKeys ? 'yes' : 'perhaps',
    configFile: wins ? override : local,
    domains: await rspamdDomains(context.ports.files, [
      {path: local, text: general ?? ''},
      {path: override, text: winning ?? ''},
    ]),
    ...(running ? {unit: 'rspamd.service'} : {}),
  };
}

/** The word that switches the module on or off in a piece of its configuration; the last counts. */
export const enabledIn = (text: string): string | undefined =>
  [...text.matchAll(/(?:^|[\s;{])enabled\s*=\s*"?([a-z]+)/g)].at(-1)?.[1];

const contentFilters = (postfix: PostfixFacts | undefined): readonly string[] => [
  postfix?.contentFilter ?? '',
  ...(postfix?.overrides ?? []).flatMap(override =>
    override.name === 'content_filter' ? override.value : [],
  ),
];

/** It signs what passes it as a content filter; Debian keeps its configuration in pieces, the last assignment counts. */
async function amavis(
  context: LookContext,
  postfix: PostfixFacts | undefined,
  unit: string | undefined,
): Promise<OtherSigner | undefined> {
  const filter = contentFilters(postfix).find(
    value => /amavis/.test(value) || (unit !== undefined && /:1002[46]\b/.test(value)),
  );
  if (filter === undefined && unit === undefined) return undefined;
  const directory = absolute('/etc/amavis/conf.d');
  const names = (await context.ports.files.list(directory).catch(() => undefined)) ?? [];
  const paths: readonly AbsolutePath[] = [
    ...names.map(name => below(directory, name)),
    absolute('/etc/amavisd.conf'),
    absolute('/etc/amavisd/amavisd.conf'),
  ];
  const texts = await Promise.all(
    paths.map(async path => withoutComments((await tryReadText(context.ports.files, path)) ?? '')),
  );
  const switches = texts.map(
    text => [...text.matchAll(/\$enable_dkim_signing\s*=\s*([^;\s]+)/g)].at(-1)?.[1],
  );
  const at = switches.findLastIndex(value => value !== undefined);
  const on = switches[at] === '1' && texts.some(text => /\bdkim_key\s*\(/.test(text));
  const configFile = paths[at];
  // Off is its default: a configuration that can be read, is whole, and never speaks of signing, does not sign.
  const isSilent =
    texts.some(text => text.trim() !== '') &&
    !texts.some(text => /\bdkim_key\b|\$enable_dkim_signing\b|\binclude_config_files\b/.test(text));
  return {
    name: 'amavis',
    evidence: filter === undefined ? 'amavis is running' : `content_filter is ${visible(filter)}`,
    signs: on
      ? 'yes'
      : filter === undefined || isSilent || (at >= 0 && switches[at] === '0')
        ? 'no'
        : 'perhaps',
    domains: amavisDomains(paths.map((path, index) => ({path, text: texts[index] ?? ''}))),
    ...(configFile === undefined ? {} : {configFile}),
    ...(unit === undefined ? {} : {unit}),
  };
}

/** dkim-milter, the forerunner of OpenDKIM (dkim-filter on Debian), and a younger milter of that name. */
function dkimFilter(wired: string): OtherSigner | undefined {
  const entry = entryOf(wired, /dkim-(?:filter|milter)/);
  if (entry === undefined) return undefined;
  return {
    name: 'dkim-milter',
    evidence: `smtpd_milters has ${visible(entry)}`,
    signs: 'yes',
    domains: unreadDomains('the configuration of dkim-milter'),
  };
}

/** An SMTP proxy: mail goes to it as to a content filter and comes back signed. */
function dkimproxy(postfix: PostfixFacts | undefined): OtherSigner | undefined {
  const filter = contentFilters(postfix).find(value => /dksign|dkimproxy|:1002[78]\b/.test(value));
  if (filter === undefined) return undefined;
  return {
    name: 'dkimproxy',
    evidence: `content_filter is ${visible(filter)}`,
    signs: 'yes',
    domains: unreadDomains('the configuration of dkimproxy'),
  };
}

/**
 * Another daemon where OpenDKIM is customary, beside the entry of the one that is known here. Whether it signs nobody
 * can say without sending mail; where nobody listens, the entry is only a remnant, and the plan says so.
 */
async function secondOpenDkim(
  context: LookContext,
  postfix: PostfixFacts | undefined,
  wired: string,
  opendkim: OpenDkimFacts | undefined,
): Promise<OtherSigner | undefined> {
  const known = milterEndpoint(opendkim);
  if (postfix === undefined || known === undefined) return undefined;
  const former = (opendkim?.formerSockets ?? []).flatMap(socket => parseSocket(socket) ?? []);
  const entries = tokens(wired).map(({text}) => ({text, endpoint: endpointOf(text, postfix)}));
  if (!entries.some(({endpoint}) => sameEndpoint(endpoint, known))) return undefined;
  for (const {text, endpoint} of entries) {
    if (endpoint === undefined || [known, ...former].some(own => sameEndpoint(own, endpoint))) continue;
    if (!isOpenDkim(text, {wanted: known, before: known}, postfix)) continue;
    if (!(await isListening(context, endpoint))) continue;
    const evidence = `smtpd_milters has ${visible(addressOf(text))}, where another program listens`;
    const own = opendkim?.configFile ?? absolute('/etc/opendkim.conf');
    const configs = await runningOpenDkims(context.ports.files, own);
    const [config] = configs;
    return {
      name: 'opendkim',
      evidence,
      signs: 'perhaps',
      // Of several running ones nobody can tell which one listens there.
      domains:
        config !== undefined && configs.length === 1
          ? await openDkimDomains(context.ports.files, 'that OpenDKIM', [config])
          : unreadDomains('the configuration of that OpenDKIM'),
    };
  }
  return undefined;
}

/** Without connecting: what the kernel lists as listening (proc_pid_net(5), state 0A), or a socket that is there. */
async function isListening({ports}: LookContext, endpoint: SocketEndpoint): Promise<boolean> {
  if (endpoint.kind === 'unix')
    return (await ports.files.stat(endpoint.path).catch(() => undefined))?.kind === 'socket';
  const port = endpoint.port.toString(16).toUpperCase().padStart(4, '0');
  // proc(5): slot, local address, remote address, state; 0A is "listening".
  const isListed = (line: string): boolean => {
    const [, local, remote, state] = line.trim().split(/ +/);
    return local?.endsWith(`:${port}`) === true && remote?.endsWith(':0000') === true && state === '0A';
  };
  const tables = ['/proc/net/tcp', '/proc/net/tcp6'].map(path => tryReadText(ports.files, absolute(path)));
  return (await Promise.all(tables)).some(text => text?.split('\n').some(isListed));
}

async function dkimpy(
  context: LookContext,
  wired: string,
  running: boolean,
): Promise<OtherSigner | undefined> {
  const named = entryOf(wired, /dkimpy/);
  // Others listen on its customary port as well: that counts only where the program is there.
  const isThere =
    running ||
    (
      await Promise.all(CONFIGURATIONS.map(path => context.ports.files.stat(path).catch(() => undefined)))
    ).some(stat => stat !== undefined);
  const entry = named ?? (isThere ? entryOf(wired, /^inet:(?:127\.0\.0\.1|localhost):8892\b/) : undefined);
  if (entry === undefined && !running) return undefined;
  return {
    name: 'dkimpy-milter',
    evidence:
      entry === undefined ? 'dkimpy-milter.service is running' : `smtpd_milters has ${visible(entry)}`,
    signs: entry === undefined ? 'no' : 'yes',
    domains: await openDkimDomains(context.ports.files, 'dkimpy-milter', CONFIGURATIONS),
  };
}

const CONFIGURATIONS = [
  absolute('/etc/dkimpy-milter/dkimpy-milter.conf'),
  absolute('/etc/dkimpy-milter.conf'),
] as const;

const withoutComments = (text: string): string =>
  text
    .split('\n')
    .filter(line => !line.trimStart().startsWith('#'))
    .join('\n');

/** The first milter of a list, `{ inet:host:port, … }` without its options, in which the pattern occurs. */
const entryOf = (wired: string, pattern: RegExp): string | undefined =>
  wired.split(/[\s,{}]/).find(entry => pattern.test(entry));
