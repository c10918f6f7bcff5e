/**
 * Whether OpenDKIM signs one message. The order of the tests is that of opendkim.c: mlfi_connect (PeerList), then
 * mlfi_eoh (author, ExemptDomains, MTA, MacroList, InternalHosts, login, Domain or SigningTable, Mode,
 * DontSignMailTo), then mlfi_eom (the keys themselves). What depends on the size or the other fields of a message
 * (MaximumHeaders, RequiredHeaders, several From fields) is not asked here.
 */
import {visible} from '../../../domain/text.ts';
import type {SigningAnswer, SigningQuestion} from '../../signer.ts';
import {authorOf, isExempt} from './author.ts';
import type {Model} from './model.ts';
import {isPeer, originOf} from './origin.ts';
import {reactionTo} from './reaction.ts';
import {findRequests, type Request} from './requests.ts';
import {makeSignatures} from './signatures.ts';
import {type Outcome, Trace} from './trace.ts';

/** Pure; the work grows with the labels of the sender's domain and what the tables have for it. */
export function wouldSign(model: Model, question: SigningQuestion): SigningAnswer {
  const {refusal} = model;
  if (refusal !== undefined) return {outcome: 'unknown', by: [], decisions: [refusal]};
  const trace = new Trace(model, question);
  const requests: Request[] = [];
  const outcome = follow(trace, requests);
  // A test that cannot be followed matters only where the tests after it do not say "unsigned" anyway.
  if (outcome === 'unknown' || (outcome !== 'unsigned' && trace.open.length > 0)) {
    const last = trace.open.at(-1);
    const before = trace.decisions.filter(decision => decision !== last);
    return {outcome: 'unknown', by: [], decisions: last === undefined ? before : [...before, last]};
  }
  const by = outcome === 'signed' ? kept(requests).map(request => request.by) : [];
  return {
    ...{outcome, by, decisions: trace.decisions},
    ...(outcome === 'refused' && trace.dies ? {dies: true} : {}),
    ...(by.length > 0 && trace.invalid !== undefined ? {invalid: trace.invalid} : {}),
    ...(by.length > 0 && trace.flag('RemoveOldSignatures', false) ? {removesOlder: true} : {}),
  };
}

function follow(trace: Trace, requests: Request[]): Outcome {
  if (isPeer(trace)) return 'unsigned';
  const author = authorOf(trace);
  if (author === undefined || isExempt(trace, author)) return 'unsigned';
  if (originOf(trace) === 'no') return verify(trace);
  const end = findRequests(trace, author, requests);
  const script = trace.setting('SetupPolicyScript');
  if (end !== 'refused' && script !== undefined) {
    return trace.unread(script, "waxseal doesn't read the script that chooses the keys.");
  }
  if (end !== undefined) return end === 'unsigned' ? verify(trace) : end;
  return verifierOnly(trace) ?? sparedRecipient(trace) ?? makeSignatures(trace, kept(requests));
}

/** Of several signatures only the first and the last are made: dkimf_add_signrequest loses those between them. */
const kept = (requests: readonly Request[]): readonly Request[] =>
  requests.length > 2 ? [...requests.slice(0, 1), ...requests.slice(-1)] : requests;

/** Mail that isn't signed is verified, and it has no signature: On-NoSignature. */
function verify(trace: Trace): Outcome {
  if (!trace.verifies()) return 'unsigned';
  const {setting, accepts} = reactionTo(trace, 'NoSignature', 'accept');
  if (setting === undefined || accepts) return 'unsigned';
  trace.note(setting, 'OpenDKIM refuses mail without a signature.');
  return 'refused';
}

function verifierOnly(trace: Trace): Outcome | undefined {
  const mode = trace.setting('Mode');
  if (mode === undefined || mode.value.includes('s')) return undefined;
  trace.note(mode, 'OpenDKIM only verifies here, so it signs nothing.');
  return 'unsigned';
}

function sparedRecipient(trace: Trace): Outcome | undefined {
  const spared = trace.set('DontSignMailTo');
  if (spared === undefined) return undefined;
  // mlfi_envrcpt puts each recipient in front of those before it.
  for (const recipient of trace.asked.recipients.toReversed()) {
    const row = spared.set === undefined ? 'unread' : spared.set.first(recipient);
    if (row === 'unread') return trace.unread(spared.setting, trace.unreadable(spared));
    if (row === undefined) continue;
    trace.note(spared.setting, `${visible(recipient)} is in DontSignMailTo, so this mail isn't signed.`, row);
    return 'unsigned';
  }
  return undefined;
}
