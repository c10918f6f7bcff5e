import {execFileSync} from 'node:child_process';
import {expect, it} from 'vitest';
import {command} from '../../src/domain/command.ts';
import {visible} from '../../src/domain/text.ts';
import {fc} from '../support/fast-check.ts';

it('leaves plain words as they are and quotes the others', () => {
  expect(command('chown', 'root:root', '/etc/opendkim')).toBe('chown root:root /etc/opendkim');
  expect(command('rm', "/tmp/it's mine; rm x")).toBe("rm '/tmp/it'\\''s mine; rm x'");
  expect(command('rm', 'a\nb\u202e')).toBe("rm $'a\\x0ab\\xe2\\x80\\xae'");
  expect(command('waxseal', '')).toBe("waxseal ''");
});

it('does in a shell what it shows, whatever the words are', () => {
  const word = fc.string({unit: 'binary', maxLength: 12}).map(text => text.replaceAll('\0', ''));
  const lists = fc.sample(fc.array(word, {maxLength: 4}), 500);
  const lines = lists.map(words => command('printf', '%s\\0', '-', ...words));
  for (const line of lines) expect(visible(line)).toBe(line);
  // All of them in one shell: a process each would take a minute.
  const out = execFileSync('bash', ['--norc', '-c', lines.join('\n')], {
    encoding: 'utf8',
    env: {PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8'},
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  expect(out.split('\0').slice(0, -1)).toEqual(lists.flatMap(words => ['-', ...words]));
});
