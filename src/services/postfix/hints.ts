/** What Postfix is called in the sentences of others, and the words for its own faults. */
import type {MtaHints, MtaWords} from '../mta.ts';

export const POSTFIX: MtaWords = {
  program: 'Postfix',
  user: 'postfix',
  milterSetting: 'smtpd_milters in main.cf',
  relaySetting: 'relayhost',
};

export const postfixHints: MtaHints = {
  'signature.several': () => ({
    cause: 'More than one signer is at work, or the message passes the same signer twice (content_filter).',
    fix: 'Let one of them sign: see smtpd_milters in main.cf and -o lines in master.cf; after a content filter use receive_override_options=no_milters.',
  }),
};
