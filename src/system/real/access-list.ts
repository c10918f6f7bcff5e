/** What an access list (acl(5)) says, read by open handles: Node has no call for extended attributes. */
import type {FileHandle} from 'node:fs/promises';
import type {AccessList} from '../ports.ts';
import {handedOn, runWithHandles} from './commands.ts';
import {haveAccessLists} from './labels.ts';

const READ_MS = 60_000;

/**
 * The access list of each file or directory, in their order; undefined where it has none. getfacl(1) inherits the handles
 * and is given no path but theirs. Where it cannot be had, ls(1) says whether there is a list: `unread`.
 */
export async function readAccessLists(
  handles: readonly Pick<FileHandle, 'fd'>[],
): Promise<readonly (AccessList | 'unread' | undefined)[]> {
  const argv = [
    'getfacl',
    '--numeric',
    '--absolute-names',
    '--',
    ...handles.map((_, at) => handedOn(at)),
  ] as const;
  const {status, stdout} = await runWithHandles(argv, handles, {timeoutMs: READ_MS});
  const blocks = stdout.split('\n\n').filter(block => block.trim() !== '');
  if (status === 0 && blocks.length === handles.length) return blocks.map(listIn);
  return (await haveAccessLists(handles)).map(isListed => (isListed ? 'unread' : undefined));
}

/** `user:1000:rw-`, `group::r--`, `mask::r--`; those of `default:` are for files that are made later. */
const ENTRY = /^(user|group|mask):(\d*):([r-][w-][x-])/;

function listIn(block: string): AccessList | undefined {
  const entries = block.split('\n').flatMap(line => {
    const [, kind, id = '', rights = ''] = ENTRY.exec(line) ?? [];
    return kind === undefined ? [] : [{kind, id, rights: bitsOf(rights)}];
  });
  const mask = entries.find(({kind}) => kind === 'mask')?.rights;
  if (mask === undefined) return undefined;
  return {
    group: (entries.find(({kind, id}) => kind === 'group' && id === '')?.rights ?? 0) & mask,
    named: entries.flatMap(({kind, id, rights}) =>
      (kind === 'user' || kind === 'group') && id !== ''
        ? [{kind, id: Number(id), rights: rights & mask}]
        : [],
    ),
  };
}

const bitsOf = (rights: string): number =>
  [...rights].reduce((sum, letter) => sum * 2 + (letter === '-' ? 0 : 1), 0);
