import fs from 'node:fs';
import {describe, expect, it} from 'vitest';
import {type AbsolutePath, absolute} from '../../src/domain/paths.ts';
import {
  applyPlan,
  listRuns,
  type Plan,
  planUndo,
  readRuns,
  recoverRun,
  undoRun,
} from '../../src/plan/index.ts';
import {openJournal, readJournal} from '../../src/plan/journal.ts';
import {scratchWorld} from './scratch-world.ts';
import {fingerprint, setupPlan, stageSecret, type World} from './world.ts';

const never = new AbortController().signal;
const quiet = (): void => undefined;

interface Applied {
  readonly world: World;
  readonly plan: Plan;
  readonly directory: string;
  readonly journal: string;
}

async function applied(): Promise<Applied> {
  const world = scratchWorld();
  await stageSecret(world.ports.files);
  const plan = await setupPlan(world.ports.files, world.ports);
  expect((await applyPlan(world.ports, plan, world.hooks, quiet, never)).result).toBe('applied');
  const directory = world.real(`/var/lib/waxseal/runs/${plan.id}`);
  return {world, plan, directory, journal: `${directory}/journal.jsonl`};
}

/** As versions without sums wrote it. */
const withoutSums = (text: string): string =>
  text.replaceAll(/,"sum":"[0-9a-f]{16}"\}$/gm, '}').replace(/,"plan":"[0-9a-f]{64}"/, '');

const linesOf = (file: string): string[] => fs.readFileSync(file, 'utf8').trimEnd().split('\n');

/** `linesOf` with the line at `index` as `change` makes it; undefined leaves it out. */
function changeLine(file: string, index: number, change: (line: string) => string | undefined): void {
  const lines = linesOf(file);
  const changed = lines.flatMap((line, at) => (at === index ? (change(line) ?? []) : line));
  fs.writeFileSync(file, `${changed.join('\n')}\n`);
}

const middle = (file: string): number => Math.floor(linesOf(file).length / 2);

const DAMAGE: readonly (readonly [string, string, (of: Applied) => void])[] = [
  ['a journal that is gone', 'journal.jsonl', ({journal}) => fs.rmSync(journal)],
  ['an empty journal', 'journal.jsonl', ({journal}) => fs.writeFileSync(journal, '')],
  [
    'random octets for a journal',
    'journal.jsonl',
    ({journal}) =>
      fs.writeFileSync(
        journal,
        Uint8Array.from({length: 200}, (_, at) => (at * 181 + 7) % 256),
      ),
  ],
  [
    'a first line that is torn',
    'journal.jsonl',
    ({journal}) => changeLine(journal, 0, line => line.slice(0, 20)),
  ],
  ['a first line that is lost', 'journal.jsonl', ({journal}) => changeLine(journal, 0, () => undefined)],
  [
    'garbage in the middle',
    'journal.jsonl',
    ({journal}) => changeLine(journal, middle(journal), () => 'garbage'),
  ],
  [
    'a torn line in the middle',
    'journal.jsonl',
    ({journal}) => changeLine(journal, middle(journal), line => line.slice(0, 40)),
  ],
  [
    'a line lost in the middle',
    'journal.jsonl',
    ({journal}) => changeLine(journal, middle(journal), () => undefined),
  ],
  [
    'another hash in an old journal',
    'journal.jsonl',
    ({journal}) => {
      fs.writeFileSync(journal, withoutSums(fs.readFileSync(journal, 'utf8')));
      const at = linesOf(journal).findIndex(line => /"sha256":"[0-9a-f]{64}"/.test(line));
      changeLine(journal, at, line => line.replace(/"sha256":"[0-9a-f]{64}"/, '"sha256":"f00"'));
    },
  ],
  [
    'a mark of an old journal that nobody knows',
    'journal.jsonl',
    ({journal}) => {
      fs.writeFileSync(journal, withoutSums(fs.readFileSync(journal, 'utf8')));
      changeLine(journal, middle(journal), line => line.replace(/"mark":"[a-z]+"/, '"mark":"planned"'));
    },
  ],
  [
    'a step of an old journal that never began',
    'journal.jsonl',
    ({journal}) => {
      fs.writeFileSync(journal, withoutSums(fs.readFileSync(journal, 'utf8')));
      const at = linesOf(journal).findIndex(line => line.includes('"mark":"intent"'));
      changeLine(journal, at, () => undefined);
    },
  ],
  [
    'a journal that is a directory',
    'journal.jsonl',
    ({journal}) => {
      fs.rmSync(journal);
      fs.mkdirSync(journal);
    },
  ],
  ['a plan cut off', 'plan.json', ({directory}) => fs.truncateSync(`${directory}/plan.json`, 1000)],
  [
    'a plan that was changed',
    'plan.json',
    ({directory}) => {
      const text = fs.readFileSync(`${directory}/plan.json`, 'utf8');
      fs.writeFileSync(`${directory}/plan.json`, text.replace('DKIM for', 'DKIM of'));
    },
  ],
  ['a plan that is gone', 'plan.json', ({directory}) => fs.rmSync(`${directory}/plan.json`)],
  ['copies that are gone', 'backups/0001', ({directory}) => fs.rmSync(`${directory}/backups/0001`)],
  [
    'copies and journal that are gone',
    'journal.jsonl',
    ({directory, journal}) => {
      fs.rmSync(journal);
      fs.rmSync(`${directory}/plan.json`);
    },
  ],
];

describe('a damaged run', () => {
  it.each(DAMAGE)('%s: %s is named, and nothing is changed any more', async (_, name, damage) => {
    const of = await applied();
    const {world, plan, directory} = of;
    damage(of);
    const before = await fingerprint(world);
    const {runs, damaged} = await readRuns(world.ports);
    expect(runs).toEqual([]);
    expect(damaged).toMatchObject([{id: 'run.damaged'}]);
    expect(damaged[0]?.message).toContain(`/var/lib/waxseal/runs/${plan.id}/${name}`);

    await expect(listRuns(world.ports)).rejects.toMatchObject({id: 'run.damaged', exitCode: 5});
    const next = await applyPlan(
      world.ports,
      await setupPlan(world.ports.files, world.ports),
      world.hooks,
      quiet,
      never,
    );
    expect(next).toMatchObject({result: 'refused', error: {id: 'run.damaged', exitCode: 5}});
    await expect(undoRun(world.ports, plan.id, world.hooks, quiet)).rejects.toMatchObject({
      id: 'run.damaged',
    });
    expect(await fingerprint(world)).toBe(before);

    // The way out that is named.
    fs.renameSync(directory, `${directory}.damaged`);
    expect(await readRuns(world.ports)).toEqual({runs: [], damaged: []});
  });

  it('is one whose directory is a link', async () => {
    const {world, directory} = await applied();
    fs.renameSync(directory, `${directory}-real`);
    fs.symlinkSync(`${directory}-real`, directory);
    expect((await readRuns(world.ports)).damaged).toMatchObject([{id: 'run.damaged'}]);
  });

  it.each([
    ['journal.jsonl', 0o666],
    ['plan.json', 0o640],
    ['backups', 0o777],
    ['', 0o755],
  ])('is one whose %s others may touch: mode %o', async (name, mode) => {
    const {world, directory} = await applied();
    fs.chmodSync(`${directory}/${name}`, mode);
    expect((await readRuns(world.ports)).damaged).toMatchObject([{id: 'state.unsafe'}]);
    fs.chmodSync(`${directory}/${name}`, mode & 0o700);
    expect((await readRuns(world.ports)).damaged).toEqual([]);
  });
});

describe('a journal', () => {
  it('is found out for every octet that is another one, and for every line that is missing', async () => {
    const {world, journal} = await applied();
    const sound = fs.readFileSync(journal);
    for (let at = 0; at < sound.length - 1; at += 31) {
      const changed = Buffer.from(sound);
      changed[at] = (changed[at] ?? 0) ^ 1;
      fs.writeFileSync(journal, changed);
      expect((await readRuns(world.ports)).damaged, `octet ${at}`).toHaveLength(1);
    }
    const count = linesOf(journal).length;
    for (let at = 0; at < count - 1; at += 1) {
      fs.writeFileSync(journal, sound);
      changeLine(journal, at, () => undefined);
      expect((await readRuns(world.ports)).damaged, `line ${at}`).toHaveLength(1);
    }
  });

  it('that a crash cut off anywhere behind its first line is no damage, and is gone on with', async () => {
    const {world, plan, journal} = await applied();
    const sound = fs.readFileSync(journal);
    const first = sound.indexOf('\n') + 1;
    for (let end = first; end < sound.length; end += 97) {
      fs.writeFileSync(journal, sound.subarray(0, end));
      const {runs, damaged} = await readRuns(world.ports);
      expect(damaged, `${end}`).toEqual([]);
      expect(runs, `${end}`).toMatchObject([{status: 'begun'}]);
    }
    fs.writeFileSync(journal, sound.subarray(0, sound.length - 20));
    const [run] = await listRuns(world.ports);
    if (run === undefined) throw new Error('no run');
    expect(await recoverRun(world.ports, run, world.hooks, quiet)).toMatchObject({result: 'rolled-back'});
    expect(await readRuns(world.ports)).toMatchObject({runs: [{status: 'rolled-back'}], damaged: []});
    expect((await readJournal(world.ports, plan.id)).length).toBeGreaterThan(20);
  });

  it('without sums, and mended as it once was, is read and gone on with', async () => {
    const {world, plan, journal} = await applied();
    fs.writeFileSync(journal, withoutSums(fs.readFileSync(journal, 'utf8')));
    expect(await listRuns(world.ports)).toMatchObject([{status: 'applied'}]);
    expect((await planUndo(world.ports, plan.id)).ok).toBe(true);
    expect(await undoRun(world.ports, plan.id, world.hooks, quiet)).toMatchObject({result: 'undone'});
    expect(await listRuns(world.ports)).toMatchObject([{status: 'undone'}]);

    const lines = linesOf(journal).filter(line => !line.includes('"applied"'));
    const last = lines.findLastIndex(line => line.includes('"mark":"done"'));
    const torn = lines.map((line, at) => (at === last ? line.slice(0, 50) : line)).join('\n');
    fs.writeFileSync(journal, withoutSums(`${torn}\n`));
    expect(await listRuns(world.ports)).toMatchObject([{status: 'undone'}]);
  });

  it('is not glued to what a write that failed has left', async () => {
    const {world, plan, journal} = await applied();
    const {files} = world.ports;
    let fails = true;
    const append = async (...call: Parameters<typeof files.append>): Promise<void> => {
      const [path, content, as] = call;
      if (!fails) return await files.append(...call);
      fails = false;
      await files.append(path, content.subarray(0, 10), as);
      throw new Error('disk full');
    };
    const open = openJournal({...world.ports, files: {...files, append}}, plan.id);
    await expect(open.write({run: 'undoing'})).rejects.toThrow('disk full');
    await open.write({run: 'undoing'});
    await open.write({run: 'undone'});
    expect(await listRuns(world.ports)).toMatchObject([{status: 'undone'}]);
    expect(linesOf(journal).at(-1)).toContain('"run":"undone"');
  });

  it('begins before its plan: a crash between the two has changed nothing', async () => {
    const {world, directory, journal} = await applied();
    const [begun] = linesOf(journal);
    fs.rmSync(directory, {recursive: true});
    const keep = (path: AbsolutePath): Promise<void> =>
      world.ports.files.makeDirectory(path, {mode: 0o700, uid: 0, gid: 0});
    const run = absolute(directory.slice(world.root.length));
    await keep(run);
    await world.ports.files.create(absolute(`${run}/journal.jsonl`), Buffer.from(`${begun}\n`), {
      mode: 0o600,
      uid: 0,
      gid: 0,
    });
    expect(await readRuns(world.ports)).toEqual({runs: [], damaged: []});
  });
});

it('a copy that is another one is not put back', async () => {
  const {world, plan, directory} = await applied();
  fs.writeFileSync(`${directory}/backups/0002`, 'something else');
  await expect(planUndo(world.ports, plan.id)).rejects.toMatchObject({id: 'backup.damaged'});
});
