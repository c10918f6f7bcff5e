import {describe, expect, it} from 'vitest';
import {type AbsolutePath, absolute} from '../../src/domain/paths.ts';
import {refusePlanted} from '../../src/services/planted.ts';
import type {FileStat} from '../../src/system/ports.ts';

type Node = Partial<FileStat> & {readonly target?: string};

const DIRECTORY: Node = {kind: 'directory', mode: 0o755, uid: 0};
const FILE: Node = {kind: 'file', mode: 0o644, uid: 0};
const link = (target: string, uid = 0): Node => ({kind: 'symlink', mode: 0o777, uid, target});

const filesOf = (nodes: Readonly<Record<string, Node>>) => ({
  stat: async (path: AbsolutePath) => nodes[path] as FileStat | undefined,
  readLink: async (path: AbsolutePath) => nodes[path]?.target,
});

const TREE = {
  '/': DIRECTORY,
  '/etc': DIRECTORY,
  '/etc/d': DIRECTORY,
  '/etc/d/KeyTable': FILE,
  '/srv': DIRECTORY,
};

const judge = (path: string, nodes: Readonly<Record<string, Node>>): Promise<string> =>
  refusePlanted(filesOf({...TREE, ...nodes}), absolute(path)).then(
    () => 'taken',
    (error: {readonly id: string; readonly message: string}) => `${error.id}: ${error.message}`,
  );

describe('a link on the way to a table', () => {
  it.each([
    ['no link at all', '/etc/d/KeyTable', {}],
    ['a file that is not there yet', '/etc/d/SigningTable', {}],
    ['a relative link of root beside it', '/etc/KeyTable', {'/etc/KeyTable': link('d/KeyTable')}],
    ['a link with ..', '/etc/d/Table', {'/etc/d/Table': link('../../etc/d/KeyTable')}],
    ['a whole directory of root', '/srv/tables/KeyTable', {'/srv/tables': link('/etc/d')}],
    [
      "root's link where anybody may put one, kept by the sticky bit",
      '/tmp/KeyTable',
      {'/tmp': {...DIRECTORY, mode: 0o1777}, '/tmp/KeyTable': link('/etc/d/KeyTable')},
    ],
  ])('%s: taken', async (_name, path, nodes) => {
    expect(await judge(path, nodes)).toBe('taken');
  });

  it.each([
    [
      "a stranger's in a sticky directory",
      {'/tmp': {...DIRECTORY, mode: 0o1777}, '/tmp/KeyTable': link('/etc/d/KeyTable', 65534)},
    ],
    [
      "root's in a directory that anybody can write",
      {'/tmp': {...DIRECTORY, mode: 0o777}, '/tmp/KeyTable': link('/etc/d/KeyTable')},
    ],
    [
      'one in a directory of the signer',
      {'/tmp': {...DIRECTORY, uid: 101}, '/tmp/KeyTable': link('/etc/d/KeyTable')},
    ],
    [
      'one in a directory that a group can write',
      {'/tmp': {...DIRECTORY, mode: 0o775}, '/tmp/KeyTable': link('/etc/d/KeyTable')},
    ],
  ])('%s: refused, with its place', async (_name, nodes) => {
    expect(await judge('/tmp/KeyTable', nodes)).toMatch(
      /^file\.unsafe-link: .*\/tmp\/KeyTable is a symbolic link/,
    );
    // Behind a link of root, too.
    expect(await judge('/etc/KeyTable', {...nodes, '/etc/KeyTable': link('/tmp/KeyTable')})).toMatch(
      /^file\.unsafe-link: waxseal does not write \/etc\/KeyTable: \/tmp\/KeyTable /,
    );
  });

  it('does not go round in a circle', async () => {
    expect(await judge('/etc/a', {'/etc/a': link('b'), '/etc/b': link('a')})).toBe('taken');
  });
});
