/** Where mail of a stranger would get the signature of one of our domains: forged mail that verifies. */
import type {Entrance} from '../services/mta.ts';
import type {HostPicture} from './picture.ts';
import type {OwnSender} from './senders.ts';
import {isPublic} from './ways.ts';
import {type Client, createAsker, type MailAnswer, type SignatureMade} from './would-sign.ts';

export interface ForeignSigned {
  readonly entrance: Entrance;
  /** One of the clients that gets a signature. */
  readonly client: Client;
  /** How many of the clients that were tried get one, of how many. */
  readonly clients: {readonly signed: number; readonly tried: number};
  /** One address whose mail is signed for a stranger; a name without a domain where only that is. */
  readonly from: string;
  readonly signature: SignatureMade;
  readonly answer: MailAnswer;
}

/**
 * Addresses all over the public networks: a list of internal hosts that covers one of them covers strangers. Networks
 * for documentation are among them, as labs and examples have them.
 */
const STRANGERS: readonly Client[] = [
  '8.8.8.8',
  '41.77.9.3',
  '63.250.11.2',
  '93.184.215.14',
  '103.21.244.9',
  '131.107.3.8',
  '160.45.170.10',
  '185.199.108.15',
  '198.51.100.77',
  '203.0.113.5',
  '217.70.184.38',
  '2001:4860:4860::8888',
  '2a00:1450:4001:82a::2005',
].map(address => ({name: `[${address}]`, address}));

/**
 * At most one finding an entrance, by the first of `senders` whose mail is signed there. Then without their domains: a
 * MTA may add its own on the way.
 */
export function foreignSigned(picture: HostPicture, senders: readonly OwnSender[]): readonly ForeignSigned[] {
  const ask = createAsker(picture);
  const tried = senders.slice(0, MOST_SENDERS).map(({address}) => address);
  const bare = new Set(tried.map(address => address.slice(0, address.lastIndexOf('@'))));
  return picture.entrances.flatMap(entrance => {
    if (!isPublic(entrance) || entrance.login === 'must') return [];
    for (const address of [...tried, ...bare]) {
      const answers = STRANGERS.map(client => ({
        client,
        answer: ask(entrance, {from: address, client, authenticated: false, recipients: [RECIPIENT]}),
      }));
      const signed = answers.filter(({answer}) => answer.outcome === 'signed');
      const [first] = signed;
      const [signature] = first?.answer.signatures ?? [];
      if (first === undefined || signature === undefined) continue;
      const clients = {signed: signed.length, tried: STRANGERS.length};
      return [{...first, entrance, clients, from: address, signature}];
    }
    return [];
  });
}

/** Who counts as internal is decided before the sender is looked up: a few senders show it. */
const MOST_SENDERS = 50;
const RECIPIENT = 'someone@example.com';
