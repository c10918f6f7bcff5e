import {COMMANDS, type CommandName, FLAGS, type Flag, takes} from './flags.ts';

const left = (flag: Flag): string => `--${flag.name}${flag.value === undefined ? '' : ` ${flag.value}`}`;

/** Wraps `text` to `width` columns; lines after the first begin with `indent` blanks. */
function wrapped(head: string, text: string, column: number, width = 79): string {
  const lines: string[] = [];
  let line = head.length < column - 1 ? head.padEnd(column) : head;
  if (head.length >= column - 1) {
    lines.push(line);
    line = ' '.repeat(column);
  }
  for (const word of text.split(' ')) {
    if (line.length + word.length + 1 > width && line.trim() !== '') {
      lines.push(line.trimEnd());
      line = ' '.repeat(column);
    }
    line += line === '' || line.endsWith(' ') ? word : ` ${word}`;
  }
  return [...lines, line].join('\n');
}

export const OPERAND: Readonly<Partial<Record<CommandName, string>>> = {
  explain: ' FROM',
  sign: ' [FILE]',
  verify: ' [FILE]',
  undo: ' [RUN]',
};

/** Help for the program or one command, 79 columns at most. */
export function helpText(command: CommandName | undefined): string {
  const shared = FLAGS.filter(flag => flag.commands === 'all');
  const rows = (flags: readonly Flag[]): string =>
    flags.map(flag => wrapped(`  ${left(flag)}`, flag.help, 26)).join('\n');
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
    wrapped('', `waxseal ${command}: ${COMMANDS[command]}`, 0),
    '',
    `Usage: waxseal ${command} [FLAGS]${OPERAND[command] ?? ''}`,
    ...(own.length === 0 ? [] : ['', 'Flags:', rows(own)]),
    '',
    'Flags of every command:',
    rows(shared),
  ].join('\n');
}
