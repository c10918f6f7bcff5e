/** As whom a daemon starts and works on this host: the numbers that the kernel will judge it by. */
import {visible} from '../domain/text.ts';
import type {Argv, FileStat, Ports} from '../system/ports.ts';
import type {SignerFacts} from './facts.ts';

/** What decides as whom it runs (systemd.exec(5), and what its own configuration says). */
export type SignerAccount = Pick<SignerFacts, 'user' | 'unitUser' | 'unitGroup' | 'unitGroups' | 'changesTo'>;

export interface Identity {
  /** The account, for a person. */
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** Every group of the process, `gid` among them. */
  readonly gids: readonly number[];
}

export interface Identities {
  /** At start; undefined where that is root. */
  readonly start: Identity | undefined;
  /** While it signs: keys are read for each message as this one (daemons/opendkim.md#reload). */
  readonly work: Identity;
}

type AccountPorts = Pick<Ports, 'users' | 'commands'>;

/** An account or a group that the host does not know. */
export interface Unknown {
  readonly unknown: string;
}

/**
 * Resolves names to numbers, supplementary groups included (initgroups(3), SupplementaryGroups=). `Unknown` names the
 * account or group that is missing.
 */
export async function identitiesOf(
  ports: AccountPorts,
  signer: SignerAccount,
): Promise<Identities | Unknown> {
  const {unitUser, unitGroup, unitGroups = []} = signer;
  if (unitUser !== undefined && unitUser !== 'root' && unitUser !== '0') {
    const start = await identityOf(ports, unitUser, unitGroup, unitGroups);
    return 'unknown' in start ? start : {start, work: start};
  }
  // As root it takes the groups of the account that it changes to, and none of the unit's.
  const group = signer.changesTo?.split(':')[1] ?? '';
  const work = await identityOf(ports, signer.user, group === '' ? undefined : group, []);
  return 'unknown' in work ? work : {start: undefined, work};
}

async function identityOf(
  ports: AccountPorts,
  userName: string,
  groupName: string | undefined,
  more: readonly string[],
): Promise<Identity | Unknown> {
  const user = await (isNumber(userName)
    ? ports.users.userById(Number(userName))
    : ports.users.user(userName));
  if (user === undefined) return {unknown: `user ${visible(userName)}`};
  const gid = groupName === undefined ? user.gid : await gidOf(ports, groupName);
  if (gid === undefined) return {unknown: `group ${visible(groupName ?? '')}`};
  const gids = new Set([gid]);
  for (const name of more) {
    const each = await gidOf(ports, name);
    if (each === undefined) return {unknown: `group ${visible(name)}`};
    gids.add(each);
  }
  for (const each of await listedGroups(ports, user.name, user.gid)) gids.add(each);
  return {name: user.name, uid: user.uid, gid, gids: [...gids]};
}

const isNumber = (text: string): boolean => /^\d{1,10}$/.test(text);

const gidOf = async ({users}: AccountPorts, name: string): Promise<number | undefined> =>
  isNumber(name) ? Number(name) : (await users.group(name))?.gid;

/** Groups that name the user as a member: its primary group is none of them unless it is listed there, too. */
async function listedGroups(ports: AccountPorts, name: string, primary: number): Promise<readonly number[]> {
  const {status, stdout} = await ports.commands.run(['id', '-G', '--', name], {timeoutMs: 60_000});
  const all = status === 0 ? stdout.split(/\s+/).filter(isNumber).map(Number) : [];
  const listed = (await ports.users.groupById(primary))?.members.includes(name) === true;
  return listed ? all : all.filter(gid => gid !== primary);
}

/** Whether the mode lets this identity read the file; access lists and the way to it are not looked at. */
export function modeLetsRead({mode, uid, gid}: FileStat, identity: Identity): boolean {
  const bit = uid === identity.uid ? 0o400 : identity.gids.includes(gid) ? 0o040 : 0o004;
  return identity.uid === 0 || (mode & bit) !== 0;
}

/** A command as this identity, with nothing of root's left (setpriv(1)); unchanged where there is none. */
export const asIdentity = (identity: Identity | undefined, argv: Argv): Argv =>
  identity === undefined
    ? argv
    : [
        'setpriv',
        `--reuid=${identity.uid}`,
        `--regid=${identity.gid}`,
        `--groups=${identity.gids.join(',')}`,
        '--inh-caps=-all',
        '--',
        ...argv,
      ];
