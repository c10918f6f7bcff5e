/**
 * Every path that can be given on the command line, leading to something that is no file of the person: waxseal ends
 * with an error that says so, and does not wait. A new flag that takes a path fails here until it is tried, too.
 */
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {describe, expect, it, vi} from 'vitest';
import {FLAGS, OPERAND} from '../../src/cli/flags.ts';
import {openWorld, type World} from '../demo/world.ts';

// For what hangs: some of these look at the whole host first, three times.
vi.setConfig({testTimeout: 300_000});

/** A command that takes the path, by the name of the flag, or by the name of the command where it is an operand. */
const READING: Readonly<Record<string, (at: string) => readonly string[]>> = {
  config: at => ['status', '--config', at],
  'domains-file': at => ['check', '--dns', '--domains-file', at],
  key: at => ['setup', '--yes', '--domain', 'example.org', '--key', at],
  'sign --key': at => ['sign', '--domain', 'example.org', '--selector', 's', '--key', at],
  import: at => ['import', at],
};
const MESSAGES: Readonly<Record<string, (at: string) => readonly string[]>> = {
  verify: at => ['verify', at],
  sign: at => ['sign', '--domain', 'example.org', '--selector', 's', '--key', at, at],
};
const WRITING: Readonly<Record<string, (at: string) => readonly string[]>> = {
  output: at => ['export', '--output', at],
  'log-file': at => ['status', '--log-file', at],
};
/** Never opened by waxseal itself, and judged at other places: `hook-dir` and `tsig-key` before they are used. */
const ELSEWHERE: readonly string[] = ['tsig-key', 'lexicon-config', 'hook-dir', 'root'];

it('knows every flag and operand that is a path', () => {
  const flags = FLAGS.filter(({value}) => value === 'FILE' || value === 'DIR').map(({name}) => name);
  const operands = Object.entries(OPERAND).flatMap(([name, what]) => (what.includes('FILE') ? [name] : []));
  const tried = [READING, MESSAGES, WRITING].flatMap(each => Object.keys(each));
  expect([...flags, ...operands].filter(each => !tried.includes(each) && !ELSEWHERE.includes(each))).toEqual(
    [],
  );
});

async function ended(world: World, argv: readonly string[]): Promise<string> {
  const {exitCode, out, err} = await world.run([...argv, '--no-input'], {input: ''});
  expect([2, 5], `${out}${err}`).toContain(exitCode);
  return `${out}${err}`;
}

const all = Object.entries({...READING, ...MESSAGES, ...WRITING});

describe.each(all)('%s', (name, argv) => {
  it('does not wait for a FIFO, a socket, a directory', async () => {
    const world = await openWorld();
    const at = (what: string): string => path.join(world.home, what);
    execFileSync('mkfifo', [at('fifo')]);
    fs.mkdirSync(at('directory'));
    for (const what of ['fifo', 'directory']) {
      expect(await ended(world, argv(at(what))), what).toMatch(/not a regular file|is there already/);
    }
    expect(await ended(world, argv('/dev/zero'))).toMatch(/not a regular file|is there already/);
    expect(fs.readdirSync(world.home).sort()).toEqual(['directory', 'fifo']);
  });

  it.runIf(process.getuid?.() === 0)('goes through no link of somebody else', async () => {
    const world = await openWorld();
    const theirs = path.join(world.home, 'theirs');
    fs.mkdirSync(theirs);
    const secret = path.join(world.home, 'secret');
    fs.writeFileSync(secret, 'secret-of-root', {mode: 0o600});
    const link = path.join(theirs, 'link');
    fs.symlinkSync(secret, link);
    fs.lchownSync(link, 104, 110);
    fs.chownSync(theirs, 104, 110);
    const said = await ended(world, argv(link));
    expect(said).toMatch(/symbolic link|is there already/);
    expect(said).not.toContain('secret-of-root');
    expect(fs.readFileSync(secret, 'utf8')).toBe('secret-of-root');
    expect(name).not.toBe('');
  });
});

it.each(Object.entries(READING))('%s: what everybody could write decides nothing', async (_name, argv) => {
  const world = await openWorld();
  const file = path.join(world.home, 'file');
  fs.writeFileSync(file, 'plain = true\n');
  fs.chmodSync(file, 0o666);
  expect(await ended(world, argv(file))).toContain(`chmod o-w ${file}`);
});

it.each([
  ['everybody can write', 0o606, 'chmod 0600'],
  ['everybody can read', 0o604, 'chmod 0600'],
])('logs into no file that %s', async (_who, mode, hint) => {
  const world = await openWorld();
  const file = path.join(world.home, 'log');
  fs.writeFileSync(file, '');
  fs.chmodSync(file, mode);
  expect(await ended(world, ['status', '--log-file', file])).toContain(`${hint} ${file}`);
  expect(fs.readFileSync(file, 'utf8')).toBe('');
});
