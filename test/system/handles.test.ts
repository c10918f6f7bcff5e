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
