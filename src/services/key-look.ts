/** What a signer makes of a private key: can its account open the file, could others have, and is there a key in it. */
import {ToolError} from '../domain/errors.ts';
import {type AbsolutePath, parentOf, parseAbsolutePath} from '../domain/paths.ts';
import {visible} from '../domain/text.ts';
import type {FileStat, Files, Users} from '../system/ports.ts';
import {type KeyFact, keyFactOf} from './key-fact.ts';

export interface KeyMaterial {
  readonly algorithm: 'rsa' | 'ed25519' | 'other';
  /** Whole octets. */
  readonly bits: number;
}

export type KeyState =
  | {
      readonly access: 'ok';
      /** Why others could have read or changed it; undefined where it is safe. */
      readonly unsafe: string | undefined;
      /** Undefined where the signer reads no key from it. */
      readonly material: KeyMaterial | undefined;
      /** Of a file, what it holds. */
      readonly fact?: KeyFact;
    }
  /** The signer cannot load it. */
  | {readonly access: 'failed'; readonly why: string}
  /** waxseal cannot tell. */
  | {readonly access: 'unknown'; readonly why: string};

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export type KeyPorts = {
  readonly files: Pick<Files, 'inspect' | 'list' | 'resolve' | 'stat'>;
  readonly users: Pick<Users, 'groupById' | 'primaryMembers'>;
};

/** Looks at key files as an account; each directory on the way is looked at once. */
export interface KeyLook {
  /**
   * @param path absolute, as it stands in the configuration with what the signer puts in
   * @param reader who opens it: root reads the single key at the start, and judges it for the account
   */
  file(path: string, reader?: 'account' | 'root'): Promise<KeyState>;
}

/** @param account undefined where it is not known */
export function createKeyLook(
  ports: KeyPorts,
  account: Account | undefined,
  keyMaterial: (content: Uint8Array, fact: KeyFact) => KeyMaterial | undefined,
): KeyLook {
  const directories = new Map<AbsolutePath, Promise<Way>>();
  const groups = new Map<number, Promise<Group>>();
  const groupOf = (gid: number): Promise<Group> => {
    const known = groups.get(gid) ?? readGroup(ports, gid);
    groups.set(gid, known);
    return known;
  };
  const way = (directory: AbsolutePath, who: Account): Promise<Way> => {
    const known = directories.get(directory) ?? lookAtWay(directory, who);
    directories.set(directory, known);
    return known;
  };
  const lookAtWay = async (directory: AbsolutePath, who: Account): Promise<Way> => {
    // Open on every host that works; of an image or a sandbox it is the directory around it.
    if (directory === '/') return OPEN;
    const above = await way(parentOf(directory), who);
    const stat = await ports.files.stat(directory);
    if (stat?.kind !== 'directory') return above;
    const group = await groupOf(stat.gid);
    return {
      mayEnter: above.mayEnter && may(who, stat, group, 1),
      unsafe: above.unsafe ?? unsafeDirectory(directory, stat, who, group),
    };
  };
  return {
    async file(text, reader = 'account') {
      const path = parseAbsolutePath(text);
      if (!path.ok || text.split('/').includes('..')) {
        return {access: 'unknown', why: 'its path is not a plain absolute one'};
      }
      if (account === undefined) return {access: 'unknown', why: 'the account of the signer is not known'};
      try {
        const real = await ports.files.resolve(path.value);
        if (real === undefined) return failed('is missing');
        const found = await ports.files.inspect(real).catch(asError);
        const isRead = found !== undefined && !(found instanceof ToolError);
        const stat = isRead ? found.stat : await ports.files.stat(real);
        if (stat === undefined) return failed('is missing');
        const ways = await Promise.all([real, path.value].map(async at => way(parentOf(at), account)));
        const group = await groupOf(stat.gid);
        const isRoot = reader === 'root';
        if (!isRoot && !ways.every(({mayEnter}) => mayEnter)) {
          return failed(`is in a directory that ${visible(account.name)} can't enter`);
        }
        if (!isRoot && !may(account, stat, group, 4))
          return failed(`can't be read by ${visible(account.name)}`);
        if (stat.kind !== 'file') return failed('is not a regular file');
        if (!isRead) return UNREAD;
        const fact = keyFactOf(found.content, real);
        return {
          access: 'ok',
          unsafe: ways[0]?.unsafe ?? unsafeFile(stat, account, group),
          material: keyMaterial(found.content, fact),
          fact,
        };
      } catch (error) {
        if (!(error instanceof ToolError)) throw error;
        return UNREAD;
      }
    },
  };
}

const UNREAD: KeyState = {access: 'unknown', why: "waxseal can't read it"};

function asError(error: unknown): ToolError {
  if (error instanceof ToolError) return error;
  throw error;
}

const failed = (why: string): KeyState => ({access: 'failed', why});

/** What a directory and those above it mean for what lies in it. */
interface Way {
  readonly mayEnter: boolean;
  readonly unsafe: string | undefined;
}

const OPEN: Way = {mayEnter: true, unsafe: undefined};

interface Group {
  /** Names that it lists. */
  readonly members: readonly string[];
  /** Accounts whose primary group it is. */
  readonly primary: readonly {readonly name: string; readonly uid: number}[];
}

async function readGroup({users}: KeyPorts, gid: number): Promise<Group> {
  const [group, primary] = await Promise.all([users.groupById(gid), users.primaryMembers(gid)]);
  return {members: group?.members ?? [], primary};
}

function may(who: Account, stat: FileStat, group: Group, right: 1 | 4): boolean {
  if (who.uid === 0) return true;
  if (stat.uid === who.uid) return (stat.mode & (right << 6)) !== 0;
  if (stat.gid === who.gid || group.members.includes(who.name)) return (stat.mode & (right << 3)) !== 0;
  return (stat.mode & right) !== 0;
}

/** Another account in the group than the daemon's and root's. */
const otherIn = (group: Group, who: Account): string | undefined =>
  group.primary.find(({uid}) => uid !== who.uid && uid !== 0)?.name ??
  group.members.find(name => name !== who.name && name !== 'root');

function unsafeFile(stat: FileStat, who: Account, group: Group): string | undefined {
  if (stat.uid !== 0 && stat.uid !== who.uid) return `belongs to neither ${visible(who.name)} nor root`;
  const other = (stat.mode & 0o060) === 0 ? undefined : otherIn(group, who);
  if (other !== undefined) return `can be read or written by its group, which ${visible(other)} is in`;
  return (stat.mode & 0o006) === 0 ? undefined : 'can be read or written by other users';
}

function unsafeDirectory(path: AbsolutePath, stat: FileStat, who: Account, group: Group): string | undefined {
  const is = `is in ${visible(path)}, which`;
  if ((stat.mode & 0o002) !== 0) return `${is} other users can write`;
  const other = (stat.mode & 0o020) === 0 ? undefined : otherIn(group, who);
  if (other !== undefined) return `${is} its group can write, and ${visible(other)} is in that group`;
  if ((stat.mode & 0o200) !== 0 && stat.uid !== 0 && stat.uid !== who.uid) {
    return `${is} belongs to neither ${visible(who.name)} nor root`;
  }
  return undefined;
}
