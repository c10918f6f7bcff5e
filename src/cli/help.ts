import {folded} from '../domain/text.ts';
import {COMMANDS, type CommandName, FLAGS, type Flag, helpOf, OPERAND, takes} from './flags.ts';

const left = (flag: Flag): string => `--${flag.name}${flag.value === undefined ? '' : ` ${flag.value}`}`;

/** `text` from `column` on, within 79 columns; below `head` where that is too long to stand beside it. */
function wrapped(head: string, text: string, column: number): string {
  const indent = ' '.repeat(column);
  const below = folded(text, 79 - column).replaceAll('\n', `\n${indent}`);
  return head.length < column - 1 ? head.padEnd(column) + below : `${head}\n${indent}${below}`;
}

/** Command lines that people need, a job each: what it is for, and the line (79 columns with two blanks before it). */
export const EXAMPLES: Readonly<Record<CommandName, readonly (readonly [job: string, line: string])[]>> = {
  setup: [
    ['Step by step, on a terminal', 'waxseal setup'],
    [
      'Without a terminal; exit 3: publish the record, then the same again',
      'waxseal setup --domain example.com --yes',
    ],
    ['Every domain of a file, what would be changed', 'waxseal setup --domains-file domains.txt --dry-run'],
  ],
  rotate: [
    ['A new key for one domain', 'waxseal rotate --domain example.com'],
    ['The key has leaked', 'waxseal rotate --domain example.com --emergency'],
    ['Do by itself whatever is due, from now on', 'waxseal rotate --install-timer'],
  ],
  status: [
    ['All domains', 'waxseal status'],
    ['For a monitoring system', 'waxseal status --monitor'],
  ],
  adopt: [
    ['Every key that signs here', 'waxseal adopt'],
    ['Have waxseal forget one again', 'waxseal adopt --release --domain example.com'],
  ],
  check: [
    ['This host and its records', 'waxseal check'],
    ['Only one record, of whatever domain', 'waxseal check --dns --domain example.com --selector 202611'],
  ],
  explain: [
    ['Mail that a program of this host sends', 'waxseal explain alice@example.com'],
    [
      'Mail of a client that has logged in',
      'waxseal explain alice@example.com --client 192.0.2.7 --authenticated',
    ],
    ['A message that waits in the queue', 'waxseal explain 4XyZ1T2abcz9Q'],
  ],
  test: [['All domains', 'waxseal test']],
  record: [['As lines of a zone file', 'waxseal record --domain example.com --format zone']],
  sign: [
    [
      'Writes the signed message to standard output',
      'waxseal sign --key k.pem --domain example.com --selector 202611 message.eml',
    ],
  ],
  verify: [
    ['Asks the DNS for the key', 'waxseal verify message.eml'],
    ['Shows what was hashed, to compare two programs', 'waxseal verify --explain message.eml'],
  ],
  undo: [
    ['What was done when', 'waxseal undo --list'],
    ['What undoing the last change would do', 'waxseal undo --dry-run'],
  ],
  remove: [['What would be changed', 'waxseal remove --domain example.com --dry-run']],
  export: [['The keys too, for a second mail host', 'waxseal export --with-keys --output keys.json']],
  import: [['On the second host', 'waxseal import keys.json']],
  demo: [
    ['Step by step', 'waxseal demo'],
    ['The whole job by itself', 'waxseal demo --no-input'],
  ],
};

/** Help for the program or one command, 79 columns at most. */
export function helpText(command: CommandName | undefined): string {
  const shared = FLAGS.filter(flag => flag.commands === 'all');
  const rows = (flags: readonly Flag[]): string =>
    flags
      .map(flag => wrapped(`  ${left(flag)}`, command === undefined ? flag.help : helpOf(flag, command), 26))
      .join('\n');
  if (command === undefined) {
    return [
      'waxseal sets up DKIM on a mail host, proves that it works and rotates keys.',
      '',
      'Usage: waxseal [COMMAND] [FLAGS]',
      '',
      'Without a command, on a terminal, it opens the wizard. Nothing is changed',
      'before you have seen the plan and agreed to it.',
      '',
      'Commands:',
      ...Object.entries(COMMANDS).map(([name, help]) => wrapped(`  ${name}`, help, 12)),
      '',
      'Flags of every command:',
      rows(shared),
      '',
      'waxseal COMMAND --help shows the flags of one command. Try "waxseal demo"',
      'first: it runs the whole wizard in a sandbox and touches nothing.',
      '',
      'Exit codes: 0 done, 1 fault, 2 usage, 3 record not visible yet, 4 problems',
      'found, 5 host not ready, 6 failed and put back, 7 failed and not whole,',
      '8 locked, 9 declined.',
    ].join('\n');
  }
  const own = FLAGS.filter(flag => flag.commands !== 'all' && takes(flag, command));
  return [
    folded(`waxseal ${command}: ${COMMANDS[command]}`),
    '',
    `Usage: waxseal ${command} [FLAGS]${OPERAND[command] === undefined ? '' : ` ${OPERAND[command]}`}`,
    ...(own.length === 0 ? [] : ['', 'Flags:', rows(own)]),
    '',
    'Examples:',
    EXAMPLES[command].map(([job, line]) => `  # ${job}\n  ${line}`).join('\n'),
    '',
    'Flags of every command:',
    rows(shared),
  ].join('\n');
}
