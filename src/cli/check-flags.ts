/** What is wrong with a command line beyond its spelling: values out of a fixed list, flags that exclude each other. */
import {visible} from '../domain/text.ts';
import {type FlagValues, isSet, textOf} from './arguments.ts';
import {type CommandName, OPERAND} from './flags.ts';
import {usage} from './usage.ts';

export interface OneOf {
  readonly flag: string;
  readonly values: readonly string[];
  /** What is said of any other value, as a sentence. */
  readonly otherwise: string;
}

const ONE_OF: readonly OneOf[] = [
  {flag: 'color', values: ['auto', 'always', 'never'], otherwise: 'That is no way to choose colour.'},
  {
    flag: 'other-signer',
    values: ['switch', 'leave'],
    otherwise: 'That is nothing that can be done with another signer.',
  },
  {
    flag: 'tables',
    values: ['files'],
    otherwise: 'This version of waxseal keeps the tables of the signer in files only.',
  },
];

/** Throws UsageError that names the flag or operand. */
export function checkFlags(command: CommandName, flags: FlagValues, operands: readonly string[]): void {
  for (const each of ONE_OF) checkOneOf(flags, each);
  if (isSet(flags, 'wait') && isSet(flags, 'no-wait')) {
    throw usage('usage.value', '--wait and --no-wait exclude each other.', 'Give one of them.');
  }
  const publish = textOf(flags, 'publish');
  if (command === 'demo' && publish !== undefined && publish !== 'manual') {
    throw usage(
      'usage.value',
      'The sandbox publishes its records itself.',
      'Leave --publish out; it is for setup and rotate.',
    );
  }
  const extra = operands[OPERAND[command] === undefined ? 0 : 1];
  if (extra !== undefined) {
    throw usage(
      'usage.operand',
      `"${visible(extra)}" is one word too many for "${command}".`,
      `Run waxseal ${command} --help for its flags.`,
    );
  }
}

/** Throws UsageError where the flag is given with another value. */
export function checkOneOf(flags: FlagValues, {flag, values, otherwise}: OneOf): void {
  const value = textOf(flags, flag);
  if (value === undefined || values.includes(value)) return;
  throw usage(
    'usage.value',
    `--${flag} ${visible(value)}: ${otherwise}`,
    `Use --${flag} ${values.join(' or ')}.`,
  );
}
