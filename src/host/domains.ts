/** The verdict of a picture on each sender that the host signs, or means to: every way, key, alignment, record. Pure. */
import {isWithin} from '../domain/names.ts';
import {sourceText} from '../domain/source.ts';
import type {KeyFact} from '../services/key-fact.ts';
import type {SigningRow} from '../services/signer.ts';
import {type HostPicture, type RecordFact, recordKey} from './picture.ts';
import {type OwnSender, ownSenders} from './senders.ts';
import {type OwnWay, ownWays} from './ways.ts';
import {createAsker, type MailAnswer, type SignatureMade} from './would-sign.ts';

/** RFC 7489 §3.1.1; `relaxed` where one name is above the other, which is the same organization but for public suffixes. */
export type Alignment = 'strict' | 'relaxed' | 'none';

export interface WayVerdict {
  readonly way: OwnWay;
  readonly answer: MailAnswer;
}

export interface SenderVerdict {
  readonly sender: OwnSender;
  /** Domain of the address that stands for the row. */
  readonly domain: string;
  /** Ways on which its mail is not signed exactly once, or loses a signature; those that are right are counted only. */
  readonly troubles: readonly WayVerdict[];
  readonly right: number;
  /** Each d= and s= that is made on any way, as it is where it survives best, with what is known of its key and record. */
  readonly signatures: readonly SignatureVerdict[];
  /** False where another row decides for every address of this one. */
  readonly isRowUsed: boolean;
}

export interface SignatureVerdict {
  readonly signature: SignatureMade;
  readonly alignment: Alignment;
  /** undefined where the row names no file, or it was not looked at. */
  readonly key: KeyFact | undefined;
  /** undefined where DNS was not queried. */
  readonly record: RecordFact | undefined;
}

/** One verdict a sender, in the order of the rows. Time grows with the rows times the kinds of ways. */
export function domains(
  picture: HostPicture,
  senders: readonly OwnSender[] = ownSenders(picture),
): readonly SenderVerdict[] {
  const ask = createAsker(picture);
  const ways = ownWays(picture.entrances);
  return senders.map(sender => {
    const domain = sender.address.slice(sender.address.lastIndexOf('@') + 1);
    const troubles: WayVerdict[] = [];
    const made = new Map<string, SignatureMade>();
    let isRowUsed = false;
    for (const way of ways) {
      const {client, authenticated} = way;
      const answer = ask(way.entrance, {
        from: sender.address,
        client,
        authenticated,
        recipients: [RECIPIENT],
      });
      const isWhole = answer.signatures.every(({survives}) => survives === 'yes');
      if (answer.outcome !== 'signed' || !isWhole || isDoubled(answer)) {
        troubles.push({way, answer});
      }
      for (const signature of answer.signatures) {
        isRowUsed ||= isSameRow(signature.row, sender.row);
        const name = recordKey(signature.domain, signature.selector);
        if ((made.get(name)?.survives ?? 'no') === 'no') made.set(name, signature);
      }
    }
    return {
      ...{sender, domain, troubles, isRowUsed},
      right: ways.length - troubles.length,
      signatures: [...made.values()].map(signature => verdictOf(picture, domain, signature)),
    };
  });
}

/**
 * The sender that stands for a domain which no row is written for, but one decides about: a pattern, a row for
 * everybody. undefined where no signer does anything with its mail on any way.
 */
export function coveredSender(picture: HostPicture, domain: string): OwnSender | undefined {
  const ask = createAsker(picture);
  const address = `postmaster@${domain}`;
  for (const {entrance, client, authenticated} of ownWays(picture.entrances)) {
    const {asked} = ask(entrance, {from: address, client, authenticated, recipients: [RECIPIENT]});
    for (const {signer, answer} of asked) {
      const [by] = answer.by;
      if (by !== undefined) return {address, row: by.row, signer};
      const decision = answer.decisions.at(-1);
      if (answer.outcome !== 'refused' || decision === undefined) continue;
      const {name: pattern, source} = decision;
      return {address, row: {pattern, domain: undefined, selector: '', keyPath: undefined, source}, signer};
    }
  }
  return undefined;
}

/** A signer may describe a row anew for each answer. */
function isSameRow(one: SigningRow, other: SigningRow): boolean {
  if (one === other) return true;
  if (one.pattern !== other.pattern) return false;
  const [at, there] = [one.source, other.source];
  return at.by === 'file' && there.by === 'file'
    ? at.path === there.path && at.line === there.line
    : sourceText(at) === sourceText(there);
}

const RECIPIENT = 'someone@example.com';

/** The same key twice: a message that passed the signer twice. */
export const isDoubled = ({signatures}: MailAnswer): boolean =>
  new Set(signatures.map(({domain, selector}) => recordKey(domain, selector))).size < signatures.length;

function verdictOf(picture: HostPicture, from: string, signature: SignatureMade): SignatureVerdict {
  const {domain, selector, keyPath} = signature;
  return {
    signature,
    alignment: alignmentOf(from, domain),
    key: keyPath === undefined ? undefined : picture.keys.get(keyPath),
    record: picture.records.get(recordKey(domain, selector)),
  };
}

/** Of the domain in From and d=. */
export function alignmentOf(from: string, domain: string): Alignment {
  if (from === domain) return 'strict';
  return isWithin(from, domain) || isWithin(domain, from) ? 'relaxed' : 'none';
}
