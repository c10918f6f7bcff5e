/** From facts and a snapshot to the steps that make a host sign. Pure: the same input gives the same plan. */

import type {SocketEndpoint} from '../domain/endpoint.ts';
import {fail, ok, type Problem, problem, type Result} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {installCommand} from '../layouts/package-managers.ts';
import {type HostFacts, milterEndpoint} from './facts.ts';
import {entryOf} from './files.ts';
import type {SignerChange, SigningIntent, WantedDomain} from './intent.ts';
import {MTAS, mtaOf, SIGNER} from './registry.ts';
import type {ConfigurationSnapshot} from './snapshot.ts';
import type {PackageStep, Step} from './step.ts';
import {goOnSigning, isOnlySigner, switchOver, whoWouldLose} from './switch-over.ts';
import type {Trial} from './trial.ts';

export interface HostChange extends SignerChange {
  /** `place` and then `switch`, of all services; empty where the host is right already. */
  readonly steps: readonly Step[];
}

export interface SigningChange extends HostChange {
  /** Where the signer answers afterwards, in paths of the host. */
  readonly endpoint: SocketEndpoint;
  readonly trial: Trial;
}

/** `planChange` of an intent that has something to sign. */
export function planSigning(
  facts: HostFacts,
  snapshot: ConfigurationSnapshot,
  intent: SigningIntent,
): Result<SigningChange> {
  const change = planChange(facts, snapshot, intent);
  if (!change.ok) return change;
  const {trial} = change.value;
  const endpoint = milterEndpoint(change.value);
  if (trial === undefined || endpoint === undefined) throw new TypeError('nothing to sign');
  return ok({...change.value, endpoint, trial});
}

/**
 * Plans what `intent` wants of this host. A problem (with its id) instead of a plan: `host.no-mta`, `host.unsupported`,
 * `key.exists`, `file.unreadable`, and those of the signer and the mail server.
 */
export function planChange(
  facts: HostFacts,
  snapshot: ConfigurationSnapshot,
  intent: SigningIntent,
): Result<HostChange> {
  const {layout} = facts;
  const {sign = []} = intent;
  const mta = mtaOf(facts);
  if (layout === undefined) return fail(unsupported(facts));
  if (mta === undefined) return fail(noMta(facts));
  const host = {facts, snapshot, layout};
  const signer = SIGNER.plan(host, mta.reach(host), intent);
  if (!signer.ok) return signer;
  const {attachment, former} = signer.value;
  if (sign.length === 0 || attachment?.by !== 'milter') return ok(wholeOf(signer.value));
  const switching = intent.rivals === 'switch';
  const loser = switching ? whoWouldLose(facts, signedAfter(facts, sign)) : undefined;
  if (loser !== undefined) return fail(loser);
  const link = mta.plan(host, {
    wanted: attachment.endpoint,
    before: milterEndpoint(facts.signer),
    former,
    isGone: endpoint => endpoint.kind === 'unix' && entryOf(snapshot, endpoint.path).stat === undefined,
    isSwitchedOff: entry => switching && isOnlySigner(entry),
    dropsStray: switching,
  });
  if (!link.ok) return link;
  const others = switching ? switchOver(host) : ok([]);
  if (!others.ok) return others;
  return ok(
    wholeOf({
      ...signer.value,
      switch: [...signer.value.switch, ...link.value.steps, ...others.value],
      remarks: [
        ...signer.value.remarks,
        ...link.value.remarks,
        ...(intent.rivals === 'leave' ? goOnSigning(facts) : []),
      ],
    }),
  );
}

const wholeOf = (change: SignerChange): HostChange => ({
  ...change,
  steps: [...change.place, ...change.switch],
});

/** The domains that are signed when the plan is done. */
const signedAfter = (
  {signer}: Pick<HostFacts, 'signer'>,
  sign: readonly WantedDomain[],
): ReadonlySet<string> =>
  new Set([
    ...(signer?.signedDomains ?? []).map(domain => domain.toLowerCase()),
    ...sign.map(({domain}) => domain),
  ]);

/** `host.other-mta` where a mail server is there, which no advice may remove; else `host.no-mta`. */
export function noMta({otherMta, layout}: Pick<HostFacts, 'otherMta' | 'layout'>): Problem {
  const [mta] = MTAS;
  const {program} = mta.words;
  if (otherMta === undefined) {
    const install =
      layout === undefined ? undefined : installCommand(layout.packageManager, mta.packages(layout));
    return problem(
      'host.no-mta',
      `No mail server was found on this host. waxseal works with ${program}.`,
      `Install ${program}, and set it up to send mail${install === undefined ? '.' : `: ${install}`}`,
    );
  }
  return problem(
    'host.other-mta',
    otherMta.startsWith('/')
      ? `This host's mail server isn't ${program} (${visible(otherMta)} belongs to another one). waxseal works with ${program}.`
      : `This host's mail server is ${otherMta}. waxseal works with ${program}.`,
    `Nothing on this host has changed. Run waxseal on a host whose mail goes out through ${program}.`,
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
