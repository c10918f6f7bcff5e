import {createHash} from 'node:crypto';
import type {DomainName, Selector} from '../domain/names.ts';
import {type AbsolutePath, parentOf} from '../domain/paths.ts';
import {stagedKeyPath} from '../domain/places.ts';
import {fail, ok, problem, type Result} from '../domain/result.ts';
import type {Files, Ports} from '../system/ports.ts';
import {inspectKey, type KeyDescription} from './inspect.ts';
import {makeStateDirectory, OWN_FILE, sweepTemporary} from './state-directory.ts';

export interface StagedKey extends KeyDescription {
  readonly domain: DomainName;
  readonly selector: Selector;
  /** 0600, root, below the state directory. */
  readonly path: AbsolutePath;
  /** Hex SHA-256 of the file; a plan names it so that only this very key is copied to the signer. */
  readonly sha256: string;
}

/**
 * Keeps a private key until a plan copies it to the signer. Never overwrites: problem `key.exists` where another key
 * is there already; the same key again is no error, so that an interrupted run can be repeated.
 * Rejects with HostError where the state directory cannot be written.
 */
export async function stageKey(
  ports: Pick<Ports, 'files'>,
  wanted: {readonly domain: DomainName; readonly selector: Selector; readonly pem: string},
): Promise<Result<StagedKey>> {
  const described = inspectKey(wanted.pem);
  if (!described.ok) return described;
  const {domain, selector} = wanted;
  const path = stagedKeyPath(domain, selector);
  const content = Buffer.from(wanted.pem, 'utf8');
  await makeStateDirectory(ports.files, parentOf(path));
  await sweepTemporary(ports.files, parentOf(path));
  const there = await ports.files.read(path);
  if (there === undefined) await ports.files.create(path, content, OWN_FILE);
  else if (!content.equals(there)) {
    return fail(
      problem(
        'key.exists',
        `There is a key for ${selector}._domainkey.${domain} already, and waxseal never overwrites one.`,
        'Choose another selector with --selector.',
      ),
    );
  }
  const sha256 = createHash('sha256').update(content).digest('hex');
  return ok({...described.value, domain, selector, path, sha256});
}

/** The staged key of a selector; `undefined` where there is none. Problem where the file is damaged. */
export async function readStagedKey(
  ports: Pick<Ports, 'files'>,
  domain: DomainName,
  selector: Selector,
): Promise<Result<StagedKey & {readonly pem: string}> | undefined> {
  const path = stagedKeyPath(domain, selector);
  const content = await ports.files.read(path);
  if (content === undefined) return undefined;
  const pem = Buffer.from(content).toString('utf8');
  const described = inspectKey(pem);
  if (!described.ok) return described;
  const sha256 = createHash('sha256').update(content).digest('hex');
  return ok({...described.value, domain, selector, path, sha256, pem});
}

/** Gives up a staged key; no error where it is not there any more. */
export const dropStagedKey = (files: Pick<Files, 'remove'>, path: AbsolutePath): Promise<void> =>
  files.remove(path);

/** Removes the directory of staged keys of a domain where no key is left in it. */
export async function dropEmptyStage(
  files: Pick<Files, 'list' | 'removeDirectory'>,
  directory: AbsolutePath,
): Promise<void> {
  if ((await files.list(directory))?.length === 0) await files.removeDirectory(directory);
}
