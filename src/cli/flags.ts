/**
 * Every flag of the program: parsing, --help and the reference page are made from these. What answers a question is
 * worded there (flow/question-flags.ts); what stands here answers none.
 */
import {type FlagSpec, QUESTION_FLAGS} from '../flow/question-flags.ts';

export const COMMANDS = {
  setup: 'set up DKIM for one or more domains, from the first look to the live test',
  rotate: 'start a key rotation, or go on with one',
  status: 'every domain, its key, its state and the next step',
  adopt: 'take up keys that others made; nothing else changes',
  check: 'find what is wrong on this host and in DNS',
  explain: 'would mail from this address be signed, with which key; if not, why',
  test: 'only the live signing test',
  record: 'print the DNS record again',
  sign: 'sign a message from standard input',
  verify: 'verify a message from standard input',
  undo: 'list and undo what waxseal changed on this host',
  remove: 'stop signing for a domain, in the safe order',
  export: 'write what is known of the keys, for another host of the same domains',
  import: 'take up what another host has exported',
  demo: 'the whole job in a sandbox: nothing of this host is touched',
} as const;

export type CommandName = keyof typeof COMMANDS;

export interface Flag {
  readonly name: string;
  /** What stands for the value in --help; absent for a switch. */
  readonly value?: string;
  readonly repeatable?: boolean;
  readonly help: string;
  /** Other words for a command in which it means something more special. */
  readonly helpOf?: Readonly<Partial<Record<CommandName, string>>>;
  /** Commands that take it; `all` for the shared ones. */
  readonly commands: readonly CommandName[] | 'all';
}

const SETUP: readonly CommandName[] = ['setup', 'demo'];
const KEYED: readonly CommandName[] = ['setup', 'demo', 'rotate'];
/** Those that may have a record entered or withdrawn by a program. */
const PUBLISHING: readonly CommandName[] = [...KEYED, 'remove'];
const ONLY_DOMAIN = 'only this domain; may be given many times';
const ONE_DOMAIN: readonly CommandName[] = [
  'record',
  'test',
  'status',
  'adopt',
  'check',
  'rotate',
  'remove',
  'export',
];

/** Where a flag of a question is taken, and what it means elsewhere than in a set-up. */
type Use = Pick<Flag, 'commands' | 'helpOf'>;

const FOR_KEY: Use = {commands: KEYED};
const FOR_PUBLISHING: Use = {commands: PUBLISHING};

/** The flags of questions that other commands take as well; those of the rest belong to the set-up alone. */
const USES: Readonly<Record<string, Use>> = {
  domain: {
    commands: [...SETUP, ...ONE_DOMAIN, 'sign'],
    helpOf: {
      sign: 'domain that signs (d=)',
      record: 'only the records of this domain; may be given many times',
      test: ONLY_DOMAIN,
      status: ONLY_DOMAIN,
      adopt: ONLY_DOMAIN,
      check: ONLY_DOMAIN,
      export: ONLY_DOMAIN,
      rotate: 'rotate the key of this domain; may be given many times',
      remove: 'domain to stop signing; may be given many times',
    },
  },
  selector: {
    commands: [...KEYED, 'sign', 'record', 'check'],
    helpOf: {
      rotate: 'selector of the new key (default: year and month)',
      sign: 'selector under which the key is published (s=)',
      record: 'only the record of this selector',
      check: 'selector to look at, of a domain this host does not sign for',
    },
  },
  algorithm: FOR_KEY,
  bits: FOR_KEY,
  key: {commands: [...SETUP, 'sign'], helpOf: {sign: 'private key to sign with (PEM)'}},
  canonicalization: {
    commands: [...SETUP, 'sign'],
    helpOf: {sign: 'relaxed or simple, header/body (default: relaxed/relaxed)'},
  },
  publish: FOR_PUBLISHING,
  'tsig-key': FOR_PUBLISHING,
  'update-server': FOR_PUBLISHING,
  'update-ttl': FOR_PUBLISHING,
  'lexicon-config': FOR_PUBLISHING,
};

function flagOf({flag, metavar, repeatable, help}: FlagSpec): Flag {
  const name = flag.slice('--'.length);
  return {
    name,
    ...(metavar === undefined ? {} : {value: metavar}),
    ...(repeatable ? {repeatable} : {}),
    help,
    commands: SETUP,
    ...USES[name],
  };
}

/** `flag`: its name, and what stands for its value where it takes one. */
const own = (
  commands: Flag['commands'],
  flag: string,
  help: string,
  more: Pick<Flag, 'repeatable' | 'helpOf'> = {},
): Flag => {
  const [name = '', value] = flag.split(' ');
  return {name, ...(value === undefined ? {} : {value}), help, commands, ...more};
};

const OTHER_FLAGS: readonly Flag[] = [
  own(['check'], 'dns', 'only the records, of any number of domains'),
  own(SETUP, 'signer auto|NAME', 'signing program (default: auto)'),
  own(SETUP, 'mta auto|NAME', 'mail server (default: auto)'),
  own(SETUP, 'tables files', 'where the tables of the signer are kept'),
  own(
    KEYED,
    'wait DURATION',
    'how long to wait for the record, as 2m or 1h (default without a terminal: 5m)',
  ),
  own(KEYED, 'no-wait', 'look once and end with exit 3 where the record is not there yet'),
  own([...SETUP, 'record', 'export'], 'output FILE', 'also write the DNS record to this file', {
    helpOf: {record: 'write the record to this file', export: 'the file to write'},
  }),
  own(
    ['record'],
    'format FORM',
    'plain, zone, wrapped, strings, json, nsupdate, route53, terraform, terraform-dns, octodns, dnscontrol, powerdns, pdnsutil, genzone; or cname, dname, ns with --target',
  ),
  own(
    ['record'],
    'target NAME',
    'for the forms cname and dname: the zone that keeps the keys; for ns: its servers',
    {repeatable: true},
  ),
  own(
    [...KEYED, 'adopt', 'check', 'test', 'verify', 'status', 'record'],
    'resolver ADDR',
    'resolver to ask instead of those of this host: ADDR[:PORT], tcp:ADDR, or tls:ADDR#NAME',
    {repeatable: true},
  ),
  own(['setup'], 'resolver-only', 'where port 53 is blocked, go on by the word of the resolver alone'),
  own(['rotate'], 'all', 'every domain of this host'),
  own(['rotate'], 'advance', 'do whatever is due, without asking; safe at any frequency'),
  own(['rotate'], 'standby', 'publish the next key in advance, and let it stand by'),
  own(['rotate'], 'emergency', 'the key is known to others: replace it now and revoke it at once'),
  own(['rotate'], 'shred', 'destroy private keys of removed selectors (the default)'),
  own(
    ['rotate'],
    'publish-retired',
    'publish private keys of removed selectors, so that their signatures prove nothing',
  ),
  own(['rotate'], 'hook-dir DIR', 'programs to run at each step (default: /etc/waxseal/hooks.d)'),
  own(['rotate'], 'install-timer', 'install a timer (or a cron line) that runs rotate --advance'),
  own(['rotate'], 'check-hosts', 'whether this host agrees with those that were imported'),
  own(['status'], 'monitor', 'one line for Nagios; exit codes 0 ok, 1 warning, 2 critical, 3 unknown'),
  own(['adopt'], 'release', 'forget adopted keys again; they sign as before'),
  own(['export'], 'with-keys', 'with the private keys that sign; needs --output'),
  own(['verify'], 'record TXT', 'verify against this record instead of the DNS'),
  own(['verify'], 'explain', 'show the canonical header and body hash input'),
  own(['undo'], 'id RUN', 'the change to undo, as an operand too (default: the last)'),
  own(['undo'], 'merged', 'put the merged files in place that a refused undo has written'),
  own(['undo'], 'list', 'only list what can be undone'),
  own(['explain'], 'client IP', 'the client that hands the mail in (default: this host)'),
  own(['explain'], 'authenticated', 'the client has logged in'),
  own(['explain'], 'login NAME', 'the name it has logged in with (default: the address in From)'),
  own(['explain'], 'envelope ADDRESS', 'sender of the envelope (default: that of From; <> for a bounce)'),
  own(
    ['explain'],
    'entrance ID',
    'how the mail comes in: submission, smtp, local, or a service of the mail server',
  ),
  own(['explain'], 'to ADDRESS', 'recipient of the mail'),
  own(['explain'], 'message FILE', 'take the sender from this message'),
  own(['demo'], 'lag DURATION', 'how far the second name server of the sandbox lags behind'),
  own('all', 'json', 'one JSON document on standard output, everything else on standard error'),
  own('all', 'yes', 'agree to the plan without being asked'),
  own('all', 'no-input', 'never ask; a missing answer ends with exit 2'),
  own('all', 'dry-run', 'show what would be changed and change nothing'),
  own('all', 'root DIR', 'work on the host whose root is DIR'),
  own('all', 'config FILE', 'read flags from this file (lines "name = value"); the command line wins'),
  own('all', 'plain', 'line by line, without moving the cursor (screen reader, serial line)'),
  own('all', 'ascii', 'only ASCII characters on the screen'),
  own('all', 'color auto|always|never', 'colour (default: auto)'),
  own('all', 'no-color', 'the same as --color never'),
  own('all', 'quiet', 'no progress, only errors and the result'),
  own('all', 'verbose', 'also say which commands are run'),
  own('all', 'log-file FILE', 'append what is said to this file'),
  own('all', 'help', 'show help and end'),
  own('all', 'version', 'show the version and end'),
];

const DOMAINS_FILE = own(
  [...SETUP, 'check', 'remove'],
  'domains-file FILE',
  'file with one domain a line, or CSV: domain,selector',
);

const [FIRST, ...FURTHER] = Object.values(QUESTION_FLAGS).map(specs => specs.map(flagOf));

/** Every flag: those that answer questions, and those that answer none. */
export const FLAGS: readonly Flag[] = [...(FIRST ?? []), DOMAINS_FILE, ...FURTHER.flat(), ...OTHER_FLAGS];

/** The one operand that a command may have, as help writes it; all others take none. */
export const OPERAND: Readonly<Partial<Record<CommandName, string>>> = {
  explain: '[FROM|QUEUE-ID]',
  sign: '[FILE]',
  verify: '[FILE]',
  undo: '[RUN]',
  import: 'FILE',
};

/** What --help says of a flag of this command. */
export const helpOf = (flag: Flag, command: CommandName): string => flag.helpOf?.[command] ?? flag.help;

export const takes = (flag: Flag, command: CommandName): boolean =>
  flag.commands === 'all' || flag.commands.includes(command);
