/** The first step: what this host is, what it has, what forbids going on. Only reads, and only quick commands. */
import {type AbsolutePath, absolute} from '../domain/paths.ts';
import {type Problem, problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {layoutFor} from '../layouts/index.ts';
import type {Distribution, Layout} from '../layouts/layout.ts';
import {mailingLists} from './by-name/lists.ts';
import {otherMta} from './by-name/mtas.ts';
import type {HostFacts, Rival, SignerFacts} from './facts.ts';
import type {LookContext, LookPorts} from './look-context.ts';
import {findServiceManager} from './manager.ts';
import type {Entrance, FoundMta} from './mta.ts';
import {tryReadText} from './reading.ts';
import {MTAS, PROGRAMS, SIGNER} from './registry.ts';
import {noMta, unsupported} from './signing.ts';
import {whyNotSwitched} from './switch-over.ts';
import {showUnits} from './systemd.ts';

/** A look at the host, with what is no plain data. */
export interface HostLook {
  readonly facts: HostFacts;
  /** Every way in of its mail server; none where it has none that is known. */
  readonly entrances: readonly Entrance[];
}

/** The facts of {@link look} alone. */
export const lookAtHost = async (ports: LookPorts, signal?: AbortSignal): Promise<HostFacts> =>
  (await look(ports, signal)).facts;

/** Looks at the host. Never throws for what is missing or not readable: that becomes a blocker or a remark. */
export async function look(ports: LookPorts, signal?: AbortSignal): Promise<HostLook> {
  const distribution = await readDistribution(ports);
  const layout = layoutFor(distribution);
  const serviceManager = await findServiceManager(ports.files);
  const systemd = serviceManager === 'systemd';
  const context: LookContext = {ports, layout, systemd, signal};
  const [found, signer] = await Promise.all([
    detectMta(context),
    layout === undefined ? undefined : SIGNER.detect({...context, layout}),
  ]);
  const entrances = found?.entrances ?? [];
  const rivals = await findRivals(context, entrances, signer?.facts);
  const mta = found === undefined ? await otherMta(context) : undefined;
  const facts: HostFacts = {
    distribution,
    layout,
    serviceManager,
    hostname: found?.facts.hostname ?? (await hostnameFile(ports)) ?? 'localhost',
    privileged: ports.process.privileged,
    mta: found?.facts,
    ...(mta === undefined ? {} : {otherMta: mta}),
    signer: signer?.facts,
    rivals,
    missingPackages: layout !== undefined && signer === undefined ? SIGNER.packages(layout) : [],
    mailDomains: found?.mailDomains ?? [],
    blockers: [
      ...hostBlockers(ports, distribution, layout),
      ...(found?.blockers ?? [noMta({layout, ...(mta === undefined ? {} : {otherMta: mta})})]),
      ...(signer?.blockers ?? []),
      ...(await startBlockers(context, signer?.facts)),
    ],
    remarks: [
      ...unproven(layout),
      ...rivals.filter(({signs}) => signs !== 'no').map(signsToo),
      ...(found?.remarks ?? []),
      ...(signer?.remarks ?? []),
      ...(await mailingLists(ports.files)),
    ],
  };
  return {facts, entrances};
}

async function detectMta(context: LookContext): Promise<FoundMta | undefined> {
  for (const mta of MTAS) {
    const found = await mta.detect(context);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Who else may sign here, each with the evidence; empty where the signer is alone. */
async function findRivals(
  context: LookContext,
  entrances: readonly Entrance[],
  signer: SignerFacts | undefined,
): Promise<readonly Rival[]> {
  const units = PROGRAMS.flatMap(program => program.units);
  const shown = context.systemd
    ? await showUnits(context.ports.commands, units, ['ActiveState'], context.signal)
    : [];
  const active = new Set(units.filter((_, at) => shown[at]?.['ActiveState'] === 'active'));
  const found = [];
  for (const program of PROGRAMS) found.push(await program.rival({...context, entrances, signer, active}));
  return found.flatMap(rival => rival ?? []);
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

/** Without systemd the signer is restarted by its init script; without that nobody could. */
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
      `Neither systemd nor an init script of ${facts.program} is here, so it cannot be restarted.`,
      'Run waxseal on the running host, not in an image or a chroot.',
    ),
  ];
}

/** Two signatures are valid, but one signer is enough. */
function signsToo(rival: Rival): Problem {
  const {program, signs, evidence} = rival;
  const whyNot = whyNotSwitched(rival);
  return problem(
    'host.other-signer',
    `${program} ${signs === 'yes' ? 'signs' : 'may sign'} mail as well (${evidence}); messages would carry two signatures.`,
    whyNot === undefined
      ? 'waxseal asks: --other-signer switch turns its signing off with the same plan, --other-signer leave lets both sign.'
      : `Switch its signing off yourself (${whyNot}), or let both sign: --other-signer leave.`,
  );
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
