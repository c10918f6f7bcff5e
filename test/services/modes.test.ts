import {expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {textStep} from '../../src/services/files.ts';
import type {ConfigurationSnapshot} from '../../src/services/snapshot.ts';
import type {FileStat} from '../../src/system/ports.ts';

const TABLE = absolute('/etc/opendkim/KeyTable');

it.each([
  [0o4666, 0o664],
  [0o2777, 0o775],
  [0o1602, 0o600],
  [0o640, 0o640],
  [0o664, 0o664],
  // With an access list, the bits of the group are what others may.
  [0o664, 0o644, true],
] as const)('rewrites a file of mode %o with %o', (mode, kept, isListed: boolean = false) => {
  const stat: FileStat = {
    ...{kind: 'file', mode, uid: 104, gid: 110, size: 3, links: 1, device: 1, inode: 1, modifiedMs: 0},
  };
  const snapshot = {
    entries: {[TABLE]: {path: TABLE, stat, text: 'old', sha256: '', ...(isListed ? {isListed} : {})}},
    userNames: {104: 'opendkim'},
    groupNames: {110: 'opendkim'},
  } as unknown as ConfigurationSnapshot;
  const [step] = textStep(snapshot, TABLE, 'new', 'why');
  expect(step).toMatchObject({before: {mode}, after: {mode: kept, owner: {user: 'opendkim'}}});
});
