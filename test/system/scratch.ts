import {mkdirSync, mkdtempSync, rmSync} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {onTestFinished} from 'vitest';
import {type AbsolutePath, absolute} from '../../src/domain/paths.ts';
import type {Files} from '../../src/system/ports.ts';
import {createFiles, createOwnerLedger, type OwnerLedger} from '../../src/system/real/index.ts';

export interface Scratch {
  readonly root: AbsolutePath;
  readonly ledger: OwnerLedger;
  readonly files: Files;
  /** Path on the real file system. */
  real(hostPath: string): string;
}

/** A directory that stands for `/`, removed after the test; owners are kept in a ledger, so no root is needed. */
export function scratch(): Scratch {
  const root = absolute(mkdtempSync(path.join(os.tmpdir(), 'waxseal-test-')));
  onTestFinished(() => rmSync(root, {recursive: true, force: true}));
  for (const directory of ['etc', 'run', 'var/lib', 'var/spool/postfix']) {
    mkdirSync(path.join(root, directory), {recursive: true, mode: 0o755});
  }
  const ledger = createOwnerLedger();
  return {root, ledger, files: createFiles({root, owners: ledger}), real: host => path.join(root, host)};
}
