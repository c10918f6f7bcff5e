import {type CanonicalizationName, canonicalizeHeader} from './canonicalize-header.ts';
import {type HeaderBlock, type HeaderField, selectFields} from './header-block.ts';
import {fromLatin1, lower} from './octets.ts';
import {type HeaderChangeKind, quoted} from './reason.ts';
import {otherBlanks, rewritings, withoutWords} from './rewritings.ts';
import type {Signature} from './signature.ts';

/** A header that does not fit its signature. */
export interface HeaderQuestion {
  readonly block: HeaderBlock;
  readonly signature: Signature;
  /** The signature's own field, the value of b= deleted, and its place. */
  readonly own: HeaderField;
  readonly index: number;
  /** Whether these octets are what was signed. */
  readonly fits: (input: Buffer) => boolean;
  /** Most guesses; each costs one `fits`. */
  readonly guesses: number;
}

/** What was done to a header, proven by the signature over what it was before. */
export interface HeaderChange {
  readonly kind: HeaderChangeKind;
  /** Name of the field, lower case. */
  readonly header: string;
  /** The first octet of the canonical field that is not as it was signed, where its text was changed. */
  readonly offset?: number;
  /** One sentence. May quote untrusted text. */
  readonly message: string;
}

/** Octets that may be hashed for the guesses at one header. */
const BUDGET = 32 * 1024 * 1024;
/** Longest signed header that is looked into, in octets and fields. */
const MOST_OCTETS = 65_536;
const MOST_FIELDS = 500;

/**
 * Finds out what happened to a signed header on its way, where one of the usual changes to one field explains it: each
 * is undone, and the right one is what the signature fits. The work is bounded, whatever the header.
 *
 * @returns undefined where nothing that is tried explains it
 */
export function diagnoseHeader(question: HeaderQuestion): HeaderChange | undefined {
  const {block, signature, index, own} = question;
  const selected = selectFields(block, signature.signedHeaders, index);
  const octets = selected.reduce((sum, at) => sum + block.end(at) - block.start(at), own.raw.length);
  if (octets > MOST_OCTETS || selected.length > MOST_FIELDS) return undefined;
  const header = new SignedHeader(question, selected);
  return (
    forms(header) ??
    added(header) ??
    turned(header) ??
    texts(header) ??
    pairs(header) ??
    texts(header, header.selected, [otherBlanks])
  );
}

/** The header to guess at. Counts what the guesses cost; beyond the limits nothing fits any more. */
class SignedHeader {
  readonly question: HeaderQuestion;
  /** Indexes of the fields that are signed as it is now. */
  readonly selected: readonly number[];
  readonly how: CanonicalizationName;
  readonly #forms = new Map<string, string>();
  #guesses: number;
  #octets = BUDGET;

  constructor(question: HeaderQuestion, selected: readonly number[]) {
    this.question = question;
    this.selected = selected;
    this.how = question.signature.canonicalization.header;
    this.#guesses = question.guesses;
  }

  /** @param input code units 0..255 */
  fits(input: string): boolean {
    this.#guesses--;
    this.#octets -= input.length;
    return !this.spent && this.question.fits(fromLatin1(input));
  }

  get spent(): boolean {
    return this.#guesses < 0 || this.#octets < 0;
  }

  /** The canonical fields in the order in which they are signed, the own one last and without its CRLF. */
  fields(selected = this.selected, how = this.how): readonly string[] {
    const own = canonicalizeHeader(this.question.own, how).slice(0, -2);
    return [...selected.map(at => this.#field(at, how)), own];
  }

  #field(at: number, how: CanonicalizationName): string {
    const key = `${how} ${at}`;
    let form = this.#forms.get(key);
    if (form === undefined) {
      const field = this.question.block.field(at);
      form = field === undefined ? '' : canonicalizeHeader(field, how);
      this.#forms.set(key, form);
    }
    return form;
  }

  name(at: number): string {
    return this.question.block.field(at)?.name ?? '';
  }

  /** The value of a field as people write it. */
  value(at: number): string {
    const field = this.#field(at, 'relaxed');
    return field.slice(field.indexOf(':') + 1, -2);
  }
}

const OTHER = {simple: 'relaxed', relaxed: 'simple'} as const;

/** Signers that hash something else than c= says. */
function forms(header: SignedHeader): HeaderChange | undefined {
  const {how, selected} = header;
  const found = (message: string): HeaderChange => ({
    kind: 'header-canonicalization',
    header: 'dkim-signature',
    message,
  });
  if (header.fits(header.fields(selected, OTHER[how]).join(''))) {
    return found(`the signer hashed the ${OTHER[how]} form of the header, c= says ${how}.`);
  }
  if (header.fits(`${header.fields().join('')}\r\n`)) {
    return found('the signer hashed its own field with the final CRLF.');
  }
  return undefined;
}

/** The fields that are selected as if some were not there. */
const selectedWithout = ({question}: SignedHeader, places: readonly number[]): readonly number[] =>
  selectFields(question.block, question.signature.signedHeaders, question.index, places);

function wasAdded(header: SignedHeader, place: number): string {
  const name = header.name(place);
  const places = header.question.block.places(name);
  const which = places.length === 1 ? 'the field' : `number ${places.indexOf(place) + 1} of the fields`;
  return `${which} ${name} was added, ${quoted(header.value(place))}`;
}

/** A field that was put in. */
function added(header: SignedHeader): HeaderChange | undefined {
  for (const place of header.selected) {
    if (!header.fits(header.fields(selectedWithout(header, [place])).join(''))) continue;
    return {
      kind: 'field-added',
      header: header.name(place),
      message: `${wasAdded(header, place)}; without it the header is as it was signed.`,
    };
  }
  return undefined;
}

/** Fields of one name that changed places. */
function turned(header: SignedHeader): HeaderChange | undefined {
  const {selected} = header;
  for (const name of new Set(selected.map(at => header.name(at)))) {
    const opposite = selected.filter(at => header.name(at) === name).reverse();
    if (opposite.length < 2) continue;
    const other = selected.map(at => (header.name(at) === name ? (opposite.shift() ?? at) : at));
    if (header.fits(header.fields(other).join(''))) {
      return {
        kind: 'field-order',
        header: name,
        message: `the fields ${name} were signed in the opposite order.`,
      };
    }
  }
  return undefined;
}

/** What lists do: two fields put in, or one put in and words put into the subject. */
function pairs(header: SignedHeader): HeaderChange | undefined {
  const {selected} = header;
  for (const [nth, one] of selected.entries()) {
    for (const other of selected.slice(nth + 1)) {
      if (header.spent) return undefined;
      if (!header.fits(header.fields(selectedWithout(header, [one, other])).join(''))) continue;
      return {
        kind: 'field-added',
        header: header.name(one),
        message: `${wasAdded(header, one)}, and ${wasAdded(header, other)}; without them the header is as it was signed.`,
      };
    }
  }
  for (const place of selected) {
    const change = texts(header, selectedWithout(header, [place]), [withoutWords], 'subject');
    if (change !== undefined)
      return {...change, message: `${wasAdded(header, place)}, and ${change.message}`};
  }
  return undefined;
}

// What is rewritten most often comes first, should the guesses not last for all.
const FIRST = [
  'subject',
  'content-type',
  'content-transfer-encoding',
  'to',
  'cc',
  'from',
  'reply-to',
  'date',
];

/** The text of one field: of any, or of those of one name. */
function texts(
  header: SignedHeader,
  selected = header.selected,
  kinds: readonly Guess[] = [rewritings, withoutWords],
  only?: string,
): HeaderChange | undefined {
  const {how} = header;
  const fields = header.fields(selected);
  const order = fields
    .map((text, at) => ({text, at, name: lower(text.slice(0, text.indexOf(':')).trimEnd())}))
    .filter(({name}) => only === undefined || name === only)
    .sort((one, other) => rank(one.name) - rank(other.name));
  // Few and likely guesses at every field before many at one.
  for (const guesses of kinds) {
    for (const {text, at, name} of order) {
      const head = fields.slice(0, at).join('');
      const tail = fields.slice(at + 1).join('');
      const end = at === fields.length - 1 ? '' : '\r\n';
      const colon = text.indexOf(':') + 1;
      const value = text.slice(colon, text.length - end.length);
      if (value.length > LONGEST_VALUE) continue;
      for (const was of guesses(value, name, how)) {
        if (header.spent) return undefined;
        const guess = text.slice(0, colon) + was + end;
        if (guess === text || !header.fits(head + guess + tail)) continue;
        return {
          kind: 'field-text',
          header: name,
          offset: firstDifference(text, guess),
          message: `the field ${name} was signed as ${quoted(was)} and is now ${quoted(value)}.`,
        };
      }
    }
  }
  return undefined;
}

type Guess = (value: string, name: string, how: CanonicalizationName) => Iterable<string>;

/** Longest value that is guessed at, in octets: some patterns take the square of it. */
const LONGEST_VALUE = 4096;

const rank = (name: string): number => {
  const at = FIRST.indexOf(name);
  return at < 0 ? FIRST.length : at;
};

function firstDifference(one: string, other: string): number {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  return at;
}
