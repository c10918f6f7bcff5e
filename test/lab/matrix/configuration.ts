/** What a configuration of the mail host is made of, and what is asked of it. Plain data: it goes to the host as JSON. */

/** Where the signer of an ordinary configuration listens, and how main.cf names it. */
export const SOCKET = 'unix:opendkim/opendkim.sock';

/** Ports of the lab's own programs on the host. */
export const PORTS = {
  sink: 2501,
  /** A next hop that does not take 8-bit mail. */
  sevenBitSink: 2502,
  /** After-queue and before-queue filters; each hands mail back on the port above it. */
  filter: 10024,
  wayBack: 10025,
  /** A milter that changes the subject, and one that only adds a field. */
  changingMilter: 8895,
  addingMilter: 8896,
  /** Nobody listens. */
  closed: 9999,
} as const;

/** A client that is not on the host: its address, its name by default, and where it is reached from the host. */
export const FOREIGN = {address: '203.0.113.5', name: 'c.ext', socket: '/root/foreign.sock'} as const;

/** Changes of a host that signs example.com on every entrance. */
export interface Configuration {
  readonly name: string;
  /** Lines for the end of main.cf: what is set again counts from here. */
  readonly main?: readonly string[];
  /** `-o` arguments by service, as they are written: `{'smtp/inet': ['smtpd_milters=']}`. */
  readonly options?: Readonly<Record<string, readonly string[]>>;
  /** Entries for the end of master.cf; one whose name and type is there already replaces it. */
  readonly master?: readonly string[];
  /** Lines for the end of opendkim.conf; `-Name` takes the lines of that parameter out instead. */
  readonly signer?: readonly string[];
  readonly signingTable?: readonly string[];
  readonly keyTable?: readonly string[];
  /** More files, by path. */
  readonly files?: Readonly<Record<string, string>>;
}

/** One message that is sent. Absent means: alice@example.com, by a client on the host itself that has not logged in. */
export interface Question {
  readonly entrance: string;
  readonly port?: number;
  readonly client: 'local' | 'foreign';
  readonly clientName?: string;
  readonly clientAddress?: string;
  readonly login: boolean;
  /** It says first, as a proxy does, that its client is on the host. */
  readonly isProxied: boolean;
  readonly from: string;
  readonly body: 'plain' | '8bit' | '8bit-raw' | 'long';
  readonly to: string;
  /** More header fields, CRLF-less. */
  readonly fields: readonly string[];
}

export interface Signature {
  readonly domain: string;
  readonly selector: string;
  readonly verifies: boolean;
}

/**
 * What became of a message. `dead`: the server took no mail at all. `delayed`: it is to be tried again (a 4xx answer, or
 * it lies in the queue).
 */
export interface Truth {
  readonly fate: 'left' | 'refused' | 'delayed' | 'held' | 'dead' | 'lost';
  readonly signatures: readonly Signature[];
  /** The server's last words, for the eye. */
  readonly reply: string;
  /** The address in From of a message that the host made by itself. */
  readonly from?: string;
}

/** What waxseal says of a message before it is sent. */
export interface Prediction {
  readonly outcome: string;
  /** Signatures that are made. */
  readonly count: number;
  readonly survives: 'yes' | 'no' | 'depends';
  /** `d=/s=` of each signature, sorted. */
  readonly keys: readonly string[];
  /** The decision that is named. */
  readonly because: string;
}

/**
 * Reads a question from one line: `submission foreign login from=a@b.test`. The first word is the entrance: smtp,
 * submission, a port number, local, bs (sendmail -bs), qmqp, bounce, copy (of a bounce, to the postmaster), notice (of a
 * command that was refused), alias, list, virtual.
 */
export function question(text: string): Question {
  const [entrance = '', ...words] = text.split(' ').filter(Boolean);
  const has = (word: string): boolean => words.includes(word);
  const wordOf = (name: string): string | undefined =>
    words.find(word => word.startsWith(`${name}=`))?.slice(name.length + 1);
  const clientName = wordOf('name');
  const clientAddress = wordOf('address');
  const sender = wordOf('sender');
  const port = entrance === 'submission' ? 587 : /^\d+$/.test(entrance) ? Number(entrance) : undefined;
  return {
    entrance,
    ...(port === undefined ? {} : {port}),
    client: has('foreign') ? 'foreign' : 'local',
    ...(clientName === undefined ? {} : {clientName}),
    ...(clientAddress === undefined ? {} : {clientAddress}),
    login: has('login'),
    isProxied: has('proxied'),
    from: wordOf('from') ?? 'alice@example.com',
    body: has('8bit') ? '8bit' : has('8bit-raw') ? '8bit-raw' : has('long') ? 'long' : 'plain',
    to: wordOf('to') ?? 'sink.test',
    fields: sender === undefined ? [] : [`Sender: ${sender}`],
  };
}

/** `1`, `2 broken`, `held 1`, `refused`: what a row of a table expects. */
export function describeTruth({fate, signatures}: Truth): string {
  const bad = signatures.filter(({verifies}) => !verifies).length;
  const count = `${signatures.length}${bad === 0 ? '' : bad === signatures.length ? ' broken' : ` ${bad} broken`}`;
  if (fate === 'left') return count;
  return fate === 'held' ? `held ${count}` : fate;
}

/** How many signatures verify of how many, as it is predicted: `2`, `1 broken`, `1?` where it depends, `refused`, `unknown`. */
export function describePrediction({outcome, count, survives}: Prediction): string {
  if (outcome !== 'signed' && outcome !== 'unsigned') return outcome;
  return `${count}${{yes: '', no: ' broken', depends: '?'}[survives]}`;
}

export type Agreement = 'agreed' | 'undecided' | 'disagreed';

/**
 * `undecided`: waxseal says that it depends, or that it cannot tell, and names why. It is not asked about what is in a
 * body: where that is all that matters, the signature that is made counts, not whether it arrives whole.
 */
export function agreement({body, entrance}: Question, truth: Truth, prediction: Prediction): Agreement {
  const {outcome, count, survives, keys} = prediction;
  // Nothing is reported of a message that lies in hold.
  if (truth.fate === 'held' && ['bounce', 'copy', 'notice'].includes(entrance)) return 'undecided';
  if (outcome === 'unknown') return 'undecided';
  if (outcome === 'refused') {
    return ['refused', 'delayed', 'dead'].includes(truth.fate) || describeTruth(truth) === 'held 0'
      ? 'agreed'
      : 'disagreed';
  }
  if (truth.fate !== 'left' && truth.fate !== 'held') return 'disagreed';
  const made = truth.signatures.map(({domain, selector}) => `${domain}/${selector}`).sort();
  if (outcome === 'unsigned') return made.length === 0 ? 'agreed' : 'disagreed';
  const good = truth.signatures.filter(({verifies}) => verifies).length;
  if (body !== 'plain') return made.join(' ') === keys.join(' ') ? 'agreed' : 'disagreed';
  if (survives === 'depends') return made.length <= count ? 'undecided' : 'disagreed';
  // What takes a signature away altogether breaks it, too.
  if (survives === 'no') return good < count ? 'agreed' : 'disagreed';
  return made.join(' ') === keys.join(' ') && good === made.length ? 'agreed' : 'disagreed';
}
