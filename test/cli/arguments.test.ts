import {describe, expect, it} from 'vitest';
import {argumentsFromFile, listOf, parseArguments, suggest, textOf} from '../../src/cli/arguments.ts';
import {checkFlags} from '../../src/cli/check-flags.ts';
import {COMMANDS, type CommandName, FLAGS} from '../../src/cli/flags.ts';
import {EXAMPLES, helpText} from '../../src/cli/help.ts';
import {UsageError} from '../../src/domain/errors.ts';

const refusal = (...argv: readonly string[]): string => {
  try {
    parseArguments(argv);
  } catch (error) {
    if (error instanceof UsageError) return `${error.exitCode} ${error.id}: ${error.message} ${error.hint}`;
    throw error;
  }
  return 'accepted';
};

describe('parseArguments', () => {
  it('reads a command, its flags and repeated domains', () => {
    const {command, flags} = parseArguments([
      'setup',
      '--domain',
      'a.example',
      '--domain=b.example',
      '--yes',
      '--wait',
      '2m',
    ]);
    expect(command).toBe('setup');
    expect(listOf(flags, 'domain')).toEqual(['a.example', 'b.example']);
    expect(textOf(flags, 'domain')).toBe('a.example,b.example');
    expect(textOf(flags, 'wait')).toBe('2m');
    expect(flags['yes']).toBe(true);
  });

  it('takes flags before the command, and no command at all', () => {
    expect(parseArguments(['--json', 'status']).command).toBe('status');
    expect(parseArguments([]).command).toBeUndefined();
    expect(parseArguments(['-h']).flags['help']).toBe(true);
    expect(parseArguments(['-V']).flags['version']).toBe(true);
  });

  it('takes help as a word, alone and with a command', () => {
    expect(parseArguments(['help'])).toMatchObject({command: undefined, flags: {help: true}});
    expect(parseArguments(['help', 'setup'])).toMatchObject({
      command: 'setup',
      flags: {help: true},
      operands: [],
    });
    expect(refusal('help', 'setpu')).toMatch(/Did you mean setup\?/);
  });

  it.each([
    [['setup', '--domian', 'x'], /no flag --domian.*Did you mean --domain\?/],
    [['setpu'], /no command "setpu".*Did you mean setup\?/],
    [['frobnicate'], /no command.*waxseal --help/],
    [['setup', '--domain'], /--domain needs a value.*--domain DOMAIN/],
    [['setup', '--yes=1'], /--yes takes no value/],
    [['status', '--bits', '2048'], /--bits does not belong to "status".*setup, demo, rotate/],
    [['setup', '--\u001b[31m'], /no flag/],
  ])('refuses %j with exit 2 and what to do', (argv, reason) => {
    expect(refusal(...argv)).toMatch(reason);
    expect(refusal(...argv)).toMatch(/^2 usage\./);
    expect(refusal(...argv)).not.toContain('\u001b');
  });
});

describe('argumentsFromFile', () => {
  it('reads flags, switches, comments and quotes', () => {
    const text = '# mail\ndomain = example.org\n--wait=10m\nyes\njson = no\nnote = "a b"\n\n';
    expect(argumentsFromFile(text, 'f')).toEqual([
      '--domain=example.org',
      '--wait=10m',
      '--yes',
      '--note=a b',
    ]);
  });

  it.each(['domian = x', 'config = x', 'domain example.org', '= x'])(
    'refuses the line %j and names it',
    line => {
      expect(() => argumentsFromFile(`# one\n${line}\n`, '/etc/waxseal.conf')).toThrow(
        /Line 2 of \/etc\/waxseal\.conf/,
      );
    },
  );
});

describe('suggest', () => {
  it('finds the nearest within two edits, and nothing farther', () => {
    expect(suggest('stauts', Object.keys(COMMANDS))).toBe('Did you mean status?');
    expect(suggest('xyzzy', Object.keys(COMMANDS))).toBeUndefined();
  });
});

describe('help', () => {
  it.each([undefined, ...(Object.keys(COMMANDS) as CommandName[])])(
    'of %s fits 79 columns',
    async command => {
      const text = helpText(command);
      expect(Math.max(...text.split('\n').map(line => line.length))).toBeLessThan(80);
      await expect(`${text}\n`).toMatchFileSnapshot(`../../snapshots/cli/help-${command ?? 'waxseal'}.txt`);
    },
  );

  it.each(
    Object.entries(EXAMPLES).flatMap(([name, lines]) => lines.map(([, line]) => [name, line] as const)),
  )('of %s has an example that is taken: %s', (name, line) => {
    const [program, ...argv] = line.split(' ');
    const {command, flags, operands} = parseArguments(argv);
    expect([program, command]).toEqual(['waxseal', name]);
    if (command !== undefined) checkFlags(command, flags, operands);
  });

  it('says something of every flag and command', () => {
    expect(FLAGS.filter(({help}) => help.length < 8)).toEqual([]);
    expect(new Set(FLAGS.map(({name}) => name)).size).toBe(FLAGS.length);
  });
});
