/** Where mail of a stranger would get the signature of one of our domains: forged mail that verifies. */
import type {Decision} from '../domain/source.ts';
import type {Entrance} from '../services/mta.ts';
import type {HostPicture} from './picture.ts';
import type {OwnSender} from './senders.ts';
import {type Stranger, strangersFor} from './strangers.ts';
import {isPublic} from './ways.ts';
import {
  type Ask,
  type Client,
  createAsker,
  LOCALHOST,
  type MailAnswer,
  type SignatureMade,
} from './would-sign.ts';

export interface ForeignSigned {
  readonly entrance: Entrance;
  /** One of the clients that gets a signature. */
  readonly client: Client;
  /**
   * `listed`: only clients of small networks that the signer counts as internal and the mail server does not count as its
   * own: they may be yours. `posing`: who may say that it is somebody else, at a port that is meant for a proxy.
   */
  readonly kind: Stranger['kind'] | 'posing';
  /** Why the client is believed when it says that it is somebody else; absent where it need not. */
  readonly believed?: Decision;
  /** How many of the clients that were tried get one, of how many. */
  readonly clients: {readonly signed: number; readonly tried: number};
  /** One address whose mail is signed for a stranger; a name without a domain where only that is. */
  readonly from: string;
  readonly signature: SignatureMade;
  readonly answer: MailAnswer;
}

/**
 * At most one finding an entrance, by the first of `senders` whose mail is signed there. Then without their domains: a
 * MTA may add its own on the way.
 */
export function foreignSigned(picture: HostPicture, senders: readonly OwnSender[]): readonly ForeignSigned[] {
  const ask = createAsker(picture);
  const tried = senders.slice(0, MOST_SENDERS).map(({address}) => address);
  const bare = new Set(tried.map(address => address.slice(0, address.lastIndexOf('@'))));
  const lists = picture.signers.flatMap(({clients = []}) => clients);
  return picture.entrances.flatMap(entrance => {
    if (!isPublic(entrance) || entrance.login === 'must') return [];
    const strangers = strangersAt(entrance, lists);
    for (const kind of ['anyone', 'listed'] as const) {
      const those = strangers.filter(each => each.kind === kind);
      const most = Math.max(1, Math.floor(MOST_QUESTIONS / (those.length + 1)));
      for (const from of [...tried.slice(0, most), ...[...bare].slice(0, most)]) {
        const signed = those.flatMap(({client}) => signedFor(ask, entrance, from, client));
        const [first] = signed;
        if (first === undefined) continue;
        const clients = {signed: signed.length, tried: those.length};
        return [{kind, ...first, entrance, clients, from}];
      }
    }
    return [];
  });
}

/** Who may send here: everyone but those whom the MTA counts as its own, as far as their networks are small. */
function strangersAt({own, passes}: Entrance, lists: readonly string[]): readonly Stranger[] {
  const byClient = passes.flatMap(pass => pass.byClient.map(({clients}) => clients));
  return strangersFor([...lists, ...byClient, ...(own?.clients ?? [])]).filter(
    ({client, kind}) => kind === 'anyone' || own?.covers(client.address) === false,
  );
}

type Signed = Pick<ForeignSigned, 'client' | 'signature' | 'answer' | 'believed'> & {
  readonly kind?: 'posing';
};

function signedFor(ask: Ask, entrance: Entrance, from: string, client: Client): readonly Signed[] {
  const question = {from, recipients: [RECIPIENT]};
  const plain = ask(entrance, {...question, client, authenticated: false});
  const [signature] = plain.signatures;
  if (plain.outcome === 'signed' && signature !== undefined) return [{client, signature, answer: plain}];
  const believed = entrance.believes?.(client.address);
  if (believed === undefined || plain.outcome === 'refused') return [];
  const answer = ask(entrance, {...question, client: LOCALHOST, authenticated: believed.asLoggedIn});
  const [other] = answer.signatures;
  if (answer.outcome !== 'signed' || other === undefined) return [];
  const kind = believed.isForProxy ? ({kind: 'posing'} as const) : {};
  return [{...kind, client, signature: other, answer, believed: believed.decision}];
}

/** Who counts as internal is decided before the sender is looked up: a few senders show it. */
const MOST_SENDERS = 50;
/** Of an entrance, before long lists of networks are tried with few senders. */
const MOST_QUESTIONS = 5000;
const RECIPIENT = 'someone@example.com';
