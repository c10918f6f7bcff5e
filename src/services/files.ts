/** Turns wished file states into steps, and leaves out what is right already. */
import {HostError} from '../domain/errors.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import {fail, ok, problem, type Result} from '../domain/result.ts';
import type {Layout} from '../layouts/layout.ts';
import type {FileStat, Mode} from '../system/ports.ts';
import type {HostFacts} from './facts.ts';
import type {ConfigurationSnapshot, FileSnapshot} from './snapshot.ts';
import type {Before, DirectoryStep, FileStep, Owner} from './step.ts';

/** What every planner of a service gets. */
export interface PlanHost {
  readonly facts: HostFacts;
  readonly snapshot: ConfigurationSnapshot;
  readonly layout: Layout;
}

export const ROOT: Owner = {user: 'root', group: 'root'};

const ABSENT: Before = {state: 'absent'};

export const entryOf = (snapshot: ConfigurationSnapshot, path: AbsolutePath): FileSnapshot =>
  snapshot.entries[path] ?? {path, stat: undefined, text: undefined, sha256: ''};

/** What a step expects to find; an apply refuses where it finds something else. */
export function beforeOf(entry: FileSnapshot): Before {
  const {stat} = entry;
  if (stat === undefined) return ABSENT;
  return {
    state: 'present',
    kind: stat.kind === 'directory' ? 'directory' : 'file',
    sha256: entry.sha256,
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
  };
}

/** Owner by name; a number as text where the id has no name. */
export const ownerOf = (snapshot: ConfigurationSnapshot, stat: FileStat): Owner => ({
  user: snapshot.userNames[stat.uid] ?? String(stat.uid),
  group: snapshot.groupNames[stat.gid] ?? String(stat.gid),
});

/** Text of a configuration file: '' where it is missing, a problem where it cannot be read or is no text. */
export function textOf(snapshot: ConfigurationSnapshot, path: AbsolutePath): Result<string> {
  const entry = entryOf(snapshot, path);
  if (entry.stat === undefined) return ok('');
  if (entry.text !== undefined) return ok(entry.text);
  return fail(
    problem(
      'file.unreadable',
      `${path} is not a text file that can be edited safely.`,
      entry.stat.kind === 'file'
        ? 'It must be readable, and text without NUL octets (not UTF-16, not a database); mend it and run again.'
        : `It is a ${entry.stat.kind}; put a regular file in its place and run again.`,
    ),
  );
}

/**
 * What a rewrite keeps of a mode: no configuration needs setuid, setgid or sticky bits, nor may everybody write it. The
 * signer's account may have chosen them, in a directory of its own.
 */
const KEPT_MODE = 0o775;
/** With an access list, the bits of the group are the mask of what others have. */
const KEPT_MODE_LISTED = 0o755;

/** The step that gives a file this text; an existing file keeps owner and mode, as far as that is safe. None where it has the text already. */
export function textStep(
  snapshot: ConfigurationSnapshot,
  path: AbsolutePath,
  text: string,
  why: string,
  fresh: {readonly owner: Owner; readonly mode: Mode} = {owner: ROOT, mode: 0o644},
): readonly FileStep[] {
  const entry = entryOf(snapshot, path);
  if (entry.stat !== undefined && entry.text === text) return [];
  refuseLoss(entry, text);
  const encoding = entry.encoding === undefined ? {} : {encoding: entry.encoding};
  const attributes =
    entry.stat === undefined
      ? fresh
      : {
          owner: ownerOf(snapshot, entry.stat),
          mode: entry.stat.mode & (entry.isListed === true ? KEPT_MODE_LISTED : KEPT_MODE),
        };
  return [
    {
      kind: 'file',
      id: `file:${entry.path}`,
      why,
      path: entry.path,
      before: beforeOf(entry),
      ...(entry.text === undefined ? {} : {beforeText: entry.text}),
      after: {content: {from: 'text', text, ...encoding}, ...attributes},
    },
  ];
}

/** A character that has no octet of its own (a path in UTF-8) cannot go into a file that is not UTF-8. */
function refuseLoss(entry: FileSnapshot, text: string): void {
  if (entry.encoding === undefined || /^[\x00-\xff]*$/.test(text)) return;
  throw new HostError(
    problem(
      'file.encoding',
      `${entry.path} is not UTF-8, and a path with other letters would have to be written into it.`,
      'Convert the file to UTF-8, then run waxseal again.',
    ),
  );
}

/** The step that makes a directory, or gives an existing one this owner and mode. */
export function directoryStep(
  snapshot: ConfigurationSnapshot,
  path: AbsolutePath,
  owner: Owner,
  mode: Mode,
  why: string,
): readonly DirectoryStep[] {
  const entry = entryOf(snapshot, path);
  if (entry.stat !== undefined) {
    const now = ownerOf(snapshot, entry.stat);
    if (now.user === owner.user && now.group === owner.group && (entry.stat.mode & 0o7777) === mode)
      return [];
  }
  return [
    {
      kind: 'directory',
      id: `directory:${entry.path}`,
      why,
      path: entry.path,
      before: beforeOf(entry),
      owner,
      mode,
    },
  ];
}
