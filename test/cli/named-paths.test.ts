/**
 * Every path that can be given on the command line, leading to something that is no file of the person: waxseal ends
 * with an error that says so, and does not wait. A new flag that takes a path fails here until it is tried, too.
 */
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {describe, expect, it, vi} from 'vitest';
import {FLAGS, OPERAND} from '../../src/cli/flags.ts';
import {type PublishChoice, publishRecord} from '../../src/dns/publish/index.ts';
import type {DnsName, DomainName, Selector} from '../../src/domain/names.ts';
import {absolute} from '../../src/domain/paths.ts';
import {runHooks} from '../../src/jobs/rotate/hooks.ts';
import {newEntry} from '../../src/rotation/index.ts';
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
  message: at => ['explain', 'alice@example.org', '--message', at],
  sign: at => ['sign', '--domain', 'example.org', '--selector', 's', '--key', at, at],
};
const WRITING: Readonly<Record<string, (at: string) => readonly string[]>> = {
  output: at => ['export', '--output', at],
  'log-file': at => ['status', '--log-file', at],
};
/** What is used later than it is named is judged when it is used, each time: what waxseal says of a path then. */
const USED: Readonly<Record<string, (world: World, at: string) => Promise<string>>> = {
  'tsig-key': (world, at) => published(world, {by: 'nsupdate', tsigKey: absolute(at)}),
  'lexicon-config': (world, at) => published(world, {by: 'lexicon', provider: 'gandi', config: absolute(at)}),
  'hook-dir': async ({sandbox: {ports}}, at) => {
    const reports = await runHooks(ports, absolute(at), 'publish', KEY, 'v=DKIM1; p=');
    return reports.map(({said}) => said).join('\n');
  },
};
/** Not a path on a host, but which host: `--root`. */
const ELSEWHERE: readonly string[] = ['root'];

const NAME = {domain: 'example.org' as DomainName, selector: 's' as Selector};
const KEY = newEntry(
  {
    ...{...NAME, algorithm: 'rsa', bits: 2048},
    record: {
      name: 's._domainkey.example.org' as DnsName,
      zone: 'example.org' as DnsName,
      relativeName: 's._domainkey',
      value: 'v=DKIM1; p=',
    },
  },
  {kind: 'adopted', from: 'a test'},
  new Date(0),
);

async function published({sandbox: {ports}}: World, choice: PublishChoice): Promise<string> {
  const {name, zone, relativeName, value} = KEY.record;
  const record = {name, zone, relativeName, value, quoted: `"${value}"`, ttlSeconds: 60};
  const servers = {primary: 'ns1.example.org' as DnsName, servers: []};
  const done = await publishRecord(ports, choice, {
    ...NAME,
    ...record,
    ...servers,
    action: 'add',
    replaces: false,
  });
  return done.ok ? 'used' : `${done.problem.message} ${done.problem.hint}`;
}

it('knows every flag and operand that is a path', () => {
  const flags = FLAGS.filter(({value}) => value === 'FILE' || value === 'DIR').map(({name}) => name);
  const operands = Object.entries(OPERAND).flatMap(([name, what]) => (what.includes('FILE') ? [name] : []));
  const tried = [READING, MESSAGES, WRITING, USED].flatMap(each => Object.keys(each));
  expect([...flags, ...operands].filter(each => !tried.includes(each) && !ELSEWHERE.includes(each))).toEqual(
    [],
  );
});

describe.each(Object.entries(USED))('%s, when it is used', (_flag, use) => {
  const isDirectory = _flag !== 'tsig-key';
  /** A good one, on the sandbox's host, and its real place. */
  function good(world: World): {readonly at: string; readonly real: string} {
    const at = '/etc/named';
    fs.mkdirSync(world.real(at), {mode: 0o755});
    if (isDirectory) fs.mkdirSync(world.real(`${at}/it`), {mode: 0o755});
    else fs.writeFileSync(world.real(`${at}/it`), 'secret', {mode: 0o600});
    return {at: `${at}/it`, real: world.real(`${at}/it`)};
  }

  it('is refused where it is a FIFO, a device or of the other kind, without waiting for it', async () => {
    const world = await openWorld();
    const {at, real} = good(world);
    execFileSync('mkfifo', [`${real}.fifo`]);
    fs.writeFileSync(`${real}.other`, '', {mode: 0o600});
    for (const each of [`${at}.fifo`, isDirectory ? `${at}.other` : '/etc/named']) {
      expect(await use(world, each), each).toMatch(/not a (?:regular file|directory)/);
    }
  });

  it('is refused where others could change it, a directory on its way, or a link to it', async () => {
    const world = await openWorld();
    const {at, real} = good(world);
    const before = await use(world, at);
    expect(before).not.toMatch(/can (?:change|write)|only root/);
    fs.chmodSync(world.real('/etc/named'), 0o777);
    expect(await use(world, at)).toMatch(/[Oo]thers than root can (?:change|write)/);
    fs.chmodSync(world.real('/etc/named'), 0o755);
    expect(await use(world, at)).toBe(before);
    if (isDirectory) {
      fs.chmodSync(real, 0o777);
      expect(await use(world, at)).toMatch(/[Oo]thers than root can (?:change|write)|only root/);
    } else {
      fs.chmodSync(real, 0o606);
      expect(await use(world, at)).toContain(`chmod o= ${at}`);
    }
  });
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
