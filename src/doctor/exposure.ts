/**
 * Who else can change what decides whose mail is signed, or read the keys that sign: configuration, tables, their
 * directories and private keys. Only looks at kinds, owners, modes and access lists.
 */
import {command} from '../domain/command.ts';
import {type AbsolutePath, absolute, parentOf, parseAbsolutePath} from '../domain/paths.ts';
import {visible} from '../domain/text.ts';
import {checkFrom, failed, warned} from '../proof/finding.ts';
import type {Check} from '../proof/proof.ts';
import type {KnownKey, SignerFacts} from '../services/facts.ts';
import {eachOf} from '../services/reading.ts';
import {type Loose, listedFor, looseWay, repairOf} from '../system/loose-way.ts';
import type {AccessList, FileStat, Files, Ports} from '../system/ports.ts';

type ReadFiles = Pick<Files, 'stat' | 'resolve' | 'readLink' | 'accessLists'>;
type ExposurePorts = Pick<Ports, 'users'> & {readonly files: ReadFiles};
type Signer = Pick<SignerFacts, 'program' | 'keys' | 'user' | 'group'>;

/** Where web servers keep what they show to everyone. */
const SERVED = /^\/(?:var\/www|srv\/(?:www|http|htdocs)|usr\/share\/nginx|usr\/local\/www)\/|\/public_html\//;

const SETS_ID = 0o7000;
/** Keys that are looked at side by side. */
const WIDTH = 32;

const parsed = (text: string): readonly AbsolutePath[] => {
  const path = parseAbsolutePath(text);
  return path.ok ? [path.value] : [];
};

/**
 * One check a place and a kind of trouble; empty where only root can change things and only the signer reads keys.
 * @param tables what decides whose mail is signed (`Signer.decidingFiles`)
 */
export async function checkExposure(
  ports: ExposurePorts,
  signer: Signer,
  tables: readonly AbsolutePath[],
): Promise<readonly Check[]> {
  const files = remembering(ports.files);
  const look: ExposurePorts = {...ports, files};
  const daemon = await look.users.user(signer.user);
  const top = (await look.files.stat(absolute('/')))?.uid ?? 0;
  // Whoever owns / can change everything anyway: in an image below --root it may not be root.
  const isRoot = ({uid}: {readonly uid: number}): boolean => uid === 0 || uid === top;
  const isSigner = ({uid}: {readonly uid: number}): boolean => uid === daemon?.uid;
  const found = new Map<string, Check>();
  const add = (check: Check, at: string): void => {
    if (!found.has(`${check.id} ${at}`)) found.set(`${check.id} ${at}`, check);
  };
  for (const path of tables) {
    const others = await looseWay(look, path, who => isRoot(who) || isSigner(who));
    const own = others === undefined ? await looseWay(look, path, isRoot) : undefined;
    if (others !== undefined) add(await othersWrite(look, signer, others, path), others.at);
    if (own !== undefined) add(signerWrites(signer, own, await look.files.stat(own.at), path), own.at);
    const odd = await oddMode(look, signer, path);
    if (odd !== undefined) add(odd, path);
  }
  const keyFiles = signer.keys.flatMap(({path}) => parsed(path));
  await files.accessLists(await eachOf(keyFiles, WIDTH, async path => (await files.resolve(path)) ?? path));
  for (const key of signer.keys) {
    const path = parseAbsolutePath(key.path);
    if (!path.ok) continue;
    const others = await looseWay(look, path.value, who => isRoot(who) || isSigner(who));
    if (others !== undefined) add(await othersWrite(look, signer, others, path.value, 'key'), others.at);
    for (const check of await keyChecks(look, signer, key, path.value)) add(check, path.value);
  }
  return [...found.values()];
}

const onlyRoot = ({program}: Signer): string => `Only root changes what ${program} uses`;

/** Another account, or everyone. */
async function othersWrite(
  {files, users}: ExposurePorts,
  signer: Signer,
  loose: Loose,
  what: AbsolutePath,
  kind: 'table' | 'key' = 'table',
): Promise<Check> {
  const {at, repair, listed} = loose;
  const stat = await files.stat(at);
  const isEveryone = stat !== undefined && (stat.mode & 0o002) !== 0 && stat.kind !== 'symlink';
  const effect =
    kind === 'key'
      ? 'put another key in place of the one that signs'
      : 'decide whose mail is signed, and with which key';
  const owner = stat === undefined ? undefined : await users.userById(stat.uid);
  const by = repair.startsWith('chown')
    ? `belongs to ${visible(owner?.name ?? String(stat?.uid))}`
    : isEveryone
      ? 'can be written by everyone'
      : listed === undefined
        ? 'can be written by its group, which has other members'
        : `can be written by ${listed} (access list)`;
  const evidence = `${visible(at)} ${by}${at === what ? '' : `, and ${visible(what)} is below it`}`;
  const fix =
    kind === 'key' && repair === 'chown root' && stat !== undefined && !everyoneReads(stat)
      ? command('chown', signer.user, at)
      : repairOf(loose);
  return isEveryone
    ? checkFrom(
        'host.everyone-writes',
        onlyRoot(signer),
        failed(evidence, `Every user of the host can ${effect}.`, fix),
      )
    : checkFrom(
        'host.account-writes',
        onlyRoot(signer),
        warned(evidence, `Another account than root can ${effect}.`, fix),
      );
}

/** The user that the signer runs as: a flaw in it would be enough. It must still be able to read afterward. */
function signerWrites(signer: Signer, loose: Loose, stat: FileStat | undefined, what: AbsolutePath): Check {
  const {program, user, group} = signer;
  const {at, repair} = loose;
  const isOwner = repair.startsWith('chown');
  const needsGroup = isOwner && stat !== undefined && stat.kind !== 'symlink' && !everyoneReads(stat);
  const fix = needsGroup
    ? `${command('chown', `root:${group}`, at)} && ${command('chmod', 'g+rX,g-w', at)}`
    : repairOf(loose);
  const how = isOwner ? `belongs to ${user}` : `can be written by ${user}`;
  const evidence = visible(`${at} ${how}${at === what ? '' : `, and ${what} is below it`}`);
  const cause = `Who breaks into ${program} could decide whose mail is signed, and change what waxseal works with as root.`;
  return checkFrom('host.signer-writes', onlyRoot(signer), warned(evidence, cause, fix));
}

async function oddMode(
  {files}: ExposurePorts,
  {program}: Signer,
  path: AbsolutePath,
): Promise<Check | undefined> {
  const stat = await files.stat((await files.resolve(path)) ?? path);
  if (stat?.kind !== 'file' || (stat.mode & SETS_ID) === 0) return undefined;
  const evidence = `${visible(path)} has mode ${stat.mode.toString(8).padStart(4, '0')}`;
  const cause = 'A table is no program: setuid, setgid and sticky bits have no use on it.';
  const fix = command('chmod', 'u-s,g-s,-t', path);
  return checkFrom('host.odd-mode', `Modes of what ${program} uses`, warned(evidence, cause, fix));
}

async function keyChecks(
  look: ExposurePorts,
  {user, group}: Signer,
  {domain, selector}: KnownKey,
  path: AbsolutePath,
): Promise<readonly Check[]> {
  const real = (await look.files.resolve(path)) ?? path;
  const stat = await look.files.stat(real);
  if (stat?.kind !== 'file') return [];
  const title = `Private key ${visible(selector)} of ${visible(domain)}`;
  const readers = await readersOf(look, user, real, stat);
  const isRead = readers === 'everyone';
  const checks: Check[] = [];
  if (SERVED.test(real)) {
    const evidence = visible(`${real} is among the files of a web server`);
    const emergency = command('waxseal', 'rotate', '--emergency', '--domain', domain);
    const finding = isRead
      ? failed(evidence, 'Anyone who fetches it can sign mail as this domain.', `Replace it: ${emergency}`)
      : warned(
          evidence,
          'One wrong mode, and anyone who fetches it can sign mail as this domain.',
          'Move it elsewhere, and change its row in the key table.',
        );
    checks.push(checkFrom('host.key-served', title, finding));
  }
  if (readers !== undefined) {
    const evidence = `${visible(path)} can be read by ${readers}`;
    const cause = 'Who reads a private key can sign mail as this domain.';
    const fix = `${command('chown', `${user}:${group}`, real)} && ${command('chmod', '0600', real)}`;
    checks.push(checkFrom('host.key-readable', title, (isRead ? failed : warned)(evidence, cause, fix)));
  }
  return checks;
}

/** Who can read a key beside root and the signer, for a person: `everyone`, its group, or those of its access list. */
async function readersOf(
  {files, users}: ExposurePorts,
  user: string,
  path: AbsolutePath,
  stat: FileStat,
): Promise<string | undefined> {
  let everyone = (stat.mode & 0o004) !== 0;
  let group = (stat.mode & 0o040) !== 0;
  for (let at = parentOf(path); ; at = parentOf(at)) {
    const mode = (await files.stat(at))?.mode ?? 0;
    everyone &&= (mode & 0o001) !== 0;
    group &&= (mode & 0o011) !== 0;
    if (at === '/') break;
  }
  if (everyone) return 'everyone';
  if (!group) return undefined;
  const list = (await files.accessLists([path])).get(path);
  if (list !== undefined) {
    const daemon = (await users.user(user))?.uid;
    const isOwn = ({uid}: {readonly uid: number}): boolean => uid === 0 || uid === daemon;
    const listed = await listedFor({users}, list, {gid: stat.gid, right: 4}, isOwn);
    return listed === undefined ? undefined : `${listed} (access list)`;
  }
  const members = [
    ...((await users.groupById(stat.gid))?.members ?? []),
    ...(await users.primaryMembers(stat.gid)).map(({name}) => name),
  ];
  return members.some(name => name !== user && name !== 'root')
    ? 'its group, which has other members'
    : undefined;
}

/** By the bits for others, a directory to be entered, too. */
const everyoneReads = ({kind, mode}: FileStat): boolean => {
  const needed = kind === 'directory' ? 0o005 : 0o004;
  return (mode & needed) === needed;
};

/** Ten thousand keys have their way in common. */
function remembering(files: ReadFiles): ReadFiles {
  const seen = new Map<AbsolutePath, Promise<FileStat | undefined>>();
  const lists = new Map<AbsolutePath, AccessList | 'unread' | undefined>();
  return {
    async accessLists(paths) {
      const fresh = paths.filter(path => !lists.has(path));
      const found = fresh.length === 0 ? undefined : await files.accessLists(fresh);
      for (const path of fresh) lists.set(path, found?.get(path));
      return new Map(
        paths.flatMap(path => {
          const list = lists.get(path);
          return list === undefined ? [] : [[path, list] as const];
        }),
      );
    },
    resolve: path => files.resolve(path),
    readLink: path => files.readLink(path),
    stat(path) {
      const known = seen.get(path) ?? files.stat(path).catch(() => undefined);
      seen.set(path, known);
      return known;
    },
  };
}
