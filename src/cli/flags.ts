/**
 * Every flag of the program: parsing, --help and the reference page are made from these. What answers a question is
 * worded there (flow/question-flags.ts); what stands here answers none.
 */
import {type FlagSpec, QUESTION_FLAGS} from '../flow/question-flags.ts';

export type CommandName =
  | 'setup'
  | 'rotate'
  | 'status'
  | 'check'
  | 'explain'
  | 'test'
  | 'record'
  | 'sign'
  | 'verify'
  | 'undo'
  | 'remove'
  | 'export'
  | 'import'
  | 'demo';

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

const OTHER_FLAGS: readonly Flag[] = [
  {name: 'dns', help: 'only the records, of any number of domains', commands: ['check']},
  {name: 'signer', value: 'auto|NAME', help: 'signing program (default: auto)', commands: SETUP},
  {name: 'mta', value: 'auto|NAME', help: 'mail server (default: auto)', commands: SETUP},
  {name: 'tables', value: 'files', help: 'where the tables of the signer are kept', commands: SETUP},
  {
    name: 'wait',
    value: 'DURATION',
    help: 'how long to wait for the record, as 2m or 1h (default without a terminal: 5m)',
    commands: KEYED,
  },
  {name: 'no-wait', help: 'look once and end with exit 3 where the record is not there yet', commands: KEYED},
  {
    name: 'output',
    value: 'FILE',
    help: 'also write the DNS record to this file',
    helpOf: {record: 'write the record to this file', export: 'the file to write'},
    commands: [...SETUP, 'record', 'export'],
  },
  {
    name: 'format',
    value: 'FORM',
    help: 'plain, zone, wrapped, strings, json, nsupdate, route53, terraform, terraform-dns, octodns, dnscontrol, powerdns, pdnsutil, genzone; or cname, dname, ns with --target',
    commands: ['record'],
  },
  {
    name: 'target',
    value: 'NAME',
    repeatable: true,
    help: 'for the forms cname and dname: the zone that keeps the keys; for ns: its servers',
    commands: ['record'],
  },
  {
    name: 'resolver',
    value: 'ADDR',
    repeatable: true,
    help: 'resolver to ask instead of those of this host: ADDR[:PORT], tcp:ADDR, or tls:ADDR#NAME',
    commands: [...KEYED, 'check', 'test', 'verify', 'status', 'record'],
  },
  {
    name: 'resolver-only',
    help: 'where port 53 is blocked, go on by the word of the resolver alone',
    commands: ['setup'],
  },
  {name: 'all', help: 'every domain of this host', commands: ['rotate']},
  {
    name: 'advance',
    help: 'do whatever is due, without asking; safe at any frequency',
    commands: ['rotate'],
  },
  {name: 'standby', help: 'publish the next key in advance, and let it stand by', commands: ['rotate']},
  {
    name: 'emergency',
    help: 'the key is known to others: replace it now and revoke it at once',
    commands: ['rotate'],
  },
  {name: 'shred', help: 'destroy private keys of removed selectors (the default)', commands: ['rotate']},
  {
    name: 'publish-retired',
    help: 'publish private keys of removed selectors, so that their signatures prove nothing',
    commands: ['rotate'],
  },
  {
    name: 'hook-dir',
    value: 'DIR',
    help: 'programs to run at each step (default: /etc/waxseal/hooks.d)',
    commands: ['rotate'],
  },
  {
    name: 'install-timer',
    help: 'install a timer (or a cron line) that runs rotate --advance',
    commands: ['rotate'],
  },
  {
    name: 'check-hosts',
    help: 'whether this host agrees with those that were imported',
    commands: ['rotate'],
  },
  {
    name: 'monitor',
    help: 'one line for Nagios; exit codes 0 ok, 1 warning, 2 critical, 3 unknown',
    commands: ['status'],
  },
  {
    name: 'with-keys',
    help: 'with the private keys that sign; needs --output',
    commands: ['export'],
  },
  {name: 'record', value: 'TXT', help: 'verify against this record instead of the DNS', commands: ['verify']},
  {name: 'explain', help: 'show the canonical header and body hash input', commands: ['verify']},
  {
    name: 'id',
    value: 'RUN',
    help: 'the change to undo, as an operand too (default: the last)',
    commands: ['undo'],
  },
  {
    name: 'merged',
    help: 'put the merged files in place that a refused undo has written',
    commands: ['undo'],
  },
  {name: 'list', help: 'only list what can be undone', commands: ['undo']},
  {
    name: 'client',
    value: 'IP',
    help: 'the client that hands the mail in (default: this host)',
    commands: ['explain'],
  },
  {name: 'authenticated', help: 'the client has logged in', commands: ['explain']},
  {
    name: 'entrance',
    value: 'ID',
    help: 'how the mail comes in: submission, smtp, local, or a service of the mail server',
    commands: ['explain'],
  },
  {
    name: 'to',
    value: 'ADDRESS',
    help: 'recipient of the mail',
    commands: ['explain'],
  },
  {
    name: 'message',
    value: 'FILE',
    help: 'take the sender from this message',
    commands: ['explain'],
  },
  {
    name: 'lag',
    value: 'DURATION',
    help: 'how far the second name server of the sandbox lags behind',
    commands: ['demo'],
  },
  {
    name: 'json',
    help: 'one JSON document on standard output, everything else on standard error',
    commands: 'all',
  },
  {name: 'yes', help: 'agree to the plan without being asked', commands: 'all'},
  {name: 'no-input', help: 'never ask; a missing answer ends with exit 2', commands: 'all'},
  {name: 'dry-run', help: 'show what would be changed and change nothing', commands: 'all'},
  {name: 'root', value: 'DIR', help: 'work on the host whose root is DIR', commands: 'all'},
  {
    name: 'config',
    value: 'FILE',
    help: 'read flags from this file (lines "name = value"); the command line wins',
    commands: 'all',
  },
  {
    name: 'plain',
    help: 'line by line, without moving the cursor (screen reader, serial line)',
    commands: 'all',
  },
  {name: 'ascii', help: 'only ASCII characters on the screen', commands: 'all'},
  {name: 'color', value: 'auto|always|never', help: 'colour (default: auto)', commands: 'all'},
  {name: 'no-color', help: 'the same as --color never', commands: 'all'},
  {name: 'quiet', help: 'no progress, only errors and the result', commands: 'all'},
  {name: 'verbose', help: 'also say which commands are run', commands: 'all'},
  {name: 'log-file', value: 'FILE', help: 'append what is said to this file', commands: 'all'},
  {name: 'help', help: 'show help and end', commands: 'all'},
  {name: 'version', help: 'show the version and end', commands: 'all'},
];

const DOMAINS_FILE: Flag = {
  name: 'domains-file',
  value: 'FILE',
  help: 'file with one domain a line, or CSV: domain,selector',
  commands: [...SETUP, 'check', 'remove'],
};

const [FIRST, ...FURTHER] = Object.values(QUESTION_FLAGS).map(specs => specs.map(flagOf));

/** Every flag: those that answer questions, and those that answer none. */
export const FLAGS: readonly Flag[] = [...(FIRST ?? []), DOMAINS_FILE, ...FURTHER.flat(), ...OTHER_FLAGS];

export const COMMANDS: Readonly<Record<CommandName, string>> = {
  setup: 'set up DKIM for one or more domains, from the first look to the live test',
  rotate: 'start a key rotation, or go on with one',
  status: 'every domain, its key, its state and the next step',
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
};

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
