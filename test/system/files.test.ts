import fs from 'node:fs';
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {createFiles} from '../../src/system/real/index.ts';
import {setAttributes} from '../support/attributes.ts';
import {scratch} from './scratch.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (content: Uint8Array | undefined): string | undefined =>
  content === undefined ? undefined : Buffer.from(content).toString();
const plain = {mode: 0o644, uid: 0, gid: 0};

describe('replace', () => {
  it('puts content, mode and owner in one step and leaves nothing beside it', async () => {
    const {files, real} = scratch();
    await files.replace(absolute('/etc/a'), bytes('one'), {mode: 0o640, uid: 7, gid: 8});
    await files.replace(absolute('/etc/a'), bytes('two'), {mode: 0o600, uid: 9, gid: 10});
    expect(text(await files.read(absolute('/etc/a')))).toBe('two');
    expect(await files.stat(absolute('/etc/a'))).toMatchObject({kind: 'file', mode: 0o600, uid: 9, gid: 10});
    expect(fs.readdirSync(real('/etc'))).toEqual(['a']);
  });

  it('refuses a symlink in the last place and keeps what it points to', async () => {
    const {files, real} = scratch();
    fs.writeFileSync(real('/etc/target'), 'kept');
    fs.symlinkSync('target', real('/etc/link'));
    await expect(files.replace(absolute('/etc/link'), bytes('x'), plain)).rejects.toMatchObject({
      id: 'file.symlink',
    });
    expect(fs.readFileSync(real('/etc/target'), 'utf8')).toBe('kept');
    expect(fs.readdirSync(real('/etc')).sort()).toEqual(['link', 'target']);
  });

  it.each([
    ['everyone', 0o777, 'file.unsafe-directory'],
    ['sticky', 0o1777, undefined],
    ['owner only', 0o755, undefined],
  ])('in a directory that %s can write', async (_who, mode, id) => {
    const {files, real} = scratch();
    fs.mkdirSync(real('/etc/d'));
    fs.chmodSync(real('/etc/d'), mode);
    const write = files.replace(absolute('/etc/d/a'), bytes('x'), plain);
    if (id === undefined) await write;
    else await expect(write).rejects.toMatchObject({id, exitCode: 5});
    expect(fs.existsSync(real('/etc/d/a'))).toBe(id === undefined);
  });

  it.runIf(process.getuid?.() === 0).each([0o755, 0o555])(
    'in a directory of a person, mode %o: its owner can change the mode',
    async mode => {
      const {files, real} = scratch();
      fs.mkdirSync(real('/etc/d'), {mode});
      fs.chownSync(real('/etc/d'), 2000, 2000);
      await expect(files.replace(absolute('/etc/d/a'), bytes('x'), plain)).rejects.toMatchObject({
        id: 'file.unsafe-directory',
      });
    },
  );

  it('says which directory is missing', async () => {
    const {files} = scratch();
    await expect(files.replace(absolute('/etc/none/a'), bytes('x'), plain)).rejects.toMatchObject({
      id: 'file.no-directory',
      message: expect.stringContaining('/etc/none/a'),
    });
  });
});

it('reads through a link, but not where a file was swapped for one', async () => {
  const {files, real} = scratch();
  fs.writeFileSync(real('/etc/shadow'), 'secret');
  fs.symlinkSync('shadow', real('/etc/table'));
  expect(text(await files.read(absolute('/etc/table')))).toBe('secret');
  await expect(files.read(absolute('/etc/table'), {follow: false})).rejects.toMatchObject({
    id: 'file.symlink',
  });
  // A directory on the way may be a link.
  fs.symlinkSync('etc', real('/way'));
  expect(text(await files.read(absolute('/way/shadow'), {follow: false}))).toBe('secret');
});

describe('create', () => {
  it('never overwrites', async () => {
    const {files, real} = scratch();
    await files.create(absolute('/etc/a'), bytes('first'), plain);
    await expect(files.create(absolute('/etc/a'), bytes('second'), plain)).rejects.toMatchObject({
      id: 'file.exists',
    });
    expect(text(await files.read(absolute('/etc/a')))).toBe('first');
    expect(fs.readdirSync(real('/etc'))).toEqual(['a']);
    expect((await files.stat(absolute('/etc/a')))?.links).toBe(1);
  });
});

describe('the root', () => {
  it('cannot be left by an absolute link, a relative one or ..', async () => {
    const {files, real, root} = scratch();
    fs.mkdirSync(real('/etc/inner'));
    fs.writeFileSync(real('/etc/inner/secret'), 'inside');
    fs.symlinkSync('/etc/inner', real('/var/abs'));
    fs.symlinkSync('../../../../../../../../etc/inner', real('/var/rel'));
    expect(text(await files.read(absolute('/var/abs/secret')))).toBe('inside');
    expect(text(await files.read(absolute('/var/rel/secret')))).toBe('inside');
    expect(await files.resolve(absolute('/var/rel/secret'))).toBe('/etc/inner/secret');
    fs.symlinkSync(root, real('/var/out'));
    expect(await files.read(absolute('/var/out/etc/inner/secret'))).toBeUndefined();
  });

  it('refuses to write through a link that others could have planted', async () => {
    const {files, real} = scratch();
    fs.mkdirSync(real('/var/open'));
    fs.symlinkSync('/etc', real('/var/open/link'));
    await files.replace(absolute('/var/open/link/a'), bytes('x'), plain);
    expect(fs.readFileSync(real('/etc/a'), 'utf8')).toBe('x');
    fs.chmodSync(real('/var/open'), 0o777);
    await expect(files.replace(absolute('/var/open/link/b'), bytes('x'), plain)).rejects.toMatchObject({
      exitCode: 5,
    });
    expect(fs.existsSync(real('/etc/b'))).toBe(false);
  });

  it('ends a circle of links', async () => {
    const {files, real} = scratch();
    fs.symlinkSync('b', real('/etc/a'));
    fs.symlinkSync('a', real('/etc/b'));
    await expect(files.read(absolute('/etc/a'))).rejects.toMatchObject({id: 'file.link-loop'});
  });
});

it('makes, changes, lists and removes', async () => {
  const {files, real} = scratch();
  const directory = absolute('/etc/opendkim');
  await files.makeDirectory(directory, {mode: 0o2750, uid: 100, gid: 101});
  expect(await files.stat(directory)).toMatchObject({kind: 'directory', mode: 0o2750, uid: 100, gid: 101});
  await expect(files.makeDirectory(directory, plain)).rejects.toMatchObject({id: 'file.exists'});
  await setAttributes(files, directory, {mode: 0o750, uid: 1, gid: 2});
  expect(await files.stat(directory)).toMatchObject({mode: 0o750, uid: 1, gid: 2});
  await files.append(absolute('/etc/opendkim/log'), bytes('a\n'), {mode: 0o600, uid: 3, gid: 3});
  await files.append(absolute('/etc/opendkim/log'), bytes('b\n'), plain);
  expect(text(await files.read(absolute('/etc/opendkim/log')))).toBe('a\nb\n');
  expect(await files.stat(absolute('/etc/opendkim/log'))).toMatchObject({mode: 0o600, uid: 3});
  fs.symlinkSync('log', real('/etc/opendkim/l'));
  expect(await files.readLink(absolute('/etc/opendkim/l'))).toBe('log');
  expect((await files.stat(absolute('/etc/opendkim/l')))?.kind).toBe('symlink');
  expect(await files.list(directory)).toEqual(['l', 'log']);
  await expect(files.removeDirectory(directory)).rejects.toMatchObject({id: 'file.not-empty'});
  fs.renameSync(real('/etc/opendkim/log'), real('/etc/log'));
  // The owner goes with the file, as a real one does.
  expect(await files.stat(absolute('/etc/log'))).toMatchObject({uid: 3});
  await files.remove(absolute('/etc/opendkim/l'));
  await files.remove(absolute('/etc/opendkim/l'));
  await files.removeDirectory(directory);
  await files.removeDirectory(directory);
  expect(fs.existsSync(real('/etc/opendkim'))).toBe(false);
  expect(await files.list(directory)).toBeUndefined();
});

it('does not change the owner of a file with a second name that others could have made', async () => {
  const {files, real} = scratch();
  fs.writeFileSync(real('/etc/shadow'), 'x');
  fs.mkdirSync(real('/var/drop'));
  fs.chmodSync(real('/var/drop'), 0o1777);
  fs.linkSync(real('/etc/shadow'), real('/var/drop/mine'));
  await expect(
    setAttributes(files, absolute('/var/drop/mine'), {mode: 0o666, uid: 5, gid: 5}),
  ).rejects.toMatchObject({id: 'file.hard-link'});
  expect(fs.statSync(real('/etc/shadow')).mode & 0o777).not.toBe(0o666);
});

it('does not hang on a FIFO', async () => {
  const {files, real} = scratch();
  const {execFileSync} = await import('node:child_process');
  execFileSync('mkfifo', [real('/etc/pipe')]);
  await expect(files.read(absolute('/etc/pipe'))).rejects.toMatchObject({id: 'file.kind'});
});

it.runIf(process.getuid?.() === 0)('changes real owners as root', async () => {
  const {root, real} = scratch();
  const files = createFiles({root, owners: 'real'});
  await files.replace(absolute('/etc/a'), bytes('x'), {mode: 0o640, uid: 12, gid: 34});
  expect(fs.statSync(real('/etc/a'))).toMatchObject({uid: 12, gid: 34});
});
