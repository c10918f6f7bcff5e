/** What a change does to signatures: the same senders on the same ways, before and after. Pure. */
import {type HostPicture, recordKey} from './picture.ts';
import {type OwnSender, ownSenders} from './senders.ts';
import {type OwnWay, ownWays} from './ways.ts';
import {createAsker, type MailAnswer} from './would-sign.ts';

export interface Difference {
  readonly kind: 'lost' | 'changed' | 'gained';
  readonly sender: OwnSender;
  /** Ways on which this happens, in the user's words. */
  readonly ways: readonly string[];
  /** d= and s= of the signatures. */
  readonly before: readonly Mark[];
  readonly after: readonly Mark[];
  /** Those of `before` that are not made any more, or with another key. */
  readonly gone: readonly Mark[];
  /** Of a signature that is lost: the first decision that says so. */
  readonly because: MailAnswer['because'];
}

export interface Mark {
  readonly domain: string;
  readonly selector: string;
  /** Its key, as `KeyFact.fingerprint`; undefined where it is not known. */
  readonly key: string | undefined;
}

/**
 * Senders of both pictures whose mail is signed otherwise on a way that both have; a way that is gone, or new, counts as
 * unsigned. What comes out the same on several ways is one difference.
 */
export function compare(before: HostPicture, after: HostPicture): readonly Difference[] {
  const asks = [createAsker(before), createAsker(after)] as const;
  const senders = new Map<string, OwnSender>();
  for (const sender of [...ownSenders(before), ...ownSenders(after)]) {
    if (!senders.has(sender.address)) senders.set(sender.address, sender);
  }
  const ways = pairs(ownWays(before.entrances), ownWays(after.entrances));
  return [...senders.values()].flatMap(sender => {
    const found = new Map<string, Difference>();
    for (const [old, next] of ways) {
      const answers = [old, next].map((way, index) =>
        way === undefined ? undefined : asks[index === 0 ? 0 : 1](way.entrance, questionOf(sender, way)),
      );
      const [was, is] = [marksOf(before, answers[0]), marksOf(after, answers[1])];
      const gone = [...was].flatMap(([name, mark]) => (isKept(mark, is.get(name)) ? [] : mark));
      const kind = kindOf(gone, was, is);
      if (kind === undefined) continue;
      const text = (next ?? old)?.text ?? '';
      const isUnknown = answers[1]?.outcome === 'unknown';
      const same = [kind, isUnknown, ...[was, is].map(marks => [...marks.keys()].join(' '))].join(';');
      const known = found.get(same);
      found.set(same, {
        ...{kind, sender, before: [...was.values()], after: [...is.values()], gone},
        ways: [...(known?.ways ?? []), text],
        because: known === undefined ? answers[1]?.because : known.because,
      });
    }
    return [...found.values()];
  });
}

const questionOf = ({address}: OwnSender, {client, authenticated}: OwnWay) => ({
  ...{from: address, client, authenticated},
  recipients: ['someone@example.com'],
});

/** The same entrance with the same kind of client. */
function pairs(
  before: readonly OwnWay[],
  after: readonly OwnWay[],
): readonly (readonly [OwnWay | undefined, OwnWay | undefined])[] {
  const keyOf = ({entrance, authenticated}: OwnWay): string =>
    `${entrance.instance} ${entrance.id} ${authenticated}`;
  const next = new Map(after.map(way => [keyOf(way), way]));
  const old = new Set(before.map(keyOf));
  return [
    ...before.map(way => [way, next.get(keyOf(way))] as const),
    ...after.filter(way => !old.has(keyOf(way))).map(way => [undefined, way] as const),
  ];
}

/** What leaves with a signature that can verify, by d= and s=. */
function marksOf({keys}: HostPicture, answer: MailAnswer | undefined): ReadonlyMap<string, Mark> {
  if (answer?.outcome !== 'signed') return new Map();
  return new Map(
    answer.signatures.flatMap(({domain, selector, survives, keyPath}) => {
      if (survives === 'no') return [];
      const fact = keyPath === undefined ? undefined : keys.get(keyPath);
      const key = fact?.known === true ? fact.fingerprint : undefined;
      return [[recordKey(domain, selector), {domain, selector, key}]];
    }),
  );
}

/** Under the same name, and with the same key as far as is known. */
const isKept = ({key}: Mark, after: Mark | undefined): boolean =>
  after !== undefined && (key ?? after.key) === (after.key ?? key);

function kindOf(
  gone: readonly Mark[],
  before: ReadonlyMap<string, Mark>,
  after: ReadonlyMap<string, Mark>,
): Difference['kind'] | undefined {
  const isNew = [...after.keys()].some(key => !before.has(key));
  if (gone.length === 0) return isNew ? 'gained' : undefined;
  return after.size === 0 ? 'lost' : 'changed';
}
