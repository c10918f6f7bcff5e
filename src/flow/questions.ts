/**
 * The one table of questions. The wizard, plain mode, the flags, `--help` and the man page are all made from it: a
 * question is asked, given as a flag and printed again in the summary by what stands here and nowhere else.
 */
import {formatPublish, parsePublish, publishArgv} from '../dns/publish/index.ts';
import {type DomainName, displayDomain, parseDomain, parseSelector, type Selector} from '../domain/names.ts';
import {parseAbsolutePath} from '../domain/paths.ts';
import {fail, ok, type Problem, problem, type Result} from '../domain/result.ts';
import type {HostFacts} from '../services/facts.ts';
import {MTAS, SIGNER} from '../services/registry.ts';
import {rivals, whyNotSwitched} from '../services/switch-over.ts';
import type {Answers, CanonicalizationChoice, KeyChoice, QuestionId, SocketChoice} from './answers.ts';
import {formatSelectors, parseSelectors} from './domain-list.ts';
import type {DomainFacts} from './operations.ts';
import {type FlagSpec, QUESTION_FLAGS} from './question-flags.ts';
import {sizeProblems} from './record-size.ts';
import type {ScreenId, State} from './state.ts';
import {parseTrustedHosts} from './trusted-hosts.ts';

/** What the texts call the mail server: the table of questions is made before there is a host. */
const MTA = MTAS[0].words.program;

/** One thing to pick; `value` is the text that `parse` takes. */
export interface Choice {
  readonly value: string;
  readonly label: string;
  readonly hint: string;
  /** Why it cannot be picked on this host; undefined where it can. */
  readonly disabled: string | undefined;
}

/** What is known beside answers and host when a suggestion is made. */
export interface Known {
  readonly suggestedSelector: Selector | undefined;
}

export type AnswerOf<K extends QuestionId> = NonNullable<Answers[K]>;

interface Definition<K extends QuestionId> {
  readonly id: K;
  readonly placeholder: string;
  readonly screen: ScreenId;
  /** A question of a few words. */
  readonly title: string;
  /**
   * Two to eight sentences for somebody who does not know DKIM, shown by `?`, the first beside the question. None is
   * broken into lines: the views know how wide they are.
   */
  readonly help: readonly string[];
  /** True where no default is accepted without a terminal. */
  readonly required: boolean;
  /** True where an answer beyond the choices may be typed. */
  readonly free: boolean;
  /** True where the answer is checked against the world (DNS, disk) before it counts. */
  readonly checked: boolean;
  /** True where nobody is ever asked: it is only given. */
  readonly silent?: true;
  /** True where another answer makes another key or record. */
  readonly inRecord: boolean;
  /** Questions whose change can make this answer wrong or its suggestion another. */
  readonly dependsOn: readonly QuestionId[];
  /** Whether it is asked at all. Skipping lives here and nowhere else. */
  applies(answers: Answers, facts: HostFacts): boolean;
  /** Text that is taken by pressing Enter; '' where there is nothing to suggest. */
  suggest(answers: Answers, facts: HostFacts, known: Known): string;
  /** `domains`: the zones of the domains that are answered. */
  choices?(answers: Answers, facts: HostFacts, domains?: readonly DomainFacts[]): readonly Choice[];
  parse(text: string, answers: Answers, facts: HostFacts): Result<AnswerOf<K>>;
  /** The text that `parse` reads back to the same value. */
  format(value: AnswerOf<K>): string;
  /** The words of a command line that give the same answer; empty for the default. */
  argv(value: AnswerOf<K>): readonly string[];
}

/** A question with the two functions that need no knowledge of its type. */
export interface Question<K extends QuestionId = QuestionId> extends Definition<K> {
  /** The flags that answer it; empty where only the wizard asks. */
  readonly flags: readonly FlagSpec[];
  /** First of `flags`, for messages; undefined where there is none. */
  readonly flag: string | undefined;
  readonly metavar: string | undefined;
  /** The answers with this one set from `text`. */
  accept(text: string, answers: Answers, facts: HostFacts): Result<Answers>;
  /** This answer as text; undefined where it is not answered. */
  textIn(answers: Answers): string | undefined;
  argvIn(answers: Answers): readonly string[];
}

/** A question that only those meet who ask for each setting, which is most of them. */
const A_SETTING = {
  screen: 'key',
  required: false,
  free: false,
  checked: false,
  inRecord: false,
  dependsOn: ['settings'],
  applies: ({settings}: Answers): boolean => settings === 'change',
} as const satisfies Partial<Definition<QuestionId>>;

function define<K extends QuestionId>(
  id: K,
  own: Omit<Definition<K>, keyof typeof A_SETTING | 'id'> & Partial<Definition<K>>,
): Question<K> {
  const flags = QUESTION_FLAGS[id];
  const definition: Definition<K> = {...A_SETTING, id, ...own};
  const valueIn = (answers: Answers): AnswerOf<K> | undefined => answers[definition.id] ?? undefined;
  return {
    ...definition,
    flags,
    flag: flags[0]?.flag,
    metavar: flags[0]?.metavar,
    accept(text, answers, facts) {
      const parsed = definition.parse(text, answers, facts);
      return parsed.ok ? ok({...answers, [definition.id]: parsed.value} as Answers) : parsed;
    },
    textIn(answers) {
      const value = valueIn(answers);
      return value === undefined ? undefined : definition.format(value);
    },
    argvIn(answers) {
      const value = valueIn(answers);
      return value === undefined ? [] : definition.argv(value);
    },
  };
}

const choice = (value: string, label: string, hint: string, disabled?: string): Choice => ({
  value,
  label,
  hint,
  disabled,
});

const quoted = (text: string): string => JSON.stringify(text.slice(0, 80));

const refuse = (id: string, message: string, hint: string) => fail(problem(id, message, hint));

function parseYesNo(id: string, text: string, flagName: string): Result<boolean> {
  const lower = text.trim().toLowerCase();
  if (['yes', 'y', 'true', '1'].includes(lower)) return ok(true);
  if (['no', 'n', 'false', '0'].includes(lower)) return ok(false);
  return refuse(`${id}.syntax`, `${quoted(text)} is neither yes nor no.`, `Answer yes or no (${flagName}).`);
}

const yesNo = (value: boolean): string => (value ? 'yes' : 'no');

/** What is the same of every question that is answered by yes or no. */
const answeredByYesOrNo = (id: string, flagName: string, byDefault: boolean) => ({
  placeholder: yesNo(byDefault),
  suggest: () => yesNo(byDefault),
  parse: (text: string) => parseYesNo(id, text, flagName),
  format: yesNo,
  argv: (value: boolean) => (value === byDefault ? [] : [flagName]),
});

/** Splits a list of names as people type it: blanks, commas or semicolons between them. */
const words = (text: string): readonly string[] => text.split(/[\s,;]+/).filter(word => word !== '');

function parseDomains(text: string): Result<readonly DomainName[]> {
  const found = new Set<DomainName>();
  for (const word of words(text)) {
    const parsed = parseDomain(word);
    if (!parsed.ok) return parsed;
    found.add(parsed.value);
  }
  if (found.size > 0) return ok([...found]);
  return refuse(
    'domain.missing',
    'No domain is named.',
    'Give the part after the @ of your addresses: --domain example.org.',
  );
}

function domainChoices(facts: HostFacts): readonly Choice[] {
  // Debian puts localhost.DOMAIN among the local domains; nobody writes from there, and it is in nobody's DNS.
  const offered = facts.mailDomains.filter(domain => !domain.startsWith('localhost.'));
  const found = offered.map(domain => choice(domain, displayDomain(domain), `found in ${MTA}`));
  if (found.length < 2) return found;
  const all = found.length === 2 ? 'Both of them' : `All ${found.length} of them`;
  return [...found, choice(offered.join(','), all, 'one key for each')];
}

/** Why the signing of the others cannot be switched off by a plan; undefined where it can. */
function cannotSwitch(facts: HostFacts): Problem | undefined {
  const why = rivals(facts)
    .map(whyNotSwitched)
    .find(each => each !== undefined);
  return why === undefined
    ? undefined
    : problem(
        'other-signer.unknown',
        `${why}.`,
        'Switch its signing off yourself and run again, or let both sign: --other-signer leave.',
      );
}

function parseOtherSigner(text: string, facts: HostFacts): Result<'switch' | 'leave'> {
  const word = text.trim().toLowerCase();
  if (word === 'leave') return ok('leave');
  if (word === 'switch') {
    const why = cannotSwitch(facts);
    return why === undefined ? ok('switch') : fail(why);
  }
  return refuse(
    'other-signer.syntax',
    word === ''
      ? `Mail would be signed twice: ${rivals(facts)
          .map(({program}) => program)
          .join(' and ')} signs it already.`
      : `${quoted(text)} is neither "switch" nor "leave".`,
    'Use --other-signer switch to turn the signing of the other program off, or --other-signer leave.',
  );
}

const RSA_BITS = [2048, 3072, 4096] as const;

function parseKey(text: string, facts: HostFacts): Result<KeyChoice> {
  const trimmed = text.trim();
  if (trimmed.startsWith('file:')) {
    const path = parseAbsolutePath(trimmed.slice('file:'.length).trim());
    return path.ok
      ? ok({source: 'import', path: path.value})
      : refuse('key.path', path.problem.message, 'Give the whole path of a PEM file: --key /root/dkim.pem.');
  }
  const whole = trimmed.toLowerCase();
  const shared = whole.endsWith(SHARED) ? ({shared: true} as const) : {};
  const lower = whole.endsWith(SHARED) ? whole.slice(0, -SHARED.length) : whole;
  if (lower === 'ed25519') {
    const why = SIGNER.algorithmRefusal('ed25519', facts.signer?.version);
    return why === undefined ? ok({source: 'generate', spec: {algorithm: 'ed25519'}, ...shared}) : fail(why);
  }
  const bits = RSA_BITS.find(
    size => lower === `rsa:${size}` || lower === String(size) || lower === `rsa${size}`,
  );
  if (bits !== undefined) return ok({source: 'generate', spec: {algorithm: 'rsa', bits}, ...shared});
  return refuse(
    'key.kind',
    `${quoted(trimmed)} is not a kind of key.`,
    'Use --algorithm rsa with --bits 2048, 3072 or 4096, or --key with the file of a key you have.',
  );
}

/** What `--shared-key` adds to the text of a key. */
const SHARED = ' shared';

/** Said of a size that the DNS provider cannot store; a delegation may still make it possible. */
const sizeHint = (
  bits: 2048 | 3072 | 4096,
  answers: Answers,
  domains: readonly DomainFacts[] = [],
): string | undefined =>
  sizeProblems({algorithm: 'rsa', bits}, answers, domains).length > 0
    ? 'your DNS provider cannot store it'
    : undefined;

function formatKey(key: KeyChoice): string {
  if (key.source === 'import') return `file:${key.path}`;
  const kind = key.spec.algorithm === 'rsa' ? `rsa:${key.spec.bits}` : 'ed25519';
  return key.shared === true ? `${kind}${SHARED}` : kind;
}

function keyArgv(key: KeyChoice): readonly string[] {
  if (key.source === 'import') return ['--key', key.path];
  const shared = key.shared === true ? ['--shared-key'] : [];
  if (key.spec.algorithm === 'ed25519') return ['--algorithm', 'ed25519', ...shared];
  return [...(key.spec.bits === 2048 ? [] : ['--bits', String(key.spec.bits)]), ...shared];
}

function parseSocket(text: string): Result<SocketChoice> {
  const lower = text.trim().toLowerCase();
  if (lower === 'auto' || lower === 'unix') return ok(lower);
  const port = /^inet:(\d{1,5})$/.exec(lower)?.[1];
  if (port !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return ok({inetPort: Number(port)});
  return refuse(
    'socket.syntax',
    `${quoted(text)} is not a socket.`,
    'Use --socket auto, unix, or inet: with a port: inet:8891.',
  );
}

const formatSocket = (socket: SocketChoice): string =>
  typeof socket === 'string' ? socket : `inet:${socket.inetPort}`;

const CANONICALIZATIONS: readonly CanonicalizationChoice[] = [
  'relaxed/simple',
  'relaxed/relaxed',
  'simple/simple',
  'simple/relaxed',
];

function parseCanonicalization(text: string): Result<CanonicalizationChoice> {
  const found = CANONICALIZATIONS.find(name => name === text.trim().toLowerCase());
  if (found !== undefined) return ok(found);
  return refuse(
    'canonicalization.syntax',
    `${quoted(text)} is not a canonicalization.`,
    `Use --canonicalization with one of ${CANONICALIZATIONS.join(', ')}.`,
  );
}

// A note stands in the record as it is (n=, RFC 6376 §3.6.1): characters that would need dkim-quoted-printable or an
// escape in a zone file are refused rather than rewritten.
function parseNote(text: string): Result<string> {
  const trimmed = text.trim();
  if (trimmed.length <= 100 && /^[ -~]*$/.test(trimmed) && !/[;="\\]/.test(trimmed)) return ok(trimmed);
  return refuse(
    'note.syntax',
    'The note has characters that a DNS record cannot carry plainly, or more than 100 of them.',
    'Use --note with letters, digits, blanks and dots.',
  );
}

/** False where each domain has a selector of its own. */
const needsSelector = ({domains = [], selectors}: Answers): boolean =>
  domains.length === 0 || domains.some(domain => selectors?.has(domain) !== true);

/** All questions by id, in the order in which they are asked. */
export const QUESTIONS: {readonly [K in QuestionId]-?: Question<K>} = {
  install: define('install', {
    // Packages are a change of the host: without a terminal they need the flag.
    ...answeredByYesOrNo('install', '--install', false),
    placeholder: 'yes',
    screen: 'look',
    title: 'Install what is missing?',
    help: [
      `${MTA} hands each message to a signer, and this host has none yet.`,
      `${SIGNER.words.program} is the usual one; your distribution has it as a package.`,
      'Yes installs it now, with the package manager of this host.',
      'No leaves; install it yourself and run waxseal again.',
    ],
    dependsOn: [],
    applies: (_answers, facts) => facts.missingPackages.length > 0,
    choices: (_answers, facts) => [
      choice('yes', 'Yes, install', facts.missingPackages.join(' ')),
      choice('no', 'No, leave', 'nothing is changed'),
    ],
  }),

  selectors: define('selectors', {
    placeholder: 'example.org=202611',
    screen: 'selector',
    title: 'Which domains have a key name of their own?',
    help: [
      'A list of domains (--domains-file) may name the selector of each.',
      'Domains without one get the selector that is asked for.',
    ],
    free: true,
    silent: true,
    inRecord: true,
    dependsOn: [],
    applies: () => false,
    suggest: () => '',
    parse: text => parseSelectors(text),
    format: formatSelectors,
    // Only the file can give them; the command line names that.
    argv: () => [],
  }),

  otherSigner: define('otherSigner', {
    placeholder: 'switch',
    screen: 'look',
    title: 'Another program signs here: switch it off?',
    help: [
      'One signer is enough, and easier to look after.',
      'Switch: the plan turns off only the signing of the other program; its other work goes on, and undo turns it on again.',
      'Leave: mail goes out with two signatures.',
      'Receivers check each by itself, and one good one is enough; the other needs its own record in the DNS and its own care.',
    ],
    dependsOn: [],
    applies: (_answers, facts) => rivals(facts).length > 0,
    // Who surely signs must not go on, nor be stopped, without a word. Where it is not sure, leaving changes nothing.
    suggest: (_answers, facts) => (rivals(facts).some(({signs}) => signs === 'yes') ? '' : 'leave'),
    choices: (_answers, facts) => {
      const names = rivals(facts).map(({program}) => program);
      return [
        choice(
          'switch',
          'Switch it off',
          `no more signatures of ${names.join(' and ')}`,
          cannotSwitch(facts)?.message,
        ),
        choice('leave', 'Leave it', 'two signatures go out'),
      ];
    },
    parse: (text, _answers, facts) => parseOtherSigner(text, facts),
    format: value => value,
    argv: value => ['--other-signer', value],
  }),

  domains: define('domains', {
    placeholder: 'example.org',
    screen: 'domain',
    title: 'Which domain shall be signed?',
    help: [
      'The part after the @ in the From address of your mail.',
      'Receivers look up the key below this domain, so you must be able to add a DNS record to it.',
      'Several domains: put commas between them; each gets its own key.',
      'International names may be typed as they are.',
    ],
    required: true,
    free: true,
    checked: true,
    inRecord: true,
    dependsOn: [],
    applies: () => true,
    suggest: (_answers, facts) => facts.mailDomains[0] ?? '',
    choices: (_answers, facts) => domainChoices(facts),
    parse: text => parseDomains(text),
    format: value => value.join(','),
    argv: value => value.flatMap(domain => ['--domain', domain]),
  }),

  selector: define('selector', {
    placeholder: '202611',
    screen: 'selector',
    title: 'What shall the key be called?',
    help: [
      'The selector: a short name, part of the name of the DNS record (NAME._domainkey.example.org) and of every signature.',
      'It lets you have a new key beside the old one when you rotate.',
      'Year and month is a good name.',
      'One that was used before is never taken again.',
    ],
    free: true,
    checked: true,
    inRecord: true,
    dependsOn: ['selectors', 'domains'],
    applies: needsSelector,
    suggest: (_answers, _facts, known) => known.suggestedSelector ?? '',
    parse: text => parseSelector(text),
    format: value => value,
    argv: value => ['--selector', value],
  }),

  key: define('key', {
    placeholder: 'file:/root/dkim.pem',
    title: 'Which kind of key?',
    help: [
      'RSA with 2048 bits is understood by every receiver and is what the large mailbox providers ask for.',
      'Longer keys are slower and make a record that some DNS panels cannot store.',
      'The private half stays on this host, readable only by the signer.',
      'To use a key you have, type file: and the path of its PEM file.',
    ],
    free: true,
    checked: true,
    inRecord: true,
    dependsOn: [],
    applies: () => true,
    suggest: () => 'rsa:2048',
    choices: (answers, facts, domains) => [
      choice('rsa:2048', 'RSA, 2048 bits', sizeHint(2048, answers, domains) ?? 'recommended'),
      choice('rsa:3072', 'RSA, 3072 bits', sizeHint(3072, answers, domains) ?? 'longer record'),
      choice(
        'rsa:4096',
        'RSA, 4096 bits',
        sizeHint(4096, answers, domains) ?? 'some DNS panels cannot store it',
      ),
      choice(
        'ed25519',
        'Ed25519',
        'short',
        SIGNER.algorithmRefusal('ed25519', facts.signer?.version)?.message,
      ),
    ],
    parse: (text, _answers, facts) => parseKey(text, facts),
    format: formatKey,
    argv: keyArgv,
  }),

  settings: define('settings', {
    placeholder: 'recommended',
    title: 'Use the recommended settings?',
    help: [
      `The rest has defaults that suit nearly every mail host: subdomains covered, only this host trusted, a socket where ${MTA} reaches it, relaxed/simple canonicalization, no test mode, no note.`,
      'No asks for each of them, one question after the other.',
    ],
    dependsOn: [],
    applies: () => true,
    suggest: () => 'recommended',
    choices: () => [
      choice('recommended', 'Yes, go on', 'suits nearly every mail host'),
      choice('change', 'No, ask me each', 'seven more questions'),
    ],
    parse: text => {
      const lower = text.trim().toLowerCase();
      if (lower === 'recommended' || lower === 'yes' || lower === 'y') return ok('recommended');
      if (lower === 'change' || lower === 'no' || lower === 'n') return ok('change');
      return refuse(
        'settings.syntax',
        `${quoted(text)} is neither "recommended" nor "change".`,
        'Answer recommended or change.',
      );
    },
    format: value => value,
    argv: () => [],
  }),

  subdomains: define('subdomains', {
    ...answeredByYesOrNo('subdomains', '--no-subdomains', true),
    title: 'May the key sign for subdomains, too?',
    help: [
      'Yes: the key may vouch for user@news.example.org as well.',
      'No puts t=s into the record, and receivers refuse that.',
      'Say no only if you know that no subdomain sends mail.',
    ],
    inRecord: true,
    choices: () => [choice('yes', 'Yes', 'recommended'), choice('no', 'No', 't=s in the record')],
  }),

  trustedHosts: define('trustedHosts', {
    placeholder: '10.9.9.0/24',
    title: 'Which other hosts send through this one?',
    help: [
      'Mail of this host and of users who log in is always signed.',
      'Other machines that relay through it without a login (printers, web servers) must be named: addresses or networks, commas between.',
      'Leave it empty if there are none.',
    ],
    free: true,
    suggest: () => '',
    parse: text => parseTrustedHosts(text),
    format: value => value.join(','),
    argv: value => (value.length === 0 ? [] : ['--trusted-hosts', value.join(',')]),
  }),

  socket: define('socket', {
    placeholder: 'inet:8891',
    title: `How shall ${MTA} reach the signer?`,
    help: [
      `auto keeps a socket that works, else makes a unix socket where even a chrooted ${MTA} can reach it.`,
      'unix always uses that socket file.',
      'inet:8891 uses a TCP port on this host only, which every local user can connect to.',
    ],
    free: true,
    suggest: () => 'auto',
    choices: () => [
      choice('auto', 'Automatic', 'recommended'),
      choice('unix', 'Unix socket', `a file below the ${MTA} queue`),
      choice('inet:8891', 'TCP port 8891', 'on this host only'),
    ],
    parse: text => parseSocket(text),
    format: formatSocket,
    argv: value => (value === 'auto' ? [] : ['--socket', formatSocket(value)]),
  }),

  canonicalization: define('canonicalization', {
    placeholder: 'relaxed/simple',
    title: 'How much change on the way is tolerated?',
    help: [
      'Servers on the way may refold headers or trim blanks.',
      'relaxed forgives that, simple does not; the first word is for the headers, the second for the text.',
      'relaxed/simple is right for nearly everybody; take relaxed/relaxed if your mail passes gateways that touch blanks in the text.',
    ],
    suggest: () => 'relaxed/simple',
    choices: () => [
      choice('relaxed/simple', 'relaxed/simple', 'recommended'),
      choice('relaxed/relaxed', 'relaxed/relaxed', 'most forgiving'),
      choice('simple/simple', 'simple/simple', 'strictest'),
      choice('simple/relaxed', 'simple/relaxed', 'rare'),
    ],
    parse: text => parseCanonicalization(text),
    format: value => value,
    argv: value => (value === 'relaxed/simple' ? [] : ['--canonicalization', value]),
  }),

  testMode: define('testMode', {
    ...answeredByYesOrNo('test-mode', '--test-mode', false),
    title: 'Mark the key as being tested?',
    help: [
      'Yes puts t=y into the record: receivers should treat your mail as if it were not signed.',
      'It is rarely useful, and often forgotten.',
      'waxseal tests the signature on this host anyway.',
    ],
    inRecord: true,
    choices: () => [choice('no', 'No', 'recommended'), choice('yes', 'Yes', 't=y in the record')],
  }),

  note: define('note', {
    placeholder: 'ask hostmaster',
    title: 'A note in the record?',
    help: [
      'A few words for people who look at your DNS, such as "ask hostmaster".',
      'Everybody can read it and no program does.',
      'Leave it empty for none.',
    ],
    free: true,
    inRecord: true,
    suggest: () => '',
    parse: text => parseNote(text),
    format: value => value,
    argv: value => (value === '' ? [] : ['--note', value]),
  }),

  publish: define('publish', {
    placeholder: 'hook:/usr/local/sbin/dns-hook',
    title: 'Who enters the record into the DNS?',
    help: [
      'You, in the panel of your DNS provider, or a program that this host has.',
      'nsupdate key=/etc/bind/dkim.key: where your own server takes updates.',
      'lexicon:hetzner config=/etc/lexicon: through the API of a provider.',
      'hook:/path/of/a/program: for anything else.',
      'Whatever it says, all name servers are asked afterwards.',
    ],
    free: true,
    suggest: (_answers, {publishers = []}) =>
      publishers.find(({remembered}) => remembered)?.publish ?? 'manual',
    choices: (_answers, {publishers = []}) => [
      choice('manual', 'I do', 'the record is shown, to be copied'),
      ...publishers.map(({publish, label, remembered}) =>
        choice(publish, label, remembered ? 'as before' : 'it is on this host'),
      ),
      ...(publishers.some(({publish}) => publish === 'nsupdate')
        ? []
        : [choice('nsupdate', 'nsupdate', 'a dynamic update to the primary (RFC 2136)')]),
    ],
    parse: text => parsePublish(text),
    format: formatPublish,
    argv: publishArgv,
  }),
};

/** The order in which questions come up, are printed and stand in help. */
export const QUESTION_ORDER = Object.keys(QUESTIONS) as readonly QuestionId[];

/** The question of an id, its type forgotten: for those who walk the table. */
export const questionOf = (id: QuestionId): Question => QUESTIONS[id] as unknown as Question;

/** What can be picked now; none before the look, or where nothing is offered. */
export const choicesIn = (
  {answers, facts, domainFacts}: Pick<State, 'answers' | 'facts' | 'domainFacts'>,
  question: Question,
): readonly Choice[] => (facts === undefined ? [] : (question.choices?.(answers, facts, domainFacts) ?? []));

/** A selector after one that is taken: `202611` → `202611a` → … → `202611z`; undefined after the last. */
export function nextSelector(selector: Selector): Selector | undefined {
  const [, stem = '', letter] = /^(.*\d)([a-z])?$/.exec(selector) ?? [];
  if (stem === '' || letter === 'z') return undefined;
  const following = letter === undefined ? 'a' : String.fromCharCode(letter.charCodeAt(0) + 1);
  const next = parseSelector(`${stem}${following}`);
  return next.ok ? next.value : undefined;
}
