/** What OpenDKIM's faults are due to, and what to do: the only place with these sentences. */
import {command} from '../../domain/command.ts';
import {keyRecordName} from '../../domain/names.ts';
import {parentOf} from '../../domain/paths.ts';
import {namesOf} from '../../proof/fault.ts';
import type {MtaWords} from '../mta.ts';
import type {SignerHints, SignerWords} from '../signer.ts';

export const OPENDKIM: SignerWords = {
  program: 'OpenDKIM',
  logTag: 'opendkim',
  socketSetting: 'Socket in opendkim.conf',
  clientsSetting: 'InternalHosts',
  refusal: 'with OpenDKIM the key is most often too small',
  lostHint:
    'Find the row of this sender in the signing table: a row above it may match first, or its key may be unreadable.',
};

const LOG = 'journalctl -t opendkim -n 20';
const TESTKEY = 'Compare the record with the key: opendkim-testkey -vvv';

/** `mta`: the mail server that hands mail to it. */
export const openDkimHints = (mta: MtaWords): SignerHints => ({
  'socket.missing': () => ({
    cause: 'There is no socket at this path: the signer does not run, or its Socket names another path.',
    fix: `systemctl status opendkim; compare Socket in opendkim.conf with ${mta.milterSetting}.`,
  }),
  'socket.denied': () => ({
    cause: 'The socket or its directory may not be used.',
    fix: `The directory should be opendkim:${mta.user} 2750, and UMask 007 in opendkim.conf.`,
  }),
  'socket.refused': () => ({
    cause: 'Nobody listens there: the signer has died and left its socket, or is still starting.',
    fix: `systemctl restart opendkim; then ${LOG}`,
  }),
  'socket.no-access': ({endpoint}) => ({
    cause: `The directory or the socket does not let the group of ${mta.program} in.`,
    fix:
      endpoint.kind === 'tcp'
        ? ''
        : `Set UMask 007 in opendkim.conf, then: ${command('chown', `opendkim:${mta.user}`, parentOf(endpoint.path))} && ${command('chmod', '2750', parentOf(endpoint.path))} && systemctl restart opendkim`,
  }),
  'milter.timeout': () => ({
    cause: 'The signer does not answer in time; often it waits for a resolver or a database.',
    fix: `${LOG}; try Nameservers in opendkim.conf.`,
  }),
  'milter.closed': () => ({
    cause: 'The signer ended the connection in the middle; it may have crashed.',
    fix: 'journalctl -u opendkim -n 20',
  }),
  'milter.protocol': () => ({cause: 'The signer does not keep to the milter protocol.', fix: LOG}),
  'reply.tempfail': () => ({
    cause:
      'The signer cannot use the key: it may not be read, its permissions are not safe, it is damaged, or a table row is wrong.',
    fix: `${LOG} names it; key files should be opendkim:opendkim 0600 in directories of opendkim or root that nobody else can write.`,
  }),
  'reply.discard': () => ({cause: 'The signer drops the message.', fix: LOG}),
  'reply.refused': () => ({
    cause: `The signer refuses the message for good; ${OPENDKIM.refusal} (MinimumKeyBits).`,
    fix: LOG,
  }),
  'signature.none': ({domain, selector, sender = domain}) => ({
    cause: `No row of the signing table matches postmaster@${sender}, 127.0.0.1 is not among InternalHosts, or Mode has no s.`,
    fix: `The signing table (refile:) needs "*@${sender} ${keyRecordName(selector, domain)}", InternalHosts needs 127.0.0.1; LogWhy yes tells more.`,
  }),
  'signature.other-signer': context => ({
    cause: `Another signer (${namesOf(context)}) has signed, or OpenDKIM by another row or key; the new key has not.`,
    fix: `${LOG}; compare ${mta.milterSetting} with Socket in opendkim.conf.`,
  }),
  'signature.other-domain': ({domain, sender = domain}) => ({
    cause: 'Another row of the signing table matches first, or From was rewritten.',
    fix: `Put the row of ${sender} before more general ones in the signing table.`,
  }),
  'signature.other-selector': () => ({
    cause:
      'The signer still uses another key: its tables name the other selector, or it has not read them again.',
    fix: 'systemctl restart opendkim, then look at the signing table and the key table.',
  }),
  'signature.other-key': ({domain, selector}) => ({
    cause: `The private key that signs is not the one of the record at ${keyRecordName(selector, domain)}.`,
    fix: `${TESTKEY}.`,
  }),
  'signature.mismatch': ({domain, selector}) => ({
    cause: `The private key that signs is not the one of the record at ${keyRecordName(selector, domain)}, or a signed field was changed afterwards.`,
    fix: `${TESTKEY}; let the signer be the last milter.`,
  }),
  'signature.invalid': () => ({cause: 'The signature is not valid.', fix: LOG}),
});
