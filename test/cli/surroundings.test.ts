import {describe, expect, it} from 'vitest';
import {chooseView} from '../../src/cli/choose-view.ts';
import {decideColor} from '../../src/cli/color.ts';

const terminal = {stdinIsTerminal: true, stdoutIsTerminal: true, term: 'xterm-256color', ci: false};
const no = {json: false, plain: false, noInput: false};

describe('chooseView', () => {
  it.each([
    ['a terminal gets Ink', no, terminal, {view: 'tui', interactive: true}],
    [
      'H6: a pipe on stdout gets plain lines',
      no,
      {...terminal, stdoutIsTerminal: false},
      {view: 'plain', interactive: false},
    ],
    [
      'H6: no terminal on stdin gets plain lines',
      no,
      {...terminal, stdinIsTerminal: false},
      {view: 'plain', interactive: false},
    ],
    [
      'H19: TERM=dumb is asked line by line',
      no,
      {...terminal, term: 'dumb'},
      {view: 'plain', interactive: true},
    ],
    ['no TERM at all', no, {...terminal, term: undefined}, {view: 'plain', interactive: true}],
    ['CI is never asked', no, {...terminal, ci: true}, {view: 'plain', interactive: false}],
    ['--plain', {...no, plain: true}, terminal, {view: 'plain', interactive: true}],
    ['--no-input', {...no, noInput: true}, terminal, {view: 'plain', interactive: false}],
    ['--json', {...no, json: true}, terminal, {view: 'json', interactive: false}],
  ] as const)('%s', (_, flags, around, chosen) => {
    expect(chooseView(flags, around)).toEqual(chosen);
  });
});

describe('decideColor (H7, H8)', () => {
  it.each([
    [[], {}, true, true],
    [[], {}, false, false],
    [[], {NO_COLOR: '1'}, true, false],
    [[], {NO_COLOR: ''}, true, true],
    [['--color', 'always'], {NO_COLOR: '1'}, false, true],
    [['--color=never'], {}, true, false],
    [['--no-color'], {}, true, false],
    [['--color=never', '--color=always'], {}, false, true],
    [[], {TERM: 'dumb'}, true, false],
    [[], {CI: 'false'}, true, true],
    [[], {FORCE_COLOR: '0'}, true, false],
    [['--', '--no-color'], {}, true, true],
  ] as const)('argv %j, environment %j, terminal %j: %j', (argv, variables, isTerminal, expected) => {
    const environment: Record<string, string | undefined> = {...variables};
    expect(decideColor(argv, environment, isTerminal)).toBe(expected);
    expect(environment['FORCE_COLOR']).toBe(expected ? '1' : '0');
    expect(environment['NO_COLOR']).toBeUndefined();
  });
});
