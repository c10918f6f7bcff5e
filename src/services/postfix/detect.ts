/**
 * What Postfix is on this host, asked of postconf(1), which is quick and knows all defaults
 * (daemons/postfix.md#commands).
 */
import {type AbsolutePath, absolute, below, parseAbsolutePath} from '../../domain/paths.ts';
import {type Problem, problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import type {CommandResult} from '../../system/ports.ts';
import type {LookContext} from '../look-context.ts';
import {serviceCommand} from '../manager.ts';
import {tryReadText} from '../reading.ts';
import {showUnits} from '../systemd.ts';
import type {PostfixFacts, ServiceOverride} from './facts.ts';
import {parseMainCf, parsePostconf, settingsOf, words} from './parse.ts';

export interface PostfixFound {
  readonly facts: PostfixFacts;
  /** Lists of domains with their references expanded: domains and `hash:/path` words. */
  readonly domainLists: {
    readonly virtual: readonly string[];
    readonly local: readonly string[];
    readonly relay: readonly string[];
  };
  /** Milter lists with their references expanded. */
  readonly milters: readonly string[];
  /** mydomain stands in main.cf, it is not only derived from the host's name. */
  readonly mydomainIsSet: boolean;
  readonly blockers: readonly Problem[];
  readonly remarks: readonly Problem[];
}

const EXPANDED = [
  'mail_version',
  'config_directory',
  'queue_directory',
  'compatibility_level',
  'myhostname',
  'mydomain',
  'myorigin',
  'mydestination',
  'virtual_mailbox_domains',
  'virtual_alias_domains',
  'relay_domains',
  'relayhost',
  'smtpd_milters',
  'non_smtpd_milters',
  'multi_instance_directories',
] as const;

/** Undefined where postconf is missing: then there is no Postfix. */
export async function detectPostfix(context: LookContext): Promise<PostfixFound | undefined> {
  const run = runner(context);
  const explicitRun = await run(['postconf', '-n']);
  if (explicitRun.ended === 'missing') return undefined;
  const explicit = parsePostconf(explicitRun.stdout);
  const expanded = parsePostconf((await run(['postconf', '-x', ...EXPANDED])).stdout);
  const fields = parsePostconf((await run(['postconf', '-F'])).stdout);
  const perService = parsePostconf((await run(['postconf', '-P'])).stdout);
  const status = await run(['postfix', 'status']);
  const chroot = chrootFlags(fields, expanded.get('compatibility_level') ?? '');
  const configDirectory = pathOr(expanded.get('config_directory'), '/etc/postfix');
  const facts: PostfixFacts = {
    kind: 'postfix',
    program: 'Postfix',
    version: visible(expanded.get('mail_version') ?? ''),
    configDirectory,
    queueDirectory: pathOr(expanded.get('queue_directory'), '/var/spool/postfix'),
    running: status.status === 0,
    chrooted: Object.entries(chroot).some(([service, flag]) => flag && usesMilters(service, fields)),
    chroot,
    hostname: visible(expanded.get('myhostname') ?? ''),
    mydomain: visible(expanded.get('mydomain') ?? ''),
    myorigin: await originOf(context, expanded.get('myorigin') ?? ''),
    mydestination: words(expanded.get('mydestination') ?? ''),
    virtualDomains: [
      ...words(expanded.get('virtual_mailbox_domains') ?? ''),
      ...words(expanded.get('virtual_alias_domains') ?? ''),
    ],
    relay: expanded.get('relayhost') ?? '',
    smtpdMilters: explicit.get('smtpd_milters') ?? '',
    nonSmtpdMilters: explicit.get('non_smtpd_milters') ?? '',
    milterDefaultAction: explicit.get('milter_default_action') ?? '',
    internalMailFilterClasses: explicit.get('internal_mail_filter_classes') ?? '',
    contentFilter: explicit.get('content_filter') ?? '',
    overrides: overridesIn(perService),
    unit: await unitOf(context),
    mainCf: below(configDirectory, 'main.cf'),
  };
  return {
    facts,
    domainLists: {
      virtual: facts.virtualDomains,
      local: facts.mydestination,
      relay: words(expanded.get('relay_domains') ?? ''),
    },
    milters: [expanded.get('smtpd_milters') ?? '', expanded.get('non_smtpd_milters') ?? ''],
    mydomainIsSet: explicit.has('mydomain'),
    blockers: blockersOn(context, explicitRun, facts),
    remarks: [
      ...remarksOn(facts),
      ...passedBy(explicit),
      ...rewritesLater(explicit, perService),
      ...(await otherInstances(context, facts, words(expanded.get('multi_instance_directories') ?? ''))),
    ],
  };
}

const runner =
  ({ports, signal}: LookContext) =>
  (argv: readonly [string, ...string[]]): Promise<CommandResult> =>
    ports.commands.run(argv, signal === undefined ? {} : {signal});

const pathOr = (text: string | undefined, fallback: string): AbsolutePath => {
  const path = parseAbsolutePath(text ?? '');
  return path.ok ? path.value : absolute(fallback);
};

/** `-` means the default, which is n, or y on systems older than compatibility level 1 (master(5)). */
function chrootFlags(fields: ReadonlyMap<string, string>, level: string): Readonly<Record<string, boolean>> {
  const byDefault = Number.parseFloat(level === '' ? '0' : level) < 1;
  const flags: Record<string, boolean> = {};
  for (const [name, value] of fields) {
    const service = /^(.+)\/chroot$/.exec(name)?.[1];
    if (service !== undefined) flags[service] = value === '-' ? byDefault : value === 'y';
  }
  return flags;
}

/**
 * Milters are spoken to by smtpd for what comes by SMTP, and by cleanup for the rest (MILTER_README). Judged by the
 * command; by the name of the service where the command is not told.
 */
function usesMilters(service: string, fields: ReadonlyMap<string, string>): boolean {
  const command = fields.get(`${service}/command`);
  return command === undefined
    ? service === 'smtp/inet' || service === 'cleanup/unix'
    : /^(smtpd|cleanup)(\s|$)/.test(command);
}

/** A file name stands for its first line (postconf(5), myorigin). */
async function originOf({ports}: LookContext, value: string): Promise<string> {
  const path = value.startsWith('/') ? parseAbsolutePath(value) : undefined;
  if (path?.ok !== true) return visible(value);
  return visible((await tryReadText(ports.files, path.value))?.split('\n', 1)[0]?.trim() ?? '');
}

const OVERRIDABLE = [
  'smtpd_milters',
  'non_smtpd_milters',
  'receive_override_options',
  'content_filter',
  'milter_default_action',
];

function overridesIn(perService: ReadonlyMap<string, string>): readonly ServiceOverride[] {
  return [...perService].flatMap(([key, value]) => {
    const at = key.lastIndexOf('/');
    const name = key.slice(at + 1);
    if (!OVERRIDABLE.includes(name)) return [];
    if (name === 'receive_override_options' && !value.includes('no_milters')) return [];
    return [{service: visible(key.slice(0, at)), name, value: visible(value)}];
  });
}

/**
 * The unit that really runs Postfix: on Debian 12 postfix.service is a oneshot dummy (daemons/postfix.md#units).
 */
async function unitOf({ports, layout, systemd, signal}: LookContext): Promise<string> {
  const units = layout?.postfix.units ?? ['postfix.service'];
  const fallback = units[0] ?? 'postfix.service';
  if (!systemd) return fallback;
  const shown = await showUnits(ports.commands, units, ['LoadState', 'ActiveState', 'Type'], signal);
  const real = units.filter(
    (_, at) => shown[at]?.['LoadState'] === 'loaded' && shown[at]?.['Type'] !== 'oneshot',
  );
  const active = real.find(unit => shown[units.indexOf(unit)]?.['ActiveState'] === 'active');
  return active ?? real[0] ?? fallback;
}

function blockersOn(context: LookContext, explicit: CommandResult, facts: PostfixFacts): readonly Problem[] {
  if (explicit.status !== 0) {
    return [
      problem(
        'postfix.configuration',
        `Postfix cannot read its own configuration: ${visible(explicit.stderr.trim().split('\n').at(-1) ?? '')}`,
        'Mend main.cf until "postfix check" is silent.',
      ),
    ];
  }
  // Who is not root is told so by postfix status as well; one blocker is enough then.
  if (facts.running || !context.ports.process.privileged) return [];
  return [
    problem(
      'postfix.stopped',
      'Postfix is not running, so it cannot be proven that mail is signed.',
      `Start it: ${context.systemd ? serviceCommand('systemd', 'start', facts.unit) : 'postfix start'}.`,
    ),
  ];
}

function remarksOn(facts: PostfixFacts): readonly Problem[] {
  const remarks = facts.overrides.filter(one => concernsSigning(one, facts)).map(one => overrideRemark(one));
  if (facts.contentFilter !== '') {
    remarks.push(
      problem(
        'postfix.content-filter',
        `A content filter is set: ${visible(facts.contentFilter)}. Mail that comes back from it may be signed twice, or changed after signing.`,
        'Where it comes back on a port of this host, the plan sees to it that it is signed once; where it comes back by sendmail(1), it would be signed again.',
      ),
    );
  }
  return remarks;
}

/** Settings of main.cf that lead mail around both milter lists (postconf(5)), so that no edit of them has an effect. */
function passedBy(explicit: ReadonlyMap<string, string>): readonly Problem[] {
  const remarks: Problem[] = [];
  const options = explicit.get('receive_override_options') ?? '';
  if (/\bno_milters\b/.test(options)) {
    remarks.push(
      problem(
        'postfix.milters-off',
        `receive_override_options in main.cf has no_milters: no milter is asked about any mail, and nothing is signed.`,
        'Take the word out of main.cf; where mail comes back from a filter, it belongs to that service in master.cf.',
      ),
    );
  }
  const maps = explicit.get('smtpd_milter_maps') ?? '';
  if (maps !== '') {
    remarks.push(
      problem(
        'postfix.milter-maps',
        `smtpd_milter_maps (${visible(maps)}) gives some clients milters of their own: their mail goes around smtpd_milters.`,
        'Name the socket of OpenDKIM in its rows, too, where the mail of these clients is to be signed.',
      ),
    );
  }
  return remarks;
}

const LATER = [
  'smtp_generic_maps',
  'smtp_header_checks',
  'smtp_mime_header_checks',
  'smtp_nested_header_checks',
  'smtp_body_checks',
];

/**
 * What smtp(8) changes on delivery comes after the milters, and breaks the signature
 * (daemons/postfix.md#changes-after-signing).
 */
function rewritesLater(
  explicit: ReadonlyMap<string, string>,
  perService: ReadonlyMap<string, string>,
): readonly Problem[] {
  const found = [
    ...LATER.flatMap(name => ((explicit.get(name) ?? '') === '' ? [] : [`${name} in main.cf`])),
    ...[...perService].flatMap(([key, value]) => {
      const at = key.lastIndexOf('/');
      const name = key.slice(at + 1);
      return value === '' || !LATER.includes(name)
        ? []
        : [`${name} of ${visible(key.slice(0, at))} in master.cf`];
    }),
  ];
  if (found.length === 0) return [];
  return [
    problem(
      'postfix.rewrites-later',
      `Postfix changes mail on delivery, after it was signed: ${found.join(', ')}. Where that touches the body or a signed header, the signature is broken.`,
      'Rewrite before signing instead: canonical_maps, header_checks, body_checks.',
    ),
  ];
}

/** Other instances of Postfix have a configuration, a queue and sockets of their own (MULTI_INSTANCE_README). */
async function otherInstances(
  {ports}: LookContext,
  {configDirectory}: PostfixFacts,
  directories: readonly string[],
): Promise<readonly Problem[]> {
  if (directories.length === 0) return [];
  const shown = await Promise.all(
    directories.map(async directory => {
      const path = parseAbsolutePath(`${directory}/main.cf`);
      const text = path.ok ? await tryReadText(ports.files, path.value) : undefined;
      if (text === undefined) return `${visible(directory)} (not readable)`;
      const settings = settingsOf(parseMainCf(text));
      const lists = ['smtpd_milters', 'non_smtpd_milters'].filter(name => (settings.get(name) ?? '') !== '');
      const own = lists.map(name => `${name} = ${visible(settings.get(name) ?? '')}`).join(', ');
      return `${visible(directory)} (${lists.length === 0 ? 'no milters' : own})`;
    }),
  );
  return [
    problem(
      'postfix.instances',
      `There are more Postfix instances: ${shown.join('; ')}. waxseal serves only the one in ${configDirectory}.`,
      'Sign in one of them only: the one that hands mail to the world, or the one that takes it in.',
    ),
  ];
}

/** `no_milters` is right on the way back from a content filter, which must not sign again. */
const concernsSigning = ({name}: ServiceOverride, facts: PostfixFacts): boolean =>
  name.endsWith('milters') || (name === 'receive_override_options' && facts.contentFilter === '');

const overrideRemark = ({service, name, value}: ServiceOverride): Problem =>
  problem(
    'postfix.override',
    `${service} in master.cf has its own ${name}=${value}, which wins over main.cf for that service.`,
    value !== '' && name.endsWith('milters')
      ? 'The plan adds OpenDKIM to it where it is not in it.'
      : 'Mail through that service is not signed; take it out if that mail is to be signed.',
  );
