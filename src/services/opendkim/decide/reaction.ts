/** What OpenDKIM does with a message about which it has to complain: the On- settings. */
import type {Setting} from './settings.ts';
import type {Trace} from './trace.ts';

/** On-Default counts where the event has no setting of its own (dkimf_parsehandler). */
export function reactionTo(
  trace: Trace,
  event: 'InternalError' | 'SignatureError' | 'NoSignature',
  byDefault: 'accept' | 'reject' | 'tempfail',
): {readonly setting: Setting | undefined; readonly accepts: boolean} {
  const setting = trace.setting(`On-${event}`) ?? trace.setting('On-Default');
  const action = setting?.value.toLowerCase() ?? byDefault;
  return {setting, accepts: ['a', 'accept', 'q', 'quarantine'].includes(action)};
}
