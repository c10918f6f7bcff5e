import {generateKeyPair, type KeyObject} from 'node:crypto';
import {availableParallelism} from 'node:os';
import {Worker} from 'node:worker_threads';
import type {KeySource, KeySpec} from '../ports.ts';

/** Threads of libuv's pool, which node:crypto uses; file work waits for them, too. */
const POOL = 4;

/** Keys of node:crypto (OpenSSL), made off the main thread, on all processors: the terminal stays alive meanwhile. */
export function createKeySource(): KeySource {
  let inPool = 0;
  return {
    atOnce: availableParallelism(),
    async generate(spec, signal) {
      signal?.throwIfAborted();
      // Beyond the pool each key has a thread of its own, which the system spreads over the other processors.
      if (inPool >= POOL) return await makeAside(spec, signal);
      inPool += 1;
      const made = makeKey(spec).finally(() => {
        inPool -= 1;
      });
      const key = await endingEarly(made, signal);
      return key.export({type: 'pkcs8', format: 'pem'}).toString();
    },
  };
}

function makeKey(spec: KeySpec): Promise<KeyObject> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, _public: KeyObject, privateKey: KeyObject): void => {
      if (error) reject(error);
      else resolve(privateKey);
    };
    // 65537 is what every verifier accepts.
    if (spec.algorithm === 'rsa')
      generateKeyPair('rsa', {modulusLength: spec.bits, publicExponent: 65_537}, done);
    else generateKeyPair('ed25519', {}, done);
  });
}

// Text, so that it needs no file of its own beside the bundle.
const ASIDE = `
  const {parentPort, workerData} = require('node:worker_threads');
  const {generateKeyPairSync} = require('node:crypto');
  const {algorithm, bits} = workerData;
  const {privateKey} =
    algorithm === 'rsa'
      ? generateKeyPairSync('rsa', {modulusLength: bits, publicExponent: 65537})
      : generateKeyPairSync('ed25519');
  parentPort.postMessage(privateKey.export({type: 'pkcs8', format: 'pem'}));
`;

function makeAside(spec: KeySpec, signal: AbortSignal | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(ASIDE, {eval: true, workerData: spec});
    const leave = (): void => {
      reject(signal?.reason);
      void worker.terminate();
    };
    signal?.addEventListener('abort', leave, {once: true});
    worker.once('message', (pem: string) => resolve(pem));
    worker.once('error', reject);
    worker.once('exit', status => {
      signal?.removeEventListener('abort', leave);
      // After a message this has no effect any more.
      reject(new Error(`no key was made (the thread ended with ${status})`));
    });
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
