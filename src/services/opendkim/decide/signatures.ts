/** What the keys do when the signatures are made: mlfi_eom, dkim_eom_sign. */

import type {Decision} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import {reactionTo} from './reaction.ts';
import type {Request} from './requests.ts';
import type {Outcome, Trace} from './trace.ts';

/** The keys are used in order; the first that fails ends it, and then no signature is added at all. */
export function makeSignatures(trace: Trace, requests: readonly Request[]): Outcome {
  for (const request of requests) {
    const end = signOne(trace, request);
    if (end !== undefined) return end;
  }
  const algorithm = trace.setting('SignatureAlgorithm');
  if (algorithm?.value.toLowerCase() === 'rsa-sha1') {
    trace.invalid = trace.place(algorithm, 'Receivers take no signature with SHA-1 for valid (RFC 8301).');
  }
  const script = trace.setting('FinalPolicyScript');
  if (script !== undefined) trace.unread(script, 'A script has the last word. waxseal does not read it.');
  return 'signed';
}

function signOne(trace: Trace, {by, signer, key, decision}: Request): Outcome | undefined {
  if (key.access !== 'ok') return trace.unread(decision, 'The key cannot be judged.');
  const algorithm = trace.setting('SignatureAlgorithm')?.value ?? 'rsa-sha256';
  const wants = algorithm.startsWith('ed25519') ? 'ed25519' : 'rsa';
  const {material} = key;
  const name = by.keyPath === undefined ? 'the key' : `the key ${visible(by.keyPath)}`;
  if (material === undefined) return handled(trace, decision, 'InternalError', `OpenSSL can't read ${name}`);
  if (wants === 'rsa' && material.algorithm !== 'rsa') {
    return handled(trace, decision, 'InternalError', `${name} is not an RSA key, and ${algorithm} needs one`);
  }
  const least = Number(trace.setting('MinimumKeyBits')?.value ?? 0) || 1024;
  if (wants === 'rsa' && material.bits < least) {
    return handled(
      trace,
      decision,
      'SignatureError',
      `${name} has ${material.bits} bits, and MinimumKeyBits is ${least}`,
    );
  }
  // dkim_gensighdr: a signer of another domain is left out (DKIM_LIBFLAGS_DROPSIGNER), one without "@" is an error.
  if (signer === '' || signer.includes('@')) return undefined;
  trace.note(decision, `The signer ${visible(signer)} is no address, so OpenDKIM adds no signature.`);
  return 'unsigned';
}

/** On-InternalError and On-SignatureError (dkimf_libstatus). */
function handled(
  trace: Trace,
  decision: Decision,
  event: 'InternalError' | 'SignatureError',
  what: string,
): Outcome {
  const {accepts} = reactionTo(trace, event, event === 'InternalError' ? 'tempfail' : 'reject');
  const sentence = `${what.charAt(0).toUpperCase()}${what.slice(1)}`;
  trace.note(
    decision,
    accepts ? `${sentence}, so the mail isn't signed.` : `${sentence}, so OpenDKIM refuses the mail.`,
  );
  return accepts ? 'unsigned' : 'refused';
}
