/** Whether OpenDKIM's own account will get at the private keys where a plan puts them or leaves them. */
import {type AbsolutePath, parentOf, parseAbsolutePath} from '../domain/paths.ts';
import {visible} from '../domain/text.ts';
import {type Finding, failed, passed} from '../proof/finding.ts';
import type {Ports} from '../system/ports.ts';
import {asIdentity, type Identity} from './account.ts';
import type {Candidate} from './candidate.ts';
import {keyRows, parseTable} from './opendkim/tables.ts';
import type {StagedFile} from './opendkim/trial.ts';
import type {Owner, Step} from './step.ts';

type ReachPorts = Pick<Ports, 'files' | 'commands' | 'users'>;

/** Owner and mode of something on the way to a key. */
interface Rights {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/**
 * Walks to the key of each wanted domain as `identity`, over what is there and what `steps` will change. The first
 * directory that it may not enter, or key that it may not read, is named with its owner and mode.
 */
export async function reachKeys(
  ports: ReachPorts,
  identity: Identity,
  candidate: Candidate,
  wanted: readonly StagedFile[],
  steps: readonly Step[],
): Promise<Finding> {
  const planned = new Map(
    steps.flatMap(step => ('path' in step ? [[step.path as string, step] as const] : [])),
  );
  const seen = new Set<string>();
  for (const {stop, isKey} of finalPlaces(candidate, wanted, steps).flatMap(onTheWay)) {
    if (seen.has(stop)) continue;
    seen.add(stop);
    const obstacle = await obstacleAt(ports, identity, stop, isKey, planned.get(stop));
    if (obstacle !== undefined) return obstacle;
  }
  return passed(`${identity.name} may read the keys where they will be`);
}

/** Where the key of each domain is when the plan is done. */
function finalPlaces(
  candidate: Candidate,
  wanted: readonly StagedFile[],
  steps: readonly Step[],
): readonly AbsolutePath[] {
  const rows = keyRows(parseTable(candidate.keyTable.text));
  const places = new Map(
    steps.flatMap(step =>
      step.kind === 'file' && step.after.content.from === 'secret'
        ? [[step.after.content.path as string, step.path] as const]
        : [],
    ),
  );
  const bySelector = new Map(
    rows
      .toReversed()
      .map(row => [`${row.domain.toLowerCase()} ${row.selector.toLowerCase()}`, row.path] as const),
  );
  return wanted.flatMap(({domain, selector, stagedPath}) => {
    const named = parseAbsolutePath(bySelector.get(`${domain} ${selector}`) ?? '');
    if (!named.ok) return [];
    const placed = named.value === stagedPath ? places.get(stagedPath) : named.value;
    return placed ?? [];
  });
}

interface Stop {
  readonly stop: AbsolutePath;
  readonly isKey: boolean;
}

/** Every directory below the root, and the key. */
function onTheWay(key: AbsolutePath): readonly Stop[] {
  const stops: Stop[] = [{stop: key, isKey: true}];
  for (let at = parentOf(key); at !== '/'; at = parentOf(at)) stops.push({stop: at, isKey: false});
  return stops.reverse();
}

async function obstacleAt(
  ports: ReachPorts,
  identity: Identity,
  path: AbsolutePath,
  isKey: boolean,
  step: Step | undefined,
): Promise<Finding | undefined> {
  const planned = await plannedRights(ports, step);
  const real = (await ports.files.resolve(path)) ?? path;
  const rights = planned ?? (await ports.files.stat(real));
  // What is missing and not planned is told by the temporary OpenDKIM itself, in its own words.
  if (rights === undefined) return undefined;
  const bit = isKey ? 4 : 1;
  if (allows(rights, identity, bit)) return undefined;
  // An access list may let it in. What is only planned has none.
  const isLetIn =
    planned === undefined &&
    (
      await ports.commands.run(asIdentity(identity, ['test', isKey ? '-r' : '-x', real]), {
        timeoutMs: 60_000,
      })
    ).status === 0;
  if (isLetIn) return undefined;
  const shown = visible(real);
  return failed(
    `${shown} is ${await described(ports, rights)}; OpenDKIM runs as ${await runsAs(ports, identity)}`,
    isKey ? `OpenDKIM can't read the key ${shown}.` : `OpenDKIM can't enter ${shown} on the way to its keys.`,
    repair(shown, identity, isKey),
  );
}

const repair = (path: string, identity: Identity, isKey: boolean): string => {
  if (isKey) return `sudo chown ${identity.name} ${path} && sudo chmod 600 ${path}`;
  // A directory that is only passed through must not change hands.
  return path.split('/').length <= 2
    ? `sudo chmod o+x ${path}`
    : `sudo chown ${identity.name} ${path} && sudo chmod 700 ${path}`;
};

async function plannedRights(ports: ReachPorts, step: Step | undefined): Promise<Rights | undefined> {
  if (step?.kind !== 'file' && step?.kind !== 'directory') return undefined;
  const {owner, mode} = step.kind === 'file' ? step.after : step;
  const ids = await idsOf(ports, owner);
  return ids === undefined ? undefined : {...ids, mode};
}

async function idsOf(
  {users}: ReachPorts,
  owner: Owner,
): Promise<{readonly uid: number; readonly gid: number} | undefined> {
  const uid = /^\d+$/.test(owner.user) ? Number(owner.user) : (await users.user(owner.user))?.uid;
  const gid = /^\d+$/.test(owner.group) ? Number(owner.group) : (await users.group(owner.group))?.gid;
  return uid === undefined || gid === undefined ? undefined : {uid, gid};
}

/** The check of the kernel (path_resolution(7)): the first class that fits decides. */
function allows({uid, gid, mode}: Rights, identity: Identity, bit: 1 | 4): boolean {
  if (identity.uid === 0) return true;
  if (uid === identity.uid) return (mode & (bit << 6)) !== 0;
  return (mode & (identity.gids.includes(gid) ? bit << 3 : bit)) !== 0;
}

async function described({users}: ReachPorts, {uid, gid, mode}: Rights): Promise<string> {
  const user = (await users.userById(uid))?.name ?? uid;
  const group = (await users.groupById(gid))?.name ?? gid;
  return `${user}:${group} ${(mode & 0o7777).toString(8).padStart(4, '0')}`;
}

async function runsAs({users}: ReachPorts, {name, gids}: Identity): Promise<string> {
  const names = await Promise.all(gids.map(async gid => (await users.groupById(gid))?.name ?? String(gid)));
  return `${name} (groups: ${names.join(', ')})`;
}
