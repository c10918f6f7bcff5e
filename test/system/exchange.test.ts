/**
 * What is done in a directory of somebody else while its owner exchanges the names in it: a process of its own does so,
 * as another user where the tests run as root. Whatever becomes of the operation itself, no file but the one it was
 * meant for may have changed in one bit, and nothing of another may have been read.
 */
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import {expect, it, onTestFinished} from 'vitest';
import {ToolError} from '../../src/domain/errors.ts';
import {absolute} from '../../src/domain/paths.ts';
import type {Files} from '../../src/system/ports.ts';
import {createFiles} from '../../src/system/real/index.ts';
import {scratch} from './scratch.ts';

const ROUNDS = 200;
/** A system account, as that of the signer is. */
const SOMEBODY = {uid: 104, gid: 110};
const isRoot = process.getuid?.() === 0;
const SECRET = 'secret of root';
const VICTIM = '/etc/victim';
const DIRECTORY = '/var/theirs';
const NAME = absolute(`${DIRECTORY}/table`);
const OTHER = `${DIRECTORY}/other`;

interface Scene {
  readonly files: Files;
  real(path: string): string;
  /** Everything that can be known of a file: if it is the same afterwards, nothing was changed. */
  look(path: string): unknown;
  /** Where the file of this inode is now in their directory. */
  nameOf(inode: number): string;
  /** A file of theirs at NAME. */
  putTheirs(content?: string, mode?: number): void;
}

function scene(): Scene {
  const {root, real, files: pretended, ledger} = scratch();
  fs.chmodSync(root, 0o755);
  fs.mkdirSync(real(DIRECTORY));
  const give = (at: string): void => {
    if (isRoot) fs.chownSync(at, SOMEBODY.uid, SOMEBODY.gid);
  };
  give(real(DIRECTORY));
  fs.writeFileSync(real(VICTIM), SECRET, {mode: 0o600});
  return {
    files: isRoot ? createFiles({root, owners: 'real'}) : pretended,
    real,
    look: at => {
      const {atimeMs, atime, atimeNs, ctimeMs, ctime, ctimeNs, ...stats} = fs.lstatSync(real(at), {
        bigint: true,
      });
      const content =
        stats.size > 0n && fs.lstatSync(real(at)).isFile() ? fs.readFileSync(real(at), 'utf8') : '';
      const owner = ledger.ownerOf(Number(stats.dev), Number(stats.ino));
      return {...stats, content, owner};
    },
    nameOf: inode => {
      const names = fs.readdirSync(real(DIRECTORY)).map(name => `${DIRECTORY}/${name}`);
      return names.find(name => fs.lstatSync(real(name)).ino === inode) ?? 'nowhere';
    },
    putTheirs: (content = 'mine', mode = 0o600) => {
      fs.rmSync(real('/var/theirs/.fresh'), {force: true});
      fs.writeFileSync(real('/var/theirs/.fresh'), content);
      fs.chmodSync(real('/var/theirs/.fresh'), mode);
      give(real('/var/theirs/.fresh'));
      fs.renameSync(real('/var/theirs/.fresh'), real(NAME));
    },
  };
}

/** Runs the exchanging process while `work` runs, and demands that it has exchanged something. */
async function whileExchanged(
  {real}: Scene,
  way: 'temporary' | 'link' | 'trade' | 'instead',
  other: string,
  work: () => Promise<void>,
): Promise<void> {
  const swapper = path.join(import.meta.dirname, 'swapper.mjs');
  const child: ChildProcess = spawn(
    process.execPath,
    [swapper, real(DIRECTORY), way, path.basename(NAME), other],
    {stdio: ['pipe', 'pipe', 'inherit'], ...(isRoot ? SOMEBODY : {})},
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  const closed = once(child, 'close');
  let said = '';
  child.stdout?.on('data', (piece: Buffer) => {
    said += piece.toString();
  });
  while (!said.includes('ready')) await once(child.stdout ?? child, 'data');
  await work();
  child.stdin?.end();
  await closed;
  expect(Number(said.replace('ready', ''))).toBeGreaterThan(0);
}

/**
 * Each round may end with an error that says what to do. There are more of them until `isEnough`: on a busy machine
 * the other process may not have had its turn.
 */
async function rounds(
  work: (round: number) => Promise<unknown>,
  isEnough: () => boolean = () => true,
): Promise<void> {
  for (let round = 0; round < ROUNDS || !isEnough(); round += 1) {
    try {
      await work(round);
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      expect(error.hint).not.toBe('');
    }
  }
}

const LINK_TO_VICTIM = '../../etc/victim';
const attributes = {mode: 0o640, ...SOMEBODY};

it('replace gives no other file the labels and the mode of the one it replaces', async () => {
  const here = scene();
  const before = here.look(VICTIM);
  await whileExchanged(here, 'temporary', LINK_TO_VICTIM, async () => {
    await rounds(async () => {
      here.putTheirs('mine', 0o4666);
      await here.files.replace(NAME, Buffer.from('ours'), attributes, {keepLabels: true});
    });
  });
  expect(here.look(VICTIM)).toEqual(before);
});

it('replace writes into no other file, and says where it did not succeed', async () => {
  const here = scene();
  const before = here.look(VICTIM);
  here.putTheirs();
  await whileExchanged(here, 'link', LINK_TO_VICTIM, async () => {
    await rounds(() => here.files.replace(NAME, Buffer.from('ours'), attributes, {keepLabels: true}));
  });
  expect(here.look(VICTIM)).toEqual(before);
});

it('replace never says that what somebody else has put there is its own', async () => {
  const here = scene();
  await whileExchanged(here, 'temporary', LINK_TO_VICTIM, async () => {
    await rounds(async () => {
      fs.rmSync(here.real(NAME), {force: true});
      await here.files.replace(NAME, Buffer.from('ours'), attributes);
      expect(fs.lstatSync(here.real(NAME)).isFile()).toBe(true);
    });
  });
});

it('destroy overwrites no other file', async () => {
  const here = scene();
  const before = here.look(VICTIM);
  here.putTheirs();
  const ends = new Set<string>();
  await whileExchanged(here, 'link', LINK_TO_VICTIM, async () => {
    await rounds(
      async () => ends.add(await here.files.destroy(NAME, ({length}) => length > 0)),
      () => ends.has('not-a-file') && (ends.has('destroyed') || ends.has('overwritten')),
    );
  });
  expect(here.look(VICTIM)).toEqual(before);
});

it('append adds to no other file', async () => {
  const here = scene();
  const before = here.look(VICTIM);
  here.putTheirs();
  await whileExchanged(here, 'link', LINK_TO_VICTIM, async () => {
    await rounds(() => here.files.append(NAME, Buffer.from('ours'), attributes));
  });
  expect(here.look(VICTIM)).toEqual(before);
});

it('read and inspect take nothing from a file that they were led to', async () => {
  const here = scene();
  here.putTheirs();
  const found = new Set<string>();
  const add = (content: Uint8Array | undefined): void => {
    found.add(Buffer.from(content ?? []).toString());
  };
  await whileExchanged(here, 'link', LINK_TO_VICTIM, async () => {
    await rounds(
      async () => {
        // Who is not root is led nowhere by a link of its own.
        add(await here.files.read(NAME, {follow: isRoot}));
        add((await here.files.inspect(NAME))?.content);
      },
      () => found.has('mine'),
    );
  });
  expect(found).not.toContain(SECRET);
});

it('setAttributes gives away no file but the one that was seen', async () => {
  const here = scene();
  here.putTheirs();
  fs.writeFileSync(here.real(OTHER), SECRET, {mode: 0o600});
  const victim = fs.lstatSync(here.real(OTHER)).ino;
  const before = here.look(OTHER);
  await whileExchanged(here, 'trade', 'other', async () => {
    await rounds(async () => {
      const seen = await here.files.stat(NAME);
      if (seen === undefined || seen.inode === victim) return;
      await here.files.setAttributes(NAME, {mode: 0o666, ...SOMEBODY}, seen);
    });
  });
  expect(here.look(here.nameOf(victim))).toEqual(before);
});

it('makeDirectory gives away no directory but its own', async () => {
  const here = scene();
  const others = Array.from({length: ROUNDS}, (_, round) => {
    const other = `${OTHER}-${round}`;
    fs.mkdirSync(here.real(other), {mode: 0o700});
    fs.writeFileSync(here.real(`${other}/key`), SECRET);
    return {inode: fs.lstatSync(here.real(other)).ino, before: here.look(other)};
  });
  await whileExchanged(here, 'instead', 'other', async () => {
    await rounds(round => here.files.makeDirectory(absolute(`${NAME}-${round}`), {mode: 0o777, ...SOMEBODY}));
  });
  for (const {inode, before} of others) expect(here.look(here.nameOf(inode))).toEqual(before);
});
