import {generateKeyPair, type KeyObject} from 'node:crypto';
import type {KeySource, KeySpec} from '../ports.ts';

/** Keys of node:crypto (OpenSSL), made in its thread pool: the terminal stays alive meanwhile. */
export const createKeySource = (): KeySource => ({
  async generate(spec, signal) {
    signal?.throwIfAborted();
    const key = await endingEarly(makeKey(spec), signal);
    return key.export({type: 'pkcs8', format: 'pem'}).toString();
  },
});

function makeKey(spec: KeySpec): Promise<KeyObject> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, _public: KeyObject, privateKey: KeyObject): void => {
      if (error) reject(error);
      else resolve(privateKey);
    };
    // 65537 is what every verifier accepts; opendkim-genkey uses it too.
    if (spec.algorithm === 'rsa')
      generateKeyPair('rsa', {modulusLength: spec.bits, publicExponent: 65_537}, done);
    else generateKeyPair('ed25519', {}, done);
  });
}

/** OpenSSL cannot be stopped within one key; its result is dropped instead. */
function endingEarly<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason);
    signal.addEventListener('abort', leave, {once: true});
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}
