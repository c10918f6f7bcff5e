/**
 * What a service may ask to be changed on the host. Pure data, JSON-serialisable: services return steps, only plan/
 * carries them out. Owners are names, not numbers: a package of the same plan may create the user.
 */
import type {AbsolutePath} from '../domain/paths.ts';
import type {PackageManagerName} from '../layouts/package-managers.ts';
import type {Argv, Mode, SocketEndpoint} from '../system/ports.ts';

/** As chown(1) takes them: a name, or a number where the id has no account of its own. */
export interface Owner {
  readonly user: string;
  readonly group: string;
}

/** What was there when the plan was made; compared again before anything is touched (staleness). */
export type Before =
  | {readonly state: 'absent'}
  | {
      readonly state: 'present';
      readonly kind: 'file' | 'directory';
      /** Hex SHA-256 of the content; empty for a directory. */
      readonly sha256: string;
      readonly mode: Mode;
      readonly uid: number;
      readonly gid: number;
    };

export type FileContent =
  /** `latin1`: the file is not UTF-8, and each character stands for one octet, so that every octet can be put back. */
  {readonly from: 'text'; readonly text: string; readonly encoding?: 'latin1'} | SecretContent;

/** A private key, copied when the step is carried out; never shown, logged or kept in a plan. */
export interface SecretContent {
  readonly from: 'secret';
  /** Links resolved. */
  readonly path: AbsolutePath;
  readonly sha256: string;
  /** As `KeyDescription.fingerprint`; present where a configuration named the file, and waxseal did not make it. */
  readonly fingerprint?: string;
}

interface StepBase {
  /** Unique in its plan, readable: `file:/etc/hosts`. */
  readonly id: string;
  /** One short sentence for the plan screen. */
  readonly why: string;
}

export interface PackageStep extends StepBase {
  readonly kind: 'package';
  readonly manager: PackageManagerName;
  readonly names: readonly string[];
}

export interface DirectoryStep extends StepBase {
  readonly kind: 'directory';
  readonly path: AbsolutePath;
  readonly before: Before;
  readonly owner: Owner;
  readonly mode: Mode;
}

export interface FileStep extends StepBase {
  readonly kind: 'file';
  /** Symlinks resolved already. */
  readonly path: AbsolutePath;
  readonly before: Before;
  /** Content before, for the diff; absent where the file is new or secret. */
  readonly beforeText?: string;
  readonly after: {readonly content: FileContent; readonly owner: Owner; readonly mode: Mode};
}

export interface RemoveStep extends StepBase {
  readonly kind: 'remove';
  readonly path: AbsolutePath;
  readonly before: Before;
  readonly beforeText?: string;
}

/** Restarts or reloads a unit under our own time limit, then waits until `ready` holds. */
export interface ServiceStep extends StepBase {
  readonly kind: 'service';
  readonly unit: string;
  readonly action: 'restart' | 'reload';
  readonly argv: Argv;
  /**
   * Milliseconds for the command itself; systemctl restart can hang for 90 s
   * (daemons/opendkim.md#start-and-restart).
   */
  readonly timeoutMs: number;
  /** What must hold afterwards, polled: the unit is active and, where given, the milter answers on `endpoint`. */
  readonly ready: {
    readonly activeArgv?: Argv;
    readonly endpoint?: SocketEndpoint;
    readonly withinMs: number;
    /** How long it must hold without a break; a daemon may die 100 ms after a good start. */
    readonly steadyMs: number;
  };
  /** True where the unit ran before: undo brings it back to that. */
  readonly wasActive: boolean;
  /** How undo stops it where it did not run before; `systemctl stop UNIT` where absent and `argv` is systemctl's. */
  readonly stopArgv?: Argv;
}

/** A command whose exit status judges the files written so far. Changes nothing. */
export interface CheckStep extends StepBase {
  readonly kind: 'check';
  readonly argv: Argv;
  readonly timeoutMs: number;
}

/** A private key as an irreversible step must find it, or it is left alone. */
interface KeyFile {
  /** As `KeyDescription.fingerprint`: a key is known by its material, never by its name. */
  readonly fingerprint: string;
  /** Ids of the users that the file may belong to. */
  readonly owners: readonly number[];
}

/** Destroys a private key. It can be taken back until its first octet is overwritten, and never after. */
export interface DisposeStep extends StepBase, KeyFile {
  readonly kind: 'dispose';
  readonly path: AbsolutePath;
}

/** Publishes a private key: copies it to `path`, readable for everybody. It cannot be taken back. */
export interface RevealStep extends StepBase, KeyFile {
  readonly kind: 'reveal';
  readonly from: AbsolutePath;
  readonly path: AbsolutePath;
}

export type FinalStep = DisposeStep | RevealStep;

export type Step = PackageStep | DirectoryStep | FileStep | RemoveStep | ServiceStep | CheckStep | FinalStep;

/** Steps that cannot be taken back; a plan has them at its end, after its proof. */
export const isFinal = (step: Step): step is FinalStep => step.kind === 'dispose' || step.kind === 'reveal';

/** Where staged private keys are put, by the path of the copy that is staged. */
export const secretPlaces = (steps: readonly Step[]): ReadonlyMap<AbsolutePath, AbsolutePath> =>
  new Map(
    steps.flatMap(step =>
      step.kind === 'file' && step.after.content.from === 'secret'
        ? [[step.after.content.path, step.path] as const]
        : [],
    ),
  );

/** The octets that a text content stands for. */
export const octetsOfText = (content: Extract<FileContent, {from: 'text'}>): Uint8Array =>
  Buffer.from(content.text, content.encoding ?? 'utf8');
