/**
 * Everything of the outside world that waxseal may touch. Real implementations are in system/real, those of the
 * sandbox in demo/; nothing else does I/O. Types only: this file has no code.
 */
import type {Duplex} from 'node:stream';
import type {SocketEndpoint} from '../domain/endpoint.ts';
import type {AbsolutePath} from '../domain/paths.ts';

/** Permission bits as in chmod(2), 0o7777 at most. */
export type Mode = number;

export interface FileStat {
  readonly kind: 'file' | 'directory' | 'symlink' | 'socket' | 'other';
  readonly mode: Mode;
  readonly uid: number;
  readonly gid: number;
  /** Octets. */
  readonly size: number;
  readonly links: number;
  readonly device: number;
  readonly inode: number;
  readonly modifiedMs: number;
}

export interface FileAttributes {
  readonly mode: Mode;
  readonly uid: number;
  readonly gid: number;
}

/** The rights by an access list (acl(5)), its mask applied; bits as in a mode: 4 read, 2 write, 1 search. */
export interface AccessList {
  /** Of the file's own group: with a list, the bits of the mode are the mask. */
  readonly group: number;
  readonly named: readonly {
    readonly kind: 'user' | 'group';
    readonly id: number;
    readonly rights: number;
  }[];
}

/** A file as it was behind one handle: content and description are of the same file, whatever its name means later. */
export interface InspectedFile {
  readonly content: Uint8Array;
  readonly stat: FileStat;
}

/**
 * What became of a file that was to be destroyed. `overwritten`: its octets are gone, but its name was exchanged
 * meanwhile and what has that name now was left alone. The last four: nothing was touched.
 */
export type Destruction =
  | 'destroyed'
  | 'overwritten'
  | 'absent'
  | 'not-a-file'
  | 'several-names'
  | 'unexpected';

/** Paths are those of the host; with `--root DIR` and in the sandbox the implementation maps them below DIR. */
export interface Files {
  /** lstat(2): a symlink is reported as such. `undefined` where nothing is there. */
  stat(path: AbsolutePath): Promise<FileStat | undefined>;
  /**
   * Content of a regular file; `undefined` where it does not exist. Throws HostError otherwise (EACCES). A symlink at the
   * end is followed unless `follow` is false: for what `stat` has just called a file, which somebody may swap meanwhile.
   * HostError `file.unsafe-link` for a link, `file.hard-link` for a second name, that somebody else than root or this user
   * could have put on the way: it may lead to any file of the host.
   */
  read(path: AbsolutePath, how?: {readonly follow?: boolean}): Promise<Uint8Array | undefined>;
  /**
   * Content and description of a regular file by one handle: for what is decided on both, so that nobody can exchange
   * the file between two looks. `undefined` where it does not exist. A symlink at the end is followed only where `follow`
   * is true. Throws HostError `file.symlink`, `file.kind` (not a regular file; never opened), `file.denied` or another.
   */
  inspect(path: AbsolutePath, how?: {readonly follow?: boolean}): Promise<InspectedFile | undefined>;
  /** Names in a directory, sorted; `undefined` where it does not exist. */
  list(path: AbsolutePath): Promise<readonly string[] | undefined>;
  /** Every symlink resolved, within the root of this port; `undefined` where something on the way is missing. */
  resolve(path: AbsolutePath): Promise<AbsolutePath | undefined>;
  readLink(path: AbsolutePath): Promise<string | undefined>;
  /**
   * The access lists of files and directories, by path: of those that have one which gives rights. `unread` where there is
   * one and nobody can say what is in it. Nothing is said of a symlink.
   */
  accessLists(paths: readonly AbsolutePath[]): Promise<ReadonlyMap<AbsolutePath, AccessList | 'unread'>>;

  /**
   * Puts new content in place of `path` (or where nothing was) in one step: a new file beside it, exclusive and not
   * followed, owner and mode before content, fsync, rename, fsync of the directory. `path` must not be a symlink:
   * resolve first. HostError `file.exchanged` where the owner of the directory exchanged a name meanwhile. Refuses (HostError) in a directory that others than root and `attributes.uid` can write, unless sticky.
   */
  replace(
    path: AbsolutePath,
    content: Uint8Array,
    attributes: FileAttributes,
    how?: {
      /**
       * The access list, the extended attributes and the security label of the file that is replaced go over to the
       * new one. HostError `file.labels` where they cannot; nothing is changed then.
       */
      readonly keepLabels?: boolean;
      /** Time of the last modification instead of now. */
      readonly modified?: Date;
    },
  ): Promise<void>;
  /**
   * Whether what is at `path` could be changed, without trying: HostError `file.read-only` (read-only file system) or
   * `file.immutable` (chattr +i). No error where nothing is there.
   */
  checkChangeable(path: AbsolutePath): Promise<void>;
  /** As `replace`, but never over something that is there: rejects with HostError `file.exists`. */
  create(path: AbsolutePath, content: Uint8Array, attributes: FileAttributes): Promise<void>;
  /** mkdir(2) of one level, owner and mode before it can be seen by others. Rejects where something is there. */
  makeDirectory(path: AbsolutePath, attributes: FileAttributes): Promise<void>;
  /**
   * chown then chmod of the file or directory that was `seen` there, through an open handle, no symlink followed.
   * HostError `file.exchanged` where another one has its name now: it would be given away unseen.
   */
  setAttributes(
    path: AbsolutePath,
    attributes: FileAttributes,
    seen: Pick<FileStat, 'device' | 'inode'>,
  ): Promise<void>;
  /**
   * Appends and fsyncs; creates with `attributes` where missing. For journals and logs. HostError `file.kind`,
   * `file.symlink`, `file.hard-link`, or `file.loose` where what is there belongs to somebody else, or others could write
   * it, or everyone read it.
   */
  append(path: AbsolutePath, content: Uint8Array, attributes: FileAttributes): Promise<void>;
  /**
   * Overwrites a regular file with random octets, syncs it, and removes its name. It is opened once, without following
   * a link, and only touched where it has one name and `isExpected` is true for what is in it (up to 1 MiB) and what it
   * is; both are of the file that is then overwritten. Rejects with HostError where the directory is unsafe or
   * the file cannot be written; its name is still there then, and it may be half overwritten. Overwriting promises nothing on journals and flash.
   */
  destroy(
    path: AbsolutePath,
    isExpected: (content: Uint8Array, stat: FileStat) => boolean,
  ): Promise<Destruction>;
  /** Unlinks a file, symlink or socket; no error where nothing is there. */
  remove(path: AbsolutePath): Promise<void>;
  /** rmdir(2); no error where nothing is there; HostError where it is not empty. */
  removeDirectory(path: AbsolutePath): Promise<void>;
}

export type Argv = readonly [string, ...string[]];

export interface CommandOptions {
  /** Milliseconds until SIGTERM, two seconds later SIGKILL to the whole process group. Default 120 000. */
  readonly timeoutMs?: number;
  readonly input?: Uint8Array;
  /** Added to a minimal environment (PATH, LC_ALL=C); the rest is not passed on. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly runAs?: {readonly uid: number; readonly gid: number};
  /** Milliseconds between SIGTERM and SIGKILL; default 2 000. 0 for what has nothing to tidy up. */
  readonly graceMs?: number;
  readonly signal?: AbortSignal;
}

export interface CommandResult {
  /** `null` where it was ended by a signal or never started. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** `missing`: no such program on PATH. */
  readonly ended: 'exit' | 'signal' | 'timeout' | 'missing';
}

export interface Commands {
  /** Runs a program with an argument vector. Never a shell. Never throws for a bad exit. Output is cut at 4 MiB. */
  run(argv: Argv, options?: CommandOptions): Promise<CommandResult>;
}

export interface UserEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  /** Names listed in the group, without those that have it as primary group. */
  readonly members: readonly string[];
}

export interface Users {
  user(name: string): Promise<UserEntry | undefined>;
  userById(uid: number): Promise<UserEntry | undefined>;
  group(name: string): Promise<GroupEntry | undefined>;
  groupById(gid: number): Promise<GroupEntry | undefined>;
  /** Everyone whose primary group is `gid`. */
  primaryMembers(gid: number): Promise<readonly UserEntry[]>;
}

export interface Clock {
  now(): Date;
  /** Resolves after `ms`, or rejects with the reason of the signal. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Random {
  /** Cryptographically strong octets. */
  bytes(length: number): Uint8Array;
}

export type KeySpec =
  | {readonly algorithm: 'rsa'; readonly bits: 2048 | 3072 | 4096}
  | {readonly algorithm: 'ed25519'};

export interface KeySource {
  /** How many keys can be made at the same time without slowing each other down: one a processor. */
  readonly atOnce?: number;
  /** A new private key as PKCS#8 PEM. Off the main thread; ends early when `signal` aborts. */
  generate(spec: KeySpec, signal?: AbortSignal): Promise<string>;
}

export type {SocketEndpoint};

export interface Sockets {
  /** Connects within `timeoutMs`. Rejects with the system's error (`code`: ENOENT, EACCES, ECONNREFUSED, ETIMEDOUT). */
  connect(endpoint: SocketEndpoint, timeoutMs: number): Promise<Duplex>;
}

export interface DnsServer {
  /** IPv4 or IPv6 address, textual. */
  readonly address: string;
  readonly port: number;
  /** Undefined: UDP, and TCP where an answer is truncated. `tls`: RFC 7858. Only for resolvers. */
  readonly transport?: 'tcp' | 'tls';
  /** The name that the certificate must have; without it the connection is private, but not proven (RFC 8310 §5). */
  readonly tlsName?: string;
}

/** Carries DNS messages (RFC 1035 §4.2); knows nothing of their meaning but the header. */
export interface DnsTransport {
  /**
   * One UDP exchange from a fresh random source port. A datagram counts only from the server's address and port and
   * where `accept` is true for it (ID and question match); others are ignored until the time is over (then rejects
   * with `code: 'ETIMEDOUT'`). ICMP errors reject with their code.
   */
  udp(
    server: DnsServer,
    query: Uint8Array,
    options: {timeoutMs: number; accept: (answer: Uint8Array) => boolean; signal?: AbortSignal},
  ): Promise<Uint8Array>;
  /** One TCP exchange, two-octet length framing (RFC 7766); through TLS where the server says so. */
  tcp(
    server: DnsServer,
    query: Uint8Array,
    options: {timeoutMs: number; signal?: AbortSignal},
  ): Promise<Uint8Array>;
  /** The resolvers of this host, from resolv.conf. */
  hostResolvers(): Promise<readonly DnsServer[]>;
}

export interface LockHolder {
  readonly pid: number;
  readonly since: string;
  readonly command: string;
}

export interface Locks {
  /** Takes the one lock of this host; rejects with LockHeld that names the holder. A dead holder's lock is taken over. */
  acquire(command: string): Promise<{release(): Promise<void>}>;
}

export interface CurrentProcess {
  readonly pid: number;
  readonly uid: number;
  /** True where writing system files is possible: uid 0, or the sandbox. */
  readonly privileged: boolean;
}

/** The whole outside world, handed down from cli/ or demo/. */
export interface Ports {
  readonly files: Files;
  readonly commands: Commands;
  readonly users: Users;
  readonly clock: Clock;
  readonly random: Random;
  readonly keys: KeySource;
  readonly sockets: Sockets;
  readonly dns: DnsTransport;
  readonly locks: Locks;
  readonly process: CurrentProcess;
}
