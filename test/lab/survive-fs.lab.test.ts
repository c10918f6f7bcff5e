/**
 * Real file systems, as root: a disk that runs full, one that turns read-only, immutable files, access lists, hard
 * links, planted symlinks, overlayfs, /etc under git. The plan, the journal and every file operation are the real ones;
 * only packages and services are imagined, and keep their state elsewhere.
 */
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import {open} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import {describe, expect, onTestFinished, test} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {applyPlan, findUnfinished, type RunId, recoverRun, undoRun} from '../../src/plan/index.ts';
import {copyLabels} from '../../src/system/real/labels.ts';
import {tamper} from '../plan/tamper.ts';
import {fingerprint, furnish, openWorld, setupPlan, stageSecret, type World} from '../plan/world.ts';

const never = new AbortController().signal;
const quiet = (): void => undefined;
const sh = (...argv: readonly [string, ...string[]]): string =>
  execFileSync(argv[0], argv.slice(1), {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']});

interface Mounted {
  readonly at: string;
  /** On another file system. */
  readonly memory: string;
  open(): World;
}

/** A host on a file system of its own, gone when the test ends. */
async function mounted(mount: (at: string, base: string) => void): Promise<Mounted> {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'waxseal-fs-'));
  const at = path.join(base, 'root');
  const memory = path.join(base, 'memory');
  for (const directory of [at, path.join(memory, 'run'), path.join(memory, 'var/lib')]) {
    fs.mkdirSync(directory, {recursive: true});
  }
  mount(at, base);
  onTestFinished(() => {
    sh('mount', '-o', 'remount,rw', at);
    sh('umount', '--lazy', '--recursive', at);
    // Below an overlay, the file system of its layers.
    if (fs.existsSync(path.join(base, 'layer'))) sh('umount', '--lazy', path.join(base, 'layer'));
    fs.rmSync(base, {recursive: true, force: true});
  });
  fs.chmodSync(at, 0o755);
  furnish(at);
  for (const file of ['run/services.json', 'var/lib/dpkg-list']) {
    fs.writeFileSync(path.join(memory, file), fs.readFileSync(path.join(at, file)));
    fs.unlinkSync(path.join(at, file));
  }
  const open = (): World => openWorld(at, {realOwners: true, memory});
  await stageSecret(open().ports.files);
  return {at, memory, open};
}

const tmpfs = (size: string) => (at: string) =>
  void sh('mount', '-t', 'tmpfs', '-o', `size=${size},mode=755`, 'waxseal', at);

function ext4(at: string, base: string): void {
  const image = path.join(base, 'image');
  sh('truncate', '--size=16M', image);
  sh('mke2fs', '-q', '-t', 'ext4', '-F', image);
  sh('mount', '-o', 'loop', image, at);
  fs.rmdirSync(path.join(at, 'lost+found'));
}

/** Files of the tree, and what packages and services remember. */
async function stateOf({memory, open}: Mounted): Promise<string> {
  const remembered = ['run/services.json', 'var/lib/dpkg-list'].map(file =>
    fs.readFileSync(path.join(memory, file), 'utf8'),
  );
  return [await fingerprint(open()), ...remembered].join('\n');
}

/** The filler of a full disk lies outside the host as it is compared. */
const FILLER = 'var/lib/waxseal/filler';

function fill(at: string, leave: number): void {
  const handle = fs.openSync(path.join(at, FILLER), 'w');
  try {
    for (const size of [65_536, 4096, 1]) {
      for (;;) {
        try {
          fs.writeSync(handle, Buffer.alloc(size));
        } catch {
          break;
        }
      }
    }
    const {size} = fs.fstatSync(handle);
    fs.ftruncateSync(handle, Math.max(0, size - leave));
  } finally {
    fs.closeSync(handle);
  }
}

const empty = (at: string): void => fs.rmSync(path.join(at, FILLER), {force: true});
const forget = (at: string): void =>
  fs.rmSync(path.join(at, 'var/lib/waxseal/runs'), {recursive: true, force: true});

async function recoverAll(host: Mounted): Promise<void> {
  const world = host.open();
  for (const run of await findUnfinished(world.ports)) {
    expect(await recoverRun(world.ports, run, world.hooks, quiet)).toMatchObject({result: 'rolled-back'});
  }
}

async function applied(host: Mounted): Promise<RunId> {
  const world = host.open();
  const plan = await setupPlan(world.ports.files, world.ports);
  const outcome = await applyPlan(world.ports, plan, world.hooks, quiet, never);
  expect(outcome).toMatchObject({result: 'applied'});
  return plan.id;
}

/** How many operations an apply has, and what the host is after it. */
async function whole(mount: (at: string, base: string) => void): Promise<{count: number; after: string}> {
  const host = await mounted(mount);
  const world = host.open();
  const plan = await setupPlan(world.ports.files, world.ports);
  const {ports, calls} = tamper(world.ports, 0, 'fail');
  expect(await applyPlan(ports, plan, world.hooks, quiet, never)).toMatchObject({result: 'applied'});
  return {count: calls.length, after: await stateOf(host)};
}

describe('a disk that runs full', () => {
  test('at every single operation of an apply: put back while it is still full, or as it was', async () => {
    const {count, after} = await whole(tmpfs('1m'));
    const host = await mounted(tmpfs('1m'));
    const before = await stateOf(host);
    const results: Record<string, number> = {};
    for (let at = 1; at <= count; at += 1) {
      const world = host.open();
      const plan = await setupPlan(world.ports.files, world.ports);
      const {ports, calls} = tamper(world.ports, at, 'before', () => fill(host.at, 0));
      const outcome = await applyPlan(ports, plan, world.hooks, quiet, never);
      results[outcome.result] = (results[outcome.result] ?? 0) + 1;
      const where = `${at} ${calls[at - 1]}: ${'error' in outcome ? outcome.error.message : outcome.result}`;
      expect(await stateOf(host), where).toBe(outcome.result === 'applied' ? after : before);
      if (outcome.result === 'applied') break;
      empty(host.at);
      await recoverAll(host);
      expect(await stateOf(host), where).toBe(before);
      forget(host.at);
    }
    console.log(`disk full at ${count} operations: ${JSON.stringify(results)}`);
    expect(results['incomplete'] ?? 0).toBe(0);
    expect(results['rolled-back']).toBeGreaterThan(40);
  });

  test('with less and less room from the beginning: refused, put back or done, never in between', async () => {
    const {after} = await whole(tmpfs('1m'));
    const host = await mounted(tmpfs('1m'));
    const before = await stateOf(host);
    const seen = new Set<string>();
    for (let room = 0; room <= 200; room += 4) {
      fill(host.at, room * 1024);
      const world = host.open();
      const plan = await setupPlan(world.ports.files, world.ports);
      const outcome = await applyPlan(world.ports, plan, world.hooks, quiet, never);
      seen.add(outcome.result);
      const where = `${room} KiB: ${'error' in outcome ? outcome.error.message : outcome.result}`;
      expect(await stateOf(host), where).toBe(outcome.result === 'applied' ? after : before);
      if (outcome.result === 'applied') break;
      if ('error' in outcome)
        expect(outcome.error.message, where).toMatch(/the disk is full|apt-get install .* ended with/);
      empty(host.at);
      await recoverAll(host);
      forget(host.at);
    }
    expect([...seen]).toEqual(expect.arrayContaining(['refused', 'applied']));
  });
});

describe('a file system that turns read-only', () => {
  test('at every single operation of an apply: whole again as soon as it can be written', async () => {
    const {count, after} = await whole(tmpfs('4m'));
    const host = await mounted(tmpfs('4m'));
    const before = await stateOf(host);
    for (let at = 1; at <= count; at += 1) {
      const world = host.open();
      const plan = await setupPlan(world.ports.files, world.ports);
      const {ports, calls} = tamper(world.ports, at, 'before', () =>
        sh('mount', '-o', 'remount,ro', host.at),
      );
      const outcome = await applyPlan(ports, plan, world.hooks, quiet, never);
      const where = `${at} ${calls[at - 1]}: ${outcome.result}`;
      if (outcome.result === 'incomplete') expect(outcome.error.exitCode, where).toBe(7);
      sh('mount', '-o', 'remount,rw', host.at);
      await recoverAll(host);
      const now = await stateOf(host);
      expect(now, where).toBe(outcome.result === 'applied' ? after : before);
      if (outcome.result === 'applied') break;
      forget(host.at);
    }
  });

  test.each(['/etc/postfix', '/var/spool/postfix', '/etc/opendkim.conf'])(
    '%s is a read-only mount: refused before anything is touched',
    async place => {
      const host = await mounted(tmpfs('4m'));
      const target = path.join(host.at, place);
      sh('mount', '--bind', target, target);
      sh('mount', '-o', 'remount,bind,ro', target);
      const before = await stateOf(host);
      const world = host.open();
      const plan = await setupPlan(world.ports.files, world.ports);
      const outcome = await applyPlan(world.ports, plan, world.hooks, quiet, never);
      expect(outcome).toMatchObject({result: 'refused', error: {id: 'file.read-only', exitCode: 5}});
      expect('error' in outcome ? outcome.error.message : '').toContain(place);
      expect(await stateOf(host)).toBe(before);
      expect(fs.existsSync(path.join(host.at, 'var/lib/waxseal/runs'))).toBe(false);
    },
  );
});

describe('on ext4', () => {
  test.each([
    ['an immutable file', '/etc/postfix/main.cf', '+i', 'refused'],
    ['an immutable directory', '/etc/postfix', '+i', 'refused'],
    ['an append-only file', '/etc/opendkim.conf', '+a', 'rolled-back'],
  ] as const)('%s: nothing is left changed, the flag is named', async (_what, place, flag, result) => {
    const host = await mounted(ext4);
    const target = path.join(host.at, place);
    sh('chattr', flag, target);
    onTestFinished(() => void sh('chattr', flag.replace('+', '-'), target));
    const before = await stateOf(host);
    const world = host.open();
    const plan = await setupPlan(world.ports.files, world.ports);
    const outcome = await applyPlan(world.ports, plan, world.hooks, quiet, never);
    expect(outcome).toMatchObject({result, error: {id: 'file.immutable'}});
    if (!('error' in outcome)) throw new Error('no error');
    expect(outcome.error.message).toContain(place);
    expect(outcome.error.hint).toContain('chattr -i -a');
    expect(await stateOf(host)).toBe(before);
    sh('chattr', flag.replace('+', '-'), target);
    forget(host.at);
    await applied(host);
  });

  test('undo meets an immutable file: refused before anything is touched, and done once the flag is off', async () => {
    const host = await mounted(ext4);
    const before = await stateOf(host);
    const run = await applied(host);
    const after = await stateOf(host);
    const target = path.join(host.at, 'etc/opendkim/KeyTable');
    sh('chattr', '+i', target);
    onTestFinished(() => {
      if (fs.existsSync(target)) sh('chattr', '-i', target);
    });
    const world = host.open();
    expect(await undoRun(world.ports, run, world.hooks, quiet)).toMatchObject({
      result: 'refused',
      error: {id: 'file.immutable', message: expect.stringContaining('/etc/opendkim/KeyTable')},
    });
    expect(await stateOf(host)).toBe(after);
    sh('chattr', '-i', target);
    expect(await undoRun(world.ports, run, world.hooks, quiet)).toMatchObject({result: 'undone'});
    expect(await stateOf(host)).toBe(before);
  });

  test('access lists and extended attributes stay through set-up and undo', async () => {
    const host = await mounted(ext4);
    const files = ['etc/opendkim.conf', 'etc/postfix/main.cf', 'etc/opendkim/TrustedHosts'].map(file =>
      path.join(host.at, file),
    );
    for (const file of files) {
      sh('setfacl', '-m', 'u:4711:r,g:4712:rw', file);
      sh('setfattr', '-n', 'user.note', '-v', 'kept', file);
      sh('setfattr', '-n', 'trusted.note', '-v', 'kept too', file);
    }
    const labels = (): readonly string[] =>
      files.map(file => {
        // The mask of an access list is the group part of the mode; entries and attributes are what must stay.
        const list = sh('getfacl', '--omit-header', '--numeric', '--no-effective', '--absolute-names', file);
        return `${list.replace(/^(mask|group|other):.*\n/gm, '')}${sh('getfattr', '-d', '-m', 'user|trusted', '--absolute-names', file)}`;
      });
    const [before, state] = [labels(), await stateOf(host)];
    expect(before[0]).toContain('user:4711:r');
    const run = await applied(host);
    expect(labels()).toEqual(before);
    const world = host.open();
    expect(await undoRun(world.ports, run, world.hooks, quiet)).toMatchObject({result: 'undone'});
    expect(labels()).toEqual(before);
    expect(await stateOf(host)).toBe(state);
  });

  test('a directory in which an access list lets another person write: refused, nothing written there', async () => {
    const host = await mounted(ext4);
    const directory = path.join(host.at, 'etc/postfix');
    sh('setfacl', '-m', 'u:1234:rwx', directory);
    const before = await stateOf(host);
    const world = host.open();
    const plan = await setupPlan(world.ports.files, world.ports);
    const outcome = await applyPlan(world.ports, plan, world.hooks, quiet, never);
    expect(['refused', 'rolled-back']).toContain(outcome.result);
    expect(outcome).toMatchObject({error: {id: 'file.unsafe-directory'}});
    expect('error' in outcome ? outcome.error.message : '').toMatch(/access list can write in .*postfix/);
    expect(await stateOf(host)).toBe(before);
    // One that only lets somebody read is none of waxseal's business.
    await recoverAll(host);
    forget(host.at);
    sh('setfacl', '-m', 'u:1234:r-x', directory);
    await applied(host);
  });

  test('access lists are read by handles, with what their mask leaves of them', async () => {
    const host = await mounted(ext4);
    const {files} = host.open().ports;
    const [key, table, link] = ['etc/opendkim/key', 'etc/opendkim/KeyTable', 'etc/opendkim/link'].map(each =>
      path.join(host.at, each),
    ) as [string, string, string];
    for (const [file, mode] of [
      [key, 0o600],
      [table, 0o644],
    ] as const) {
      fs.writeFileSync(file, 'x\n', {mode});
      fs.chmodSync(file, mode);
    }
    fs.symlinkSync(key, link);
    const paths = ['/etc/opendkim/key', '/etc/opendkim/KeyTable', '/etc/opendkim/link', '/etc/opendkim'].map(
      each => absolute(each),
    );
    expect(await files.accessLists(paths)).toEqual(new Map());
    sh('setfacl', '-m', 'u:4711:r,g:4712:rw', key);
    sh('setfacl', '-m', 'u:4711:rw', table);
    sh('setfacl', '-m', 'd:u:4711:rwx', path.join(host.at, 'etc/opendkim'));
    const named = [{kind: 'user', id: 4711, rights: 4}];
    expect(await files.accessLists(paths)).toEqual(
      new Map([
        [paths[0], {group: 0, named: [...named, {kind: 'group', id: 4712, rights: 6}]}],
        [paths[1], {group: 4, named: [{kind: 'user', id: 4711, rights: 6}]}],
      ]),
    );
    // A mask that takes the right away: nobody has it.
    sh('setfacl', '-m', 'm::r', key);
    expect((await files.accessLists(paths)).get(absolute('/etc/opendkim/key'))).toEqual({
      group: 0,
      named: [...named, {kind: 'group', id: 4712, rights: 4}],
    });
    fs.chmodSync(key, 0o600);
    expect((await files.accessLists(paths)).has(absolute('/etc/opendkim/key'))).toBe(false);
  });

  test('labels that the target cannot hold are a refusal that names the file', async () => {
    const host = await mounted(ext4);
    const from = path.join(host.at, 'etc/opendkim.conf');
    sh('setfattr', '-n', 'user.note', '-v', 'kept', from);
    const base = fs.mkdtempSync(path.join(os.tmpdir(), 'waxseal-ramfs-'));
    sh('mount', '-t', 'ramfs', 'waxseal', base);
    onTestFinished(() => void sh('umount', base));
    fs.writeFileSync(path.join(base, 'to'), '');
    const source = await open(from, 'r');
    const target = await open(path.join(base, 'to'), 'w');
    onTestFinished(async () => {
      await source.close();
      await target.close();
    });
    await expect(copyLabels(absolute('/etc/opendkim.conf'), source, target)).rejects.toMatchObject({
      id: 'file.labels',
      message: expect.stringContaining('/etc/opendkim.conf'),
      exitCode: 5,
    });
  });
});

describe('hostile or unusual trees', () => {
  test('a file with two names: refused, both names stay one file', async () => {
    const host = await mounted(tmpfs('4m'));
    const [one, two] = [
      path.join(host.at, 'etc/postfix/main.cf'),
      path.join(host.at, 'etc/postfix/other.cf'),
    ];
    fs.linkSync(one, two);
    const before = await stateOf(host);
    const world = host.open();
    const plan = await setupPlan(world.ports.files, world.ports);
    expect(await applyPlan(world.ports, plan, world.hooks, quiet, never)).toMatchObject({
      result: 'refused',
      error: {id: 'file.hard-link', hint: expect.stringContaining('find / -xdev -samefile')},
    });
    expect(await stateOf(host)).toBe(before);
    expect(fs.statSync(one).ino).toBe(fs.statSync(two).ino);
  });

  test.each([
    ['that everyone can write', 0o777, 0, 'file.unsafe-directory'],
    ['of another person', 0o755, 1234, 'file.unsafe-directory'],
  ])('a directory %s: refused or put back, nothing written there', async (_what, mode, uid, id) => {
    const host = await mounted(tmpfs('4m'));
    const world = host.open();
    const plan = await setupPlan(world.ports.files, world.ports);
    const directory = path.join(host.at, 'etc/postfix');
    fs.chmodSync(directory, mode);
    fs.chownSync(directory, uid, uid);
    const before = await stateOf(host);
    const outcome = await applyPlan(world.ports, plan, world.hooks, quiet, never);
    expect(['refused', 'rolled-back']).toContain(outcome.result);
    expect(outcome).toMatchObject({error: {id}});
    expect(await stateOf(host)).toBe(before);
  });

  test.each([
    ['a symlink', (at: string) => fs.symlinkSync('/trap/target', at)],
    ['a hard link', (at: string, trap: string) => fs.linkSync(trap, at)],
    ['a file', (at: string) => fs.writeFileSync(at, 'planted\n')],
  ])(
    '%s that another person has planted in a sticky directory: not followed, not taken',
    async (_what, plant) => {
      const host = await mounted(tmpfs('4m'));
      const trap = path.join(host.at, 'trap/target');
      fs.mkdirSync(path.dirname(trap));
      fs.writeFileSync(trap, 'precious\n', {mode: 0o600});
      const directory = path.join(host.at, 'etc/opendkim');
      fs.mkdirSync(directory, {recursive: true});
      fs.chmodSync(directory, 0o1777);
      const world = host.open();
      const plan = await setupPlan(world.ports.files, world.ports);
      const planted = path.join(directory, 'KeyTable');
      plant(planted, trap);
      if (!fs.lstatSync(planted).isFile() || fs.lstatSync(planted).nlink === 1)
        fs.lchownSync(planted, 1234, 1234);
      const before = await stateOf(host);
      const outcome = await applyPlan(world.ports, plan, world.hooks, quiet, never);
      expect(['refused', 'rolled-back']).toContain(outcome.result);
      expect('error' in outcome ? outcome.error.message : '').toContain('/etc/opendkim/KeyTable');
      expect(await stateOf(host)).toBe(before);
      expect(fs.readFileSync(trap, 'utf8')).toBe('precious\n');
      expect(fs.statSync(trap).mode & 0o777).toBe(0o600);
    },
  );

  test('a directory swapped for a symlink after the plan was made: not followed', async () => {
    const host = await mounted(tmpfs('4m'));
    const world = host.open();
    const plan = await setupPlan(world.ports.files, world.ports);
    const trap = path.join(host.at, 'trap');
    fs.mkdirSync(trap);
    fs.chownSync(trap, 1234, 1234);
    fs.cpSync(path.join(host.at, 'etc/postfix'), trap, {recursive: true});
    fs.chmodSync(path.join(trap, 'old.cf'), 0o600);
    fs.renameSync(path.join(host.at, 'etc/postfix'), path.join(host.at, 'etc/postfix.real'));
    fs.symlinkSync('/trap', path.join(host.at, 'etc/postfix'));
    const before = await stateOf(host);
    const outcome = await applyPlan(world.ports, plan, world.hooks, quiet, never);
    expect(['refused', 'rolled-back']).toContain(outcome.result);
    expect(await stateOf(host)).toBe(before);
  });

  test('on overlayfs: set up and undone, as on any other', async () => {
    const host = await mounted((at, base) => {
      const layer = path.join(base, 'layer');
      fs.mkdirSync(layer);
      sh('mount', '-t', 'tmpfs', 'waxseal', layer);
      for (const name of ['lower', 'upper', 'work']) fs.mkdirSync(path.join(layer, name));
      furnish(path.join(layer, 'lower'));
      const options = `lowerdir=${layer}/lower,upperdir=${layer}/upper,workdir=${layer}/work`;
      sh('mount', '-t', 'overlay', 'waxseal', '-o', options, at);
      fs.rmSync(path.join(at, 'etc/main.link'));
    });
    const before = await stateOf(host);
    const run = await applied(host);
    const world = host.open();
    expect(await undoRun(world.ports, run, world.hooks, quiet)).toMatchObject({result: 'undone'});
    expect(await stateOf(host)).toBe(before);
  });

  test('/etc under git (etckeeper): nothing is committed or staged, and undo leaves a clean tree', async () => {
    const host = await mounted(tmpfs('8m'));
    const etc = path.join(host.at, 'etc');
    const git = (...argv: readonly string[]): string =>
      sh('git', '-c', 'safe.directory=*', '-C', etc, ...argv);
    git('init', '--quiet');
    git('add', '--all');
    git('-c', 'user.name=lab', '-c', 'user.email=lab@example.com', 'commit', '--quiet', '-m', 'as it was');
    const repository = (): string => `${git('rev-parse', 'HEAD')}${git('diff', '--cached', '--stat')}`;
    const before = repository();
    const run = await applied(host);
    expect(repository()).toBe(before);
    expect(git('status', '--porcelain').split('\n').sort().filter(Boolean)).toEqual([
      ' D postfix/old.cf',
      ' M opendkim.conf',
      ' M postfix/main.cf',
      '?? dkimkeys/',
      '?? opendkim/KeyTable',
      '?? packaged.conf',
    ]);
    const world = host.open();
    expect(await undoRun(world.ports, run, world.hooks, quiet)).toMatchObject({result: 'undone'});
    expect(repository()).toBe(before);
    expect(git('status', '--porcelain')).toBe('');
  });
});
