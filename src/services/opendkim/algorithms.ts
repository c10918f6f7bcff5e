import {type Problem, problem} from '../../domain/result.ts';
import type {KeyAlgorithm} from '../../keys/index.ts';

/**
 * Why OpenDKIM of this version cannot take a key beside RSA ones; undefined where it can. Any up to 2.11 lists
 * ed25519-sha256 in `opendkim -V`, but has one algorithm for the whole instance, and answers 451 to every message of a key
 * of the other kind (daemons/opendkim.md#algorithms). A version that is not known is taken for an old one.
 */
export function algorithmRefusal(algorithm: KeyAlgorithm, version: string | undefined): Problem | undefined {
  const [, major = '0', minor = '0'] = /^\D*(\d+)\.(\d+)/.exec(version ?? '') ?? [];
  const isLater = Number(major) > 2 || (Number(major) === 2 && Number(minor) > 11);
  if (algorithm === 'rsa' || isLater) return undefined;
  return problem(
    'key.ed25519-unsupported',
    'OpenDKIM 2.11 has one algorithm for all its keys: an Ed25519 key would stop mail with error 451.',
    'Use RSA (--algorithm rsa); many receivers cannot check Ed25519 yet either.',
  );
}
