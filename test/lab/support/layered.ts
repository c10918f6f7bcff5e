/** Hosts of test/fixtures/hosts below an image of a real host, for programs that need no running system. */
import {execFileSync, spawnSync} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type {FakeHost} from '../../support/fake-host.ts';

/** Postfix waits until a file is two seconds old before it reads it. */
const PAST = 1_700_000_000;

const sh = (...argv: readonly [string, ...string[]]): string =>
  execFileSync(argv[0], argv.slice(1), {encoding: 'utf8'});

/** Writes the configuration of a fixture below `root`. Gives what takes it away again. */
export function lay(host: FakeHost, root: string): () => void {
  const laid: string[] = [];
  for (const [at, node] of host.files.nodes) {
    if (!/^\/(etc|home|srv)\//.test(at)) continue;
    const place = path.join(root, at);
    fs.mkdirSync(path.dirname(place), {recursive: true});
    if (node.kind === 'directory') {
      fs.mkdirSync(place, {recursive: true});
      continue;
    }
    laid.push(place);
    fs.rmSync(place, {force: true});
    if (node.kind === 'file') {
      fs.writeFileSync(place, node.content);
      fs.chmodSync(place, node.attributes.mode);
      fs.utimesSync(place, PAST, PAST);
    } else fs.symlinkSync(node.target, place);
  }
  return () => {
    for (const place of laid) fs.rmSync(place, {force: true});
  };
}

export interface Layered {
  readonly root: string;
  drop(): void;
}

/** The image with an empty layer above it, and without the configuration of its own mail programs. */
export function layered(image: string): Layered {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'waxseal-layered-'));
  const [layer, root] = [path.join(base, 'layer'), path.join(base, 'root')];
  fs.mkdirSync(layer);
  fs.mkdirSync(root);
  sh('mount', '-t', 'tmpfs', 'waxseal', layer);
  fs.mkdirSync(path.join(layer, 'upper'));
  fs.mkdirSync(path.join(layer, 'work'));
  const options = `lowerdir=${image},upperdir=${layer}/upper,workdir=${layer}/work`;
  sh('mount', '-t', 'overlay', 'overlay', '-o', options, root);
  for (const gone of ['etc/opendkim', 'etc/opendkim.conf', 'etc/postfix/main.cf', 'etc/postfix/master.cf'])
    fs.rmSync(path.join(root, gone), {recursive: true, force: true});
  return {
    root,
    drop() {
      sh('umount', '--lazy', root);
      sh('umount', '--lazy', layer);
      fs.rmSync(base, {recursive: true, force: true});
    },
  };
}

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export const inside = (root: string, argv: readonly string[], input = ''): Ran =>
  spawnSync('chroot', [root, ...argv], {encoding: 'utf8', input});
