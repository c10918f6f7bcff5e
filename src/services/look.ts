/** The first step: what this host is, what it has, what forbids going on. Only reads, and only quick commands. */
import {type AbsolutePath, absolute} from '../domain/paths.ts';
import {type Problem, problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {layoutFor} from '../layouts/index.ts';
import type {Distribution, Layout} from '../layouts/layout.ts';
import type {HostFacts, OtherSigner, SignerFacts} from './facts.ts';
import type {LookContext, LookPorts} from './look-context.ts';
import {findServiceManager} from './manager.ts';
import {openDkimOf} from './opendkim/facts.ts';
import {otherMta} from './other-mta.ts';
import {findOtherSigners} from './other-signers.ts';
import {detectPostfix} from './postfix/detect.ts';
import {mailDomains} from './postfix/domains.ts';
import {tryReadText} from './reading.ts';
import {SIGNER} from './registry.ts';
import {noMta, unsupported} from './signing.ts';
import {rivals, whyNotSwitched} from './switch-over.ts';

/** Looks at the host. Never throws for what is missing or not readable: that becomes a blocker or a remark. */
export async function lookAtHost(ports: LookPorts, signal?: AbortSignal): Promise<HostFacts> {
  const distribution = await readDistribution(ports);
  const layout = layoutFor(distribution);
  const serviceManager = await findServiceManager(ports.files);
  const systemd = serviceManager === 'systemd';
  const context: LookContext = {ports, layout, systemd, signal};
  const found = await detectPostfix(context);
  const signer = layout === undefined ? undefined : await SIGNER.detect({...context, layout});
  const domains = found === undefined ? {domains: [], remarks: []} : await mailDomains(ports.files, found);
  const otherSigners = await findOtherSigners(context, found, openDkimOf({signer: signer?.facts}));
  const mta = found === undefined ? await otherMta(context) : undefined;
  const hostname = found?.facts.hostname ?? (await hostnameFile(ports)) ?? 'localhost';
  return {
    distribution,
    layout,
    serviceManager,
    hostname,
    privileged: ports.process.privileged,
    mta: found?.facts,
    ...(mta === undefined ? {} : {otherMta: mta}),
    signer: signer?.facts,
    rivals: otherSigners,
    missingPackages: layout !== undefined && signer === undefined ? SIGNER.packages(layout) : [],
    mailDomains: domains.domains,
    blockers: [
      ...hostBlockers(ports, distribution, layout),
      ...(found === undefined
        ? [noMta({layout, ...(mta === undefined ? {} : {otherMta: mta})})]
        : found.blockers),
      ...(signer?.blockers ?? []),
      ...(await startBlockers(context, signer?.facts)),
    ],
    remarks: [
      ...unproven(layout),
      ...rivals({rivals: otherSigners}).flatMap(signer => signsToo(signer)),
      ...(found?.remarks ?? []),
      ...domains.remarks,
      ...(signer?.remarks ?? []),
      ...(await mailingLists(ports)),
    ],
  };
}

async function readDistribution(ports: LookPorts): Promise<Distribution> {
  const text =
    (await tryReadText(ports.files, absolute('/etc/os-release'))) ??
    (await tryReadText(ports.files, absolute('/usr/lib/os-release')));
  const values = parseOsRelease(text ?? '');
  const id = values.get('ID') ?? 'unknown';
  return {
    id,
    like: (values.get('ID_LIKE') ?? '').split(/\s+/).filter(word => word !== ''),
    version: visible(values.get('VERSION_ID') ?? ''),
    prettyName: visible(values.get('PRETTY_NAME') ?? values.get('NAME') ?? 'An unknown system'),
  };
}

/** os-release(5): shell-like assignments, quotes and backslashes undone, no expansion. */
export function parseOsRelease(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^([A-Z0-9_]+)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S*))\s*$/.exec(line);
    if (match === null) continue;
    const [, name = '', double, single, plain] = match;
    values.set(name, double?.replace(/\\(.)/g, '$1') ?? single ?? plain ?? '');
  }
  return values;
}

async function hostnameFile(ports: LookPorts): Promise<string | undefined> {
  const text = await tryReadText(ports.files, absolute('/etc/hostname'));
  const name = text?.split('\n', 1)[0]?.trim();
  return name === undefined || name === '' ? undefined : visible(name);
}

function hostBlockers(
  ports: LookPorts,
  distribution: Distribution,
  layout: Layout | undefined,
): readonly Problem[] {
  const blockers: Problem[] = [];
  if (!ports.process.privileged) {
    blockers.push(
      problem(
        'host.not-root',
        'waxseal was not started as root, so it can neither see nor change the mail configuration.',
        'Run it with sudo.',
      ),
    );
  }
  if (layout === undefined) blockers.push(unsupported({distribution}));
  return blockers;
}

/** Without systemd OpenDKIM is restarted by its init script; without that nobody could. */
async function startBlockers(
  context: LookContext,
  facts: SignerFacts | undefined,
): Promise<readonly Problem[]> {
  if (context.systemd || facts === undefined) return [];
  const name = facts.unit.replace(/\.service$/, '');
  const script = await context.ports.files.stat(`/etc/init.d/${name}` as AbsolutePath);
  if (script !== undefined) return [];
  return [
    problem(
      'host.no-service-manager',
      'Neither systemd nor an init script of OpenDKIM is here, so it cannot be restarted.',
      'Run waxseal on the running host, not in an image or a chroot.',
    ),
  ];
}

/** Two signatures are valid, but one signer is enough. */
function signsToo(signer: OtherSigner): readonly Problem[] {
  const whyNot = whyNotSwitched(signer);
  return [
    problem(
      'host.other-signer',
      `${signer.name} ${signer.signs === 'yes' ? 'signs' : 'may sign'} mail as well (${signer.evidence}); messages would carry two signatures.`,
      whyNot === undefined
        ? 'waxseal asks: --other-signer switch turns its signing off with the same plan, --other-signer leave lets both sign.'
        : `Switch its signing off yourself (${whyNot}), or let both sign: --other-signer leave.`,
    ),
  ];
}

const LIST_SERVERS: readonly (readonly [string, AbsolutePath])[] = [
  ['Mailman 3', absolute('/etc/mailman3/mailman.cfg')],
  ['Mailman 2', absolute('/etc/mailman/mm_cfg.py')],
  ['Sympa', absolute('/etc/sympa/sympa/sympa.conf')],
  ['mlmmj', absolute('/var/spool/mlmmj')],
];

/** Lists add footers and subject prefixes: that breaks the signature of the author, and ours goes on the result. */
async function mailingLists(ports: LookPorts): Promise<readonly Problem[]> {
  const found: string[] = [];
  for (const [name, place] of LIST_SERVERS) {
    if ((await ports.files.stat(place).catch(() => undefined)) !== undefined) found.push(name);
  }
  if (found.length === 0) return [];
  return [
    problem(
      'host.mailing-list',
      `${found.join(' and ')} is here: what a list changes breaks the signature that a message came with.`,
      'Let the list put its own address into From (dmarc_mitigate_action = munge_from in Mailman), and sign the domain of the list.',
    ),
  ];
}

const unproven = (layout: Layout | undefined): readonly Problem[] =>
  layout === undefined || layout.proven
    ? []
    : [
        problem(
          'host.unproven',
          `${layout.name} is known from its packages only; waxseal was not proven on it.`,
          'Look at the plan with --dry-run before you agree to it.',
        ),
      ];
