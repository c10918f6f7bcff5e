/** Who must do what where a dynamic update is refused, by the words of nsupdate(1) and knsupdate(1). Pure. */
import {visible} from '../../domain/text.ts';
import type {RecordChange} from './change.ts';
import type {PublishChoice} from './choice.ts';

/**
 * A sentence that names who has to act; undefined where the words say nothing that is known.
 * @param said what the program wrote, with the RCODE of RFC 2136 §2.2 or the TSIG error of RFC 8945 §5.2 in it
 */
export function whoMustAct(choice: PublishChoice, change: RecordChange, said: string): string | undefined {
  if (choice.by !== 'nsupdate' && choice.by !== 'knsupdate') return undefined;
  const zone = visible(change.zone || '.');
  const server = choice.server?.address ?? visible(change.primary);
  const owner = `whoever runs the name server ${server}`;
  const key = choice.tsigKey === undefined ? 'no key' : `the key of ${visible(choice.tsigKey)}`;
  if (/BADTIME|clock skew|\bExpired\b/i.test(said)) {
    return `Set the clock of this host, or ask ${owner} to set theirs: the signature is older or newer than allowed.`;
  }
  if (/BADSIG|verify failure/i.test(said)) {
    return `The server knows a key of that name with another secret: get the right key from ${owner}, and write it to ${fileOf(choice)}.`;
  }
  if (/BADKEY|unknown key/i.test(said)) {
    return `The server does not know ${key}: ask ${owner} to add it, or give the right one by --tsig-key.`;
  }
  if (/\bNOT-?AUTH\b|\bNOTZONE\b/i.test(said)) {
    return choice.tsigKey === undefined
      ? `The server does not take updates of ${zone}, or not without a key: give --tsig-key, or the primary by --update-server.`
      : `The server does not take updates of ${zone}, or does not know ${key}: ask ${owner}, or name the primary by --update-server.`;
  }
  if (/\bREFUSED\b/.test(said)) {
    return choice.tsigKey === undefined
      ? `The server wants a key: get one from ${owner}, and give it by --tsig-key.`
      : `Ask ${owner} to let ${key} change TXT records of ${zone} (BIND: update-policy { grant NAME zonesub TXT; }).`;
  }
  if (/\bSERVFAIL\b/i.test(said)) {
    return `The server could not store it: ask ${owner}; its log says why (BIND must be able to write the directory of the zone).`;
  }
  if (/timed out|timeout|unreachable|refused|could not talk|not connect|network/i.test(said)) {
    return `The server does not answer updates from here: ask ${owner} to let this host in (UDP and TCP port 53), or name another by --update-server.`;
  }
  return undefined;
}

const fileOf = (choice: PublishChoice): string =>
  'tsigKey' in choice && choice.tsigKey !== undefined ? visible(choice.tsigKey) : 'a file for --tsig-key';
