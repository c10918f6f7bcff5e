/** Pages that are made from the tables of the program: the reference of commands and the manual page. */
import {COMMANDS, type CommandName, FLAGS, type Flag, helpOf, OPERAND, takes} from '../../src/cli/flags.ts';
import {EXAMPLES} from '../../src/cli/help.ts';

const NAMES = Object.keys(COMMANDS) as CommandName[];

const flagText = ({name, value}: Flag): string => `--${name}${value === undefined ? '' : ` ${value}`}`;

const ownFlags = (command: CommandName): readonly Flag[] =>
  FLAGS.filter(flag => flag.commands !== 'all' && takes(flag, command));

const shared = FLAGS.filter(flag => flag.commands === 'all');

const operand = (command: CommandName): string =>
  OPERAND[command] === undefined ? '' : ` ${OPERAND[command]}`;

const said = (flag: Flag, command: CommandName | undefined): string =>
  command === undefined ? flag.help : helpOf(flag, command);

const table = (flags: readonly Flag[], command?: CommandName): readonly string[] => [
  '| flag | |',
  '|---|---|',
  ...flags.map(
    flag =>
      `| \`${flagText(flag).replaceAll('|', '\\|')}\`${flag.repeatable === true ? ' …' : ''} | ${said(flag, command)} |`,
  ),
];

/** docs/reference/commands.md. */
export function commandsPage(): string {
  const sections = NAMES.flatMap(name => [
    `## waxseal ${name}${operand(name)}`,
    '',
    `${COMMANDS[name].charAt(0).toUpperCase()}${COMMANDS[name].slice(1)}.`,
    '',
    ...(ownFlags(name).length === 0 ? [] : [...table(ownFlags(name), name), '']),
  ]);
  return [
    '# Commands and flags',
    '',
    '`waxseal` alone, on a terminal, opens the wizard. Flags may stand before or after the command; `…` marks those that',
    'may be given many times. This page is made from the table that parses them.',
    '',
    ...sections,
    '## Flags of every command',
    '',
    ...table(shared),
    '',
    'Exit codes are listed in [exit codes](exit-codes.md), the JSON document in [JSON](json.md).',
    '',
  ].join('\n');
}

const roff = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/, '\\&$1');

const roffFlag = (flag: Flag, command?: CommandName): readonly string[] => {
  const value = flag.value === undefined ? '' : ` \\fI${roff(flag.value)}\\fR`;
  return ['.TP', `\\fB\\-\\-${roff(flag.name)}\\fR${value}`, roff(said(flag, command))];
};

/** docs/man/waxseal.8. */
export function manPage(): string {
  return [
    '.TH WAXSEAL 8',
    '.SH NAME',
    'waxseal \\- set up DKIM on a mail host, prove that it works and rotate the keys',
    '.SH SYNOPSIS',
    '\\fBwaxseal\\fR [\\fICOMMAND\\fR] [\\fIFLAGS\\fR]',
    '.SH DESCRIPTION',
    'Without a command, on a terminal, it opens the wizard.',
    'Nothing is changed before you have seen the plan and agreed to it.',
    'A key never signs before its record is visible on every authoritative name server.',
    '.SH COMMANDS',
    ...NAMES.flatMap(name => [
      `.SS waxseal ${name}${roff(operand(name))}`,
      roff(COMMANDS[name]),
      ...ownFlags(name).flatMap(flag => roffFlag(flag, name)),
    ]),
    '.SH FLAGS OF EVERY COMMAND',
    ...shared.flatMap(flag => roffFlag(flag)),
    '.SH EXAMPLES',
    ...NAMES.flatMap(name =>
      EXAMPLES[name].flatMap(([job, line]) => ['.TP', roff(job), `\\fB${roff(line)}\\fR`]),
    ),
    '.SH EXIT STATUS',
    ...EXIT_CODES.flatMap(([code, meaning]) => ['.TP', code, roff(meaning)]),
    '.SH FILES',
    '.TP',
    '.I /var/lib/waxseal',
    'keys, state, journals and backups; root only',
    '.SH SEE ALSO',
    '.BR opendkim (8),',
    '.BR opendkim.conf (5),',
    '.BR postconf (5)',
    '',
  ].join('\n');
}

const EXIT_CODES: readonly (readonly [string, string])[] = [
  ['0', 'done, or nothing to do'],
  ['1', 'a fault in waxseal itself'],
  ['2', 'usage: a flag is missing, unknown or invalid'],
  ['3', 'the record is not yet visible on every authoritative server; run again'],
  ['4', 'problems found'],
  ['5', 'the host lacks something'],
  ['6', 'a change failed; everything was put back'],
  ['7', 'a change failed and could not be put back whole'],
  ['8', 'another run holds the lock'],
  ['9', 'the plan was declined'],
  ['130, 143', 'ended by a signal, after clean-up'],
];
