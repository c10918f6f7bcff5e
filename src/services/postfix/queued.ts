/** One message of the queue as a question: who sent it, from where, on which way it came in (postcat(1)). */
import {addressIn, fieldOf} from '../../domain/author.ts';
import type {AbsolutePath} from '../../domain/paths.ts';
import type {Ports} from '../../system/ports.ts';
import type {QueuedMail} from '../mta.ts';

/** Nothing else becomes an argument. Short ones are upper-case hexadecimal, long ones have digits and consonants in both cases (enable_long_queue_ids). */
export const isQueueId = (text: string): boolean =>
  /^(?:[0-9A-F]{6,30}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,30})$/.test(text);

/** undefined where the queue has no message of this id. */
export async function readQueueFile(
  {commands}: Pick<Ports, 'commands'>,
  configDirectory: AbsolutePath,
  id: string,
): Promise<QueuedMail | undefined> {
  const {status, stdout} = await commands.run(['postcat', '-c', configDirectory, '-q', id]);
  return status === 0 ? parseQueueFile(stdout) : undefined;
}

const CONTENTS = /^\*\*\* MESSAGE CONTENTS .*$/m;
const EXTRACTED = /^\*\*\* HEADER EXTRACTED .*$/m;

/** What postcat prints; undefined where it is no queue file with a From field. */
export function parseQueueFile(text: string): QueuedMail | undefined {
  const [envelope = '', message = ''] = text.split(CONTENTS, 2);
  const attributes = new Map<string, string>();
  const recipients: string[] = [];
  const [, trailer = ''] = message.split(EXTRACTED, 2);
  for (const line of `${envelope}\n${trailer}`.split('\n')) {
    const colon = line.indexOf(': ');
    if (colon < 0) continue;
    const [name, value] = [line.slice(0, colon), line.slice(colon + 2).trim()];
    if (name === 'recipient') recipients.push(value);
    if (name !== 'named_attribute') continue;
    const equals = value.indexOf('=');
    attributes.set(value.slice(0, equals), value.slice(equals + 1));
  }
  const from = addressIn(fieldOf(message.trimStart(), 'from') ?? '');
  if (from === undefined) return undefined;
  const sender = addressIn(fieldOf(message.trimStart(), 'sender') ?? '');
  const address = attributes.get('client_address') ?? attributes.get('log_client_address');
  const name = attributes.get('client_name') ?? attributes.get('log_client_name') ?? '';
  return {
    from,
    ...(sender === undefined ? {} : {sender}),
    recipients,
    client:
      address === undefined || attributes.get('rewrite_context') === undefined
        ? undefined
        : {name: name === 'unknown' || name === '' ? `[${address}]` : name, address},
    isLoggedIn: (attributes.get('sasl_method') ?? '') !== '',
  };
}
