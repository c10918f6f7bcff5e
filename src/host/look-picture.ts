/** One look at the host: everything that the questions of ./picture.ts rest on. Reads only; no milter hears of a message. */
import {ToolError} from '../domain/errors.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import {visible} from '../domain/text.ts';
import {type KeyFact, keyFactOf} from '../services/key-fact.ts';
import type {HostLook} from '../services/look.ts';
import {eachOf} from '../services/reading.ts';
import {hostSigners} from '../services/registry.ts';
import type {SignerView} from '../services/signer.ts';
import type {Ports} from '../system/ports.ts';
import type {HostPicture} from './picture.ts';
import {lookAtReach} from './reach.ts';
import {readShown, settled} from './shown.ts';

type PicturePorts = Pick<Ports, 'files' | 'commands' | 'users' | 'sockets' | 'clock'>;

export interface PictureOptions {
  /** Default false. True connects to each milter as the process of the MTA would, and closes again. */
  readonly reach?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Puts the picture together from a look of the same moment. Never rejects for what cannot be read: that is a part of
 * the picture. DNS is not queried; `records` is empty.
 */
export async function lookAtHostPicture(
  ports: PicturePorts,
  {facts, entrances: found}: HostLook,
  {reach = false, signal}: PictureOptions = {},
): Promise<HostPicture> {
  const seenAt = ports.clock.now();
  const [signers, proofs] = await Promise.all([
    hostSigners(ports, facts, signal),
    facts.privileged ? readShown(ports.files) : [],
  ]);
  const {entrances, shown} = settled(found, proofs);
  const [keys, reached] = await Promise.all([
    lookAtKeys(ports, signers),
    reach ? lookAtReach(ports, entrances, signal) : new Map(),
  ]);
  return {seenAt, entrances, signers, keys, reach: reached, shown, records: new Map()};
}

/** How many key files are read at a time. */
const WIDTH = 32;

/** Every key that a row names, by the path in the row. A file that a signer's look has read is not read again. */
async function lookAtKeys(
  ports: PicturePorts,
  signers: readonly SignerView[],
): Promise<ReadonlyMap<AbsolutePath, KeyFact>> {
  const known = new Map(signers.flatMap(({keys = []}) => [...keys]));
  const named = new Set(signers.flatMap(({rows}) => rows.flatMap(({keyPath}) => keyPath ?? [])));
  const paths = [...named].filter(path => !known.has(path));
  const byRealPath = new Map<AbsolutePath, Promise<KeyFact>>();
  const found = await eachOf(paths, WIDTH, async (path): Promise<readonly [AbsolutePath, KeyFact]> => {
    try {
      const real = await ports.files.resolve(path);
      if (real === undefined) return [path, {known: false, why: 'is missing'}];
      const reading = byRealPath.get(real) ?? readKey(ports, real);
      byRealPath.set(real, reading);
      return [path, await reading];
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      return [path, {known: false, why: `can't be read: ${visible(error.message)}`}];
    }
  });
  return new Map([...known, ...found]);
}

async function readKey({files}: PicturePorts, realPath: AbsolutePath): Promise<KeyFact> {
  const found = await files.inspect(realPath);
  if (found === undefined) return {known: false, why: 'is missing'};
  return keyFactOf(found.content, realPath);
}
