/** From facts and a snapshot to the steps that make a host sign. Pure: the same input gives the same plan. */
import {fail, ok, type Problem, problem, type Result} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {installCommand} from '../layouts/package-managers.ts';
import type {SocketEndpoint} from '../system/ports.ts';
import type {Candidate} from './candidate.ts';
import type {HostFacts} from './facts.ts';
import {entryOf} from './files.ts';
import type {OpenDkimFacts} from './opendkim/facts.ts';
import {parseSocket} from './opendkim/socket.ts';
import {planOpenDkim} from './opendkim/steps.ts';
import {planPostfix} from './postfix/steps.ts';
import type {ConfigurationSnapshot} from './snapshot.ts';
import type {PackageStep, Step} from './step.ts';
import {goOnSigning, isOtherSigner, switchOver, whoWouldLose} from './switch-over.ts';
import type {Wanted} from './wanted.ts';

export interface SigningChange {
  /** In order; empty where the host is right already. */
  readonly steps: readonly Step[];
  /** Where OpenDKIM answers afterwards, in paths of the host. */
  readonly endpoint: SocketEndpoint;
  readonly candidate: Candidate;
  /** Rows that a rotation cannot move, `file:line: row`: they would sign with the replaced key afterwards, too. */
  readonly keptRows: readonly string[];
  /** What is odd and stays, or what was decided and may surprise. */
  readonly remarks: readonly Problem[];
}

/**
 * Plans signing for `wanted.domains`. A problem (with its id) instead of a plan: `opendkim.missing`, `host.no-mta`,
 * `host.unsupported`, `key.exists`, `opendkim.tables`, `opendkim.socket-override`, `file.unreadable`, ...
 */
export function planSigning(
  facts: HostFacts,
  snapshot: ConfigurationSnapshot,
  wanted: Wanted,
): Result<SigningChange> {
  const {layout, signer: opendkim, mta: postfix} = facts;
  if (layout === undefined) return fail(unsupported(facts));
  if (postfix === undefined) return fail(noMta(facts));
  if (opendkim === undefined) {
    return fail(
      problem(
        'opendkim.missing',
        'OpenDKIM is not installed.',
        `Install it first: ${layout.packages.opendkim.join(' ')}.`,
      ),
    );
  }
  const host = {facts, snapshot, layout, opendkim, postfix};
  const signer = planOpenDkim(host, wanted);
  if (!signer.ok) return signer;
  const switching = wanted.otherSigners === 'switch';
  const loser = switching ? whoWouldLose(facts, signedAfter(opendkim, wanted)) : undefined;
  if (loser !== undefined) return fail(loser);
  const mta = planPostfix(host, {
    wanted: signer.value.endpoint,
    before: signer.value.endpointBefore,
    former: (opendkim.formerSockets ?? []).flatMap(socket => parseSocket(socket) ?? []),
    isGone: endpoint => endpoint.kind === 'unix' && entryOf(snapshot, endpoint.path).stat === undefined,
    isSwitchedOff: entry => switching && isOtherSigner(entry),
    dropsStray: switching,
  });
  if (!mta.ok) return mta;
  const others = switching ? switchOver(host) : ok([]);
  if (!others.ok) return others;
  return ok({
    steps: [...signer.value.steps, ...mta.value.steps, ...others.value],
    endpoint: signer.value.endpoint,
    candidate: signer.value.candidate,
    keptRows: signer.value.keptRows,
    remarks: [
      ...signer.value.remarks,
      ...mta.value.remarks,
      ...(wanted.otherSigners === 'leave' ? goOnSigning(facts) : []),
    ],
  });
}

/** The domains that OpenDKIM signs when the plan is done. */
const signedAfter = (opendkim: Pick<OpenDkimFacts, 'signedDomains'>, wanted: Wanted): ReadonlySet<string> =>
  new Set([
    ...opendkim.signedDomains.map(domain => domain.toLowerCase()),
    ...wanted.domains.map(({domain}) => domain),
  ]);

/** No Postfix: `host.other-mta` where another mail server is there, which no advice may remove; else `host.no-mta`. */
export function noMta({otherMta, layout}: Pick<HostFacts, 'otherMta' | 'layout'>): Problem {
  if (otherMta === undefined) {
    const install =
      layout === undefined ? undefined : installCommand(layout.packageManager, layout.packages.postfix);
    return problem(
      'host.no-mta',
      'No mail server was found on this host. waxseal works with Postfix.',
      install === undefined
        ? 'Install Postfix, and set it up to send mail.'
        : `Install Postfix, and set it up to send mail: ${install}`,
    );
  }
  return problem(
    'host.other-mta',
    otherMta.startsWith('/')
      ? `This host's mail server isn't Postfix (${visible(otherMta)} belongs to another one). waxseal works with Postfix.`
      : `This host's mail server is ${otherMta}. waxseal works with Postfix.`,
    'Nothing on this host has changed. Run waxseal on a host whose mail goes out through Postfix.',
  );
}

export const unsupported = (facts: Pick<HostFacts, 'distribution'>): Problem =>
  problem(
    'host.unsupported',
    `${facts.distribution.prettyName} is not a system that waxseal knows.`,
    'Debian 12 and 13 and systems built from them are supported.',
  );

/** The step that installs what is missing; none where nothing is. */
export function packageSteps(facts: Pick<HostFacts, 'layout' | 'missingPackages'>): readonly PackageStep[] {
  const manager = facts.layout?.packageManager;
  if (manager === undefined || facts.missingPackages.length === 0) return [];
  const names = facts.missingPackages;
  return [
    {
      kind: 'package',
      id: `package:${names.join(',')}`,
      why: `Install ${names.join(' and ')}`,
      manager,
      names,
    },
  ];
}
