/** What becomes of the private key of a removed selector. */
import {createHash} from 'node:crypto';
import {publicKeyOf} from '../../dkim/index.ts';
import {below, parseAbsolutePath} from '../../domain/paths.ts';
import type {Evidence, KeyEntry} from '../../rotation/index.ts';
import {lookAtHost} from '../../services/look.ts';
import type {Ports} from '../../system/ports.ts';
import {FailedStep} from './failed-step.ts';
import {readKeys} from './key-book.ts';
import {revealedName} from './rotation-switch.ts';

type KeyEnd = Extract<Evidence, {kind: 'record-gone'}>['key'];

/**
 * The private key of a removed selector: destroyed, or published so that its signatures prove nothing any more.
 * @returns what became of it: what another domain signs with is neither destroyed nor published
 */
export async function dispose(
  ports: Ports,
  key: KeyEntry,
  wanted: KeyEnd,
  folder: string,
  signal: AbortSignal,
): Promise<KeyEnd> {
  const {files, commands} = ports;
  if (wanted === 'kept') return wanted;
  const shared = await othersWith(ports, key, signal);
  const own = [key.keyPath, key.stagedPath].flatMap(path => path ?? []);
  const paths = own.filter(path => !shared.paths.has(path));
  const isFileShared = paths.length < own.length;
  const end = wanted === 'published' && (shared.isKey || isFileShared) ? 'shredded' : wanted;
  if (end === 'published') {
    const content = await firstOf(paths, path => files.read(path));
    if (content !== undefined) await reveal(ports, content, folder);
  }
  for (const path of paths) {
    if ((await files.stat(path))?.kind !== 'file') continue;
    // Overwriting promises nothing on journals and flash, but costs nothing either.
    if (end === 'shredded') await commands.run(['shred', '-n', '1', '-z', path]);
    await files.remove(path);
  }
  return isFileShared ? 'kept' : end;
}

/** What other domains still need: files that they sign with, and whether it is this very key, in whatever file. */
async function othersWith(
  ports: Ports,
  key: KeyEntry,
  signal: AbortSignal,
): Promise<{readonly paths: ReadonlySet<string>; readonly isKey: boolean}> {
  const {opendkim} = await lookAtHost(ports, signal);
  const others = (await readKeys(ports)).keys.filter(
    each => each.state !== 'removed' && !(each.domain === key.domain && each.selector === key.selector),
  );
  const material = publicKeyOf(key.record.value);
  return {
    paths: new Set([
      ...others.flatMap(each => [each.keyPath, each.stagedPath].flatMap(path => path ?? [])),
      ...(opendkim?.keys ?? []).map(({path}) => path),
    ]),
    isKey: material !== undefined && others.some(each => publicKeyOf(each.record.value) === material),
  };
}

async function reveal({files, commands}: Ports, content: Uint8Array, folder: string): Promise<void> {
  const directory = parseAbsolutePath(folder);
  if (!directory.ok) throw new FailedStep(directory.problem);
  if ((await files.stat(directory.value)) === undefined) {
    // May be passed through, may not be listed.
    await files.makeDirectory(directory.value, {mode: 0o711, uid: 0, gid: 0});
  }
  const name = createHash('sha256')
    .update(revealedName(Buffer.from(content).toString('utf8')))
    .digest('hex');
  const path = below(directory.value, `${name}.pem`);
  await files.replace(path, content, {mode: 0o644, uid: 0, gid: 0});
  // -h: who can write there must not lead it to another file.
  await commands.run(['touch', '-h', '-d', '2000-01-01T00:00:00Z', path]);
}

async function firstOf<A, B>(
  items: readonly A[],
  find: (item: A) => Promise<B | undefined>,
): Promise<B | undefined> {
  for (const item of items) {
    const found = await find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}
