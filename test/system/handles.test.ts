import fs from 'node:fs';
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {scratch} from './scratch.ts';

const text = (content: Uint8Array | undefined): string | undefined =>
  content === undefined ? undefined : Buffer.from(content).toString();
const KEY = absolute('/etc/s1.private');
const yes = (): boolean => true;

/** A key with a mode of its own, and a file beside it that must stay as it is. */
function keyAndVictim() {
  const {files, real, ledger} = scratch();
  fs.writeFileSync(real(KEY), 'the key', {mode: 0o400});
  fs.writeFileSync(real('/etc/shadow'), 'secret', {mode: 0o640});
  const {dev, ino} = fs.lstatSync(real(KEY));
  ledger.record(dev, ino, {uid: 104, gid: 110});
  return {files, real};
}

describe('inspect', () => {
  it('has content and description of one file', async () => {
    const {files} = keyAndVictim();
    const found = await files.inspect(KEY);
    expect(text(found?.content)).toBe('the key');
    expect(found?.stat).toMatchObject({kind: 'file', mode: 0o400, uid: 104, gid: 110, size: 7, links: 1});
    expect(found?.stat).toEqual(await files.stat(KEY));
    expect(await files.inspect(absolute('/etc/none'))).toBeUndefined();
    expect(await files.inspect(absolute('/none/none'))).toBeUndefined();
  });

  it('follows a link only where it is told to', async () => {
    const {files, real} = keyAndVictim();
    fs.symlinkSync('shadow', real('/etc/link'));
    await expect(files.inspect(absolute('/etc/link'))).rejects.toMatchObject({id: 'file.symlink'});
    const found = await files.inspect(absolute('/etc/link'), {follow: true});
    expect(found).toMatchObject({stat: {size: 6}});
    expect(text(found?.content)).toBe('secret');
  });

  it('opens no directory', async () => {
    const {files} = keyAndVictim();
    await expect(files.inspect(absolute('/etc'))).rejects.toMatchObject({id: 'file.kind'});
  });
});

describe('destroy', () => {
  it('overwrites what was there, whatever its mode, and removes the name', async () => {
    const {files, real} = keyAndVictim();
    const kept = fs.openSync(real(KEY), 'r');
    let judged = '';
    const end = await files.destroy(KEY, (content, stat) => {
      judged = `${text(content)} ${stat.mode.toString(8)} ${stat.uid}`;
      return true;
    });
    expect([end, judged]).toEqual(['destroyed', 'the key 400 104']);
    expect(fs.existsSync(real(KEY))).toBe(false);
    const left = fs.readFileSync(kept);
    fs.closeSync(kept);
    expect(left).toHaveLength(7);
    expect(left.toString()).not.toBe('the key');
    expect(await files.destroy(KEY, yes)).toBe('absent');
    expect(await files.destroy(absolute('/none/none'), yes)).toBe('absent');
  });

  it('touches nothing where the caller does not know it', async () => {
    const {files, real} = keyAndVictim();
    expect(await files.destroy(KEY, () => false)).toBe('unexpected');
    expect(fs.readFileSync(real(KEY), 'utf8')).toBe('the key');
    expect(fs.statSync(real(KEY)).mode & 0o777).toBe(0o400);
  });

  it('reads nothing that is longer than any key', async () => {
    const {files, real} = keyAndVictim();
    fs.chmodSync(real(KEY), 0o600);
    fs.truncateSync(real(KEY), 1024 * 1024);
    expect(await files.destroy(KEY, ({length}) => length !== 1024 * 1024)).toBe('unexpected');
    fs.truncateSync(real(KEY), 1024 * 1024 + 1);
    expect(await files.destroy(KEY, yes)).toBe('unexpected');
    expect(fs.statSync(real(KEY)).size).toBe(1024 * 1024 + 1);
  });

  it('never touches a link, a file with two names, a directory', async () => {
    const {files, real} = keyAndVictim();
    fs.symlinkSync('shadow', real('/etc/link'));
    fs.linkSync(real('/etc/shadow'), real('/etc/second'));
    fs.mkdirSync(real('/etc/d'));
    expect(await files.destroy(absolute('/etc/link'), yes)).toBe('not-a-file');
    expect(await files.destroy(absolute('/etc/second'), yes)).toBe('several-names');
    expect(await files.destroy(absolute('/etc/d'), yes)).toBe('not-a-file');
    expect(fs.readdirSync(real('/etc')).sort()).toEqual(['d', 'link', 's1.private', 'second', 'shadow']);
    expect(fs.readFileSync(real('/etc/shadow'), 'utf8')).toBe('secret');
  });

  it.each([
    ['a link to another file', (real: (path: string) => string) => fs.symlinkSync('shadow', real(KEY))],
    ['another file', (real: (path: string) => string) => fs.linkSync(real('/etc/shadow'), real(KEY))],
    ['nothing', () => undefined],
  ])('destroys the file that was judged and leaves alone %s that has its name now', async (_what, put) => {
    const {files, real} = keyAndVictim();
    const end = await files.destroy(KEY, () => {
      fs.renameSync(real(KEY), real('/etc/moved'));
      put(real);
      return true;
    });
    expect(end).toBe('overwritten');
    expect(fs.readFileSync(real('/etc/shadow'), 'utf8')).toBe('secret');
    expect(fs.statSync(real('/etc/shadow')).mode & 0o777).toBe(0o640);
    expect(fs.readFileSync(real('/etc/moved'))).toHaveLength(7);
    expect(fs.readFileSync(real('/etc/moved'), 'utf8')).not.toBe('the key');
    expect(fs.readdirSync(real('/etc'))).toContain('moved');
  });

  it('refuses a directory that others can write', async () => {
    const {files, real} = keyAndVictim();
    fs.chmodSync(real('/etc'), 0o777);
    await expect(files.destroy(KEY, yes)).rejects.toMatchObject({id: 'file.unsafe-directory'});
    expect(fs.readFileSync(real(KEY), 'utf8')).toBe('the key');
  });
});

it('replaces with the time of modification that it is told', async () => {
  const {files, real} = keyAndVictim();
  const modified = new Date('2000-01-01T00:00:00Z');
  await files.replace(absolute('/etc/a'), Buffer.from('x'), {mode: 0o644, uid: 0, gid: 0}, {modified});
  expect(fs.statSync(real('/etc/a')).mtime).toEqual(modified);
  await files.replace(absolute('/etc/a'), Buffer.from('x'), {mode: 0o644, uid: 0, gid: 0});
  expect(fs.statSync(real('/etc/a')).mtime).not.toEqual(modified);
});

describe('reading where others can write', () => {
  it('follows a link of theirs neither at the end nor on the way', async () => {
    const {files, real} = keyAndVictim();
    fs.mkdirSync(real('/var/theirs'));
    fs.symlinkSync('../../etc/shadow', real('/var/theirs/file'));
    fs.symlinkSync('../../etc', real('/var/theirs/way'));
    const paths = [absolute('/var/theirs/file'), absolute('/var/theirs/way/shadow')];
    // Links of root's, or of whoever runs this, are links as any other.
    for (const path of paths) expect(text(await files.read(path))).toBe('secret');
    if (process.getuid?.() !== 0) return;
    fs.chownSync(real('/var/theirs'), 104, 110);
    for (const name of ['file', 'way']) fs.lchownSync(real(`/var/theirs/${name}`), 104, 110);
    for (const path of paths) {
      await expect(files.read(path)).rejects.toMatchObject({id: 'file.unsafe-link'});
      await expect(files.inspect(path, {follow: true})).rejects.toMatchObject({id: 'file.unsafe-link'});
      // Where it leads to may be looked at.
      expect(await files.resolve(path)).toBe('/etc/shadow');
    }
  });

  it('takes no file that has a second name elsewhere', async () => {
    const {files, real} = keyAndVictim();
    fs.mkdirSync(real('/var/drop'));
    fs.linkSync(real('/etc/shadow'), real('/var/drop/mine'));
    expect(text(await files.read(absolute('/var/drop/mine')))).toBe('secret');
    fs.chmodSync(real('/var/drop'), 0o1777);
    await expect(files.read(absolute('/var/drop/mine'))).rejects.toMatchObject({id: 'file.hard-link'});
    await expect(files.inspect(absolute('/var/drop/mine'))).rejects.toMatchObject({id: 'file.hard-link'});
  });

  it('reads the links of proc, to whomever they belong', async () => {
    const {createFiles} = await import('../../src/system/real/index.ts');
    const files = createFiles({owners: 'real'});
    expect(text(await files.read(absolute('/proc/self/status')))).toContain('Name:');
  });
});

describe('append', () => {
  const LOG = absolute('/var/log');
  const own = {mode: 0o600, uid: 0, gid: 0};

  it.each([
    ['everyone could write', 0o602],
    ['everyone could read', 0o604],
    ['a group could write', 0o620],
  ])('adds nothing to a file that %s', async (_who, mode) => {
    const {files, real} = keyAndVictim();
    fs.writeFileSync(real(LOG), 'before');
    fs.chmodSync(real(LOG), mode);
    const add = files.append(LOG, Buffer.from('more'), own);
    await expect(add).rejects.toMatchObject({id: 'file.loose', hint: expect.stringContaining('chmod 0600')});
    expect(fs.readFileSync(real(LOG), 'utf8')).toBe('before');
    fs.chmodSync(real(LOG), 0o640);
    await files.append(LOG, Buffer.from(' more'), own);
    expect(fs.readFileSync(real(LOG), 'utf8')).toBe('before more');
  });

  it.runIf(process.getuid?.() === 0)('adds nothing to a file of somebody else', async () => {
    const {files, real} = keyAndVictim();
    fs.writeFileSync(real(LOG), 'before', {mode: 0o600});
    fs.chownSync(real(LOG), 1000, 1000);
    await expect(files.append(LOG, Buffer.from('more'), own)).rejects.toMatchObject({id: 'file.loose'});
    expect(fs.readFileSync(real(LOG), 'utf8')).toBe('before');
  });

  it('never waits for a FIFO, and takes no second name of another file in a place of all', async () => {
    const {files, real} = keyAndVictim();
    const {execFileSync} = await import('node:child_process');
    execFileSync('mkfifo', [real(LOG)]);
    await expect(files.append(LOG, Buffer.from('x'), own)).rejects.toMatchObject({id: 'file.kind'});
    fs.mkdirSync(real('/var/drop'));
    fs.chmodSync(real('/var/drop'), 0o1777);
    fs.linkSync(real(KEY), real('/var/drop/log'));
    await expect(files.append(absolute('/var/drop/log'), Buffer.from('x'), own)).rejects.toMatchObject({
      id: 'file.hard-link',
    });
    expect(fs.readFileSync(real(KEY), 'utf8')).toBe('the key');
  });
});
