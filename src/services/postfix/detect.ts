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
import type {FoundMta} from '../mta.ts';
import {tryReadText} from '../reading.ts';
import {showUnits} from '../systemd.ts';
import {mailDomains} from './domains.ts';
import type {PostfixFacts, ServiceOverride} from './facts.ts';
import {parsePostconf, words} from './parse.ts';
import {readWays} from './ways/read.ts';
import {remarksOn} from './ways/remarks.ts';

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
] as const;

/** Undefined where postconf is missing: then there is no Postfix. */
export async function detectPostfix(context: LookContext): Promise<FoundMta<PostfixFacts> | undefined> {
  const run = runner(context);
  const explicitRun = await run(['postconf', '-n']);
  if (explicitRun.ended === 'missing') return undefined;
  const explicit = parsePostconf(explicitRun.stdout);
  const table = async (...argv: readonly string[]) =>
    parsePostconf((await run(['postconf', ...argv])).stdout);
  const [expanded, fields, perService, status, unit] = await Promise.all([
    table('-x', ...EXPANDED),
    table('-F'),
    table('-P'),
    run(['postfix', 'status']),
    unitOf(context),
  ]);
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
    unit,
    mainCf: below(configDirectory, 'main.cf'),
  };
  const entrances = await readWays(context, configDirectory);
  const relay = words(expanded.get('relay_domains') ?? '');
  const domains = await mailDomains(context.ports.files, facts, {relay, isNamed: explicit.has('mydomain')});
  return {
    facts,
    entrances,
    mailDomains: domains.domains,
    blockers: blockersOn(context, explicitRun, facts),
    remarks: [...remarksOn(entrances, configDirectory), ...domains.remarks],
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
