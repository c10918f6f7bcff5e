import {fail, ok, problem, type Result} from '../domain/result.ts';
import type {KeyAlgorithm} from './inspect.ts';

/**
 * Whether one OpenDKIM instance beside RSA keys can sign with this algorithm. 2.11 lists ed25519-sha256 in `opendkim -V`,
 * but its SignatureAlgorithm holds for the whole instance: an Ed25519 key in a table makes every matching message fail
 * with 451. Later upstream versions choose by the key.
 */
export function signerSupports(algorithm: KeyAlgorithm, opendkimVersion: string): Result<true> {
  if (algorithm === 'rsa' || isAfter211(opendkimVersion)) return ok(true);
  return fail(
    problem(
      'key.ed25519-unsupported',
      `OpenDKIM ${opendkimVersion} signs with one algorithm for all keys; an Ed25519 key would make mail fail with 451.`,
      'Use RSA (--algorithm rsa).',
    ),
  );
}

function isAfter211(version: string): boolean {
  const match = /^\D*(\d+)\.(\d+)/.exec(version);
  if (match === null) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major > 2 || (major === 2 && minor > 11);
}
