/** Whether the account of a signer will get at the private keys where a plan puts them or leaves them. */
import {command} from '../domain/command.ts';
import {type AbsolutePath, parentOf} from '../domain/paths.ts';
import {visible} from '../domain/text.ts';
import {type Finding, failed, passed} from '../proof/finding.ts';
import type {Ports} from '../system/ports.ts';
import {asIdentity, type Identity} from './account.ts';
import type {Owner, Step} from './step.ts';

type ReachPorts = Pick<Ports, 'files' | 'commands' | 'users'>;

/** Owner and mode of something on the way to a key. */
export interface Rights {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/**
 * Walks to each of `keys` as `identity`, over what is there and what `steps` will change. The first directory that it may
 * not enter, or key that it may not read, is named with its owner and mode.
 */
export async function reachKeys(
  ports: ReachPorts,
  {program, identity}: {readonly program: string; readonly identity: Identity},
  keys: readonly AbsolutePath[],
  steps: readonly Step[],
): Promise<Finding> {
  const planned = new Map(
    steps.flatMap(step => ('path' in step ? [[step.path as string, step] as const] : [])),
  );
  const seen = new Set<string>();
  for (const {stop, isKey} of keys.flatMap(onTheWay)) {
    if (seen.has(stop)) continue;
    seen.add(stop);
    const obstacle = await obstacleAt(ports, identity, stop, isKey, planned.get(stop));
    if (obstacle !== undefined) return refused(obstacle, program, identity, isKey);
  }
  return passed(`${identity.name} may read the keys where they will be`);
}

/** The first directory on the way to `directory`, or itself, that `identity` may not pass; undefined where there is none. */
export async function wayBarred(
  ports: ReachPorts,
  {program, identity}: {readonly program: string; readonly identity: Identity},
  directory: AbsolutePath,
): Promise<Finding | undefined> {
  for (const {stop} of onTheWay(directory)) {
    const obstacle = await obstacleAt(ports, identity, stop, false, undefined);
    if (obstacle === undefined) continue;
    const {path, rights, runsAs} = obstacle;
    return failed(
      `${path} is ${rights}; ${program} runs as ${runsAs}`,
      `The temporary ${program} can't enter ${path}: ${identity.name} needs the right to search it (x).`,
      `sudo ${command('chmod', 'a+x', path)}`,
    );
  }
  return undefined;
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

/** What stops the signer, for a person. */
interface Obstacle {
  readonly path: string;
  readonly rights: string;
  readonly runsAs: string;
}

async function obstacleAt(
  ports: ReachPorts,
  identity: Identity,
  path: AbsolutePath,
  isKey: boolean,
  step: Step | undefined,
): Promise<Obstacle | undefined> {
  const planned = await plannedRights(ports, step);
  const real = (await ports.files.resolve(path)) ?? path;
  const rights = planned ?? (await ports.files.stat(real));
  // What is missing and not planned is told by the temporary signer itself, in its own words.
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
  return {
    path: visible(real),
    rights: await rightsText(ports, rights),
    runsAs: await runsAs(ports, identity),
  };
}

const refused = (
  {path, rights, runsAs}: Obstacle,
  program: string,
  identity: Identity,
  isKey: boolean,
): Finding =>
  failed(
    `${path} is ${rights}; ${program} runs as ${runsAs}`,
    isKey
      ? `${program} can't read the key ${path}.`
      : `${program} can't enter ${path} on the way to its keys.`,
    repair(path, identity, isKey),
  );

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

/** `name:name 0750`; numbers where an account has no name. */
export async function rightsText({users}: Pick<Ports, 'users'>, {uid, gid, mode}: Rights): Promise<string> {
  const user = (await users.userById(uid))?.name ?? uid;
  const group = (await users.groupById(gid))?.name ?? gid;
  return `${user}:${group} ${(mode & 0o7777).toString(8).padStart(4, '0')}`;
}

async function runsAs({users}: ReachPorts, {name, gids}: Identity): Promise<string> {
  const names = await Promise.all(gids.map(async gid => (await users.groupById(gid))?.name ?? String(gid)));
  return `${name} (groups: ${names.join(', ')})`;
}
