// Changes the source in one small place after the other and runs the tests that concern it: a mutant that no test
// notices is a line that nobody checks.
//
//   npm run mutate -- [--count 60] [--seed 1] [--rooms services,rotation,…] [--file PATH[:LINE]] [--from 1] [--to 60]
//                     [--only-own] [--workers 2] [--list] [--json FILE]
//
// A mutant is killed by the tests nearest to its file, by the types, by the others of its own room, or (without
// --only-own) by all other tests and sessions that load its file. --from and --to go on where a run was ended.
// Works in a copy; the checkout is only read. Exit 0 when at least 90 % are killed.
import {spawnSync} from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {setImmediate} from 'node:timers/promises';
import {parseArgs} from 'node:util';
import {parseSync} from 'rolldown/utils';

const top = path.resolve(import.meta.dirname, '..');
const {values: flags} = parseArgs({
  options: {
    count: {type: 'string', default: '60'},
    seed: {type: 'string', default: '1'},
    rooms: {type: 'string', default: 'services,rotation,jobs,plan,system/real,keys'},
    file: {type: 'string'},
    list: {type: 'boolean', default: false},
    json: {type: 'string'},
    'only-own': {type: 'boolean', default: false},
    from: {type: 'string', default: '1'},
    to: {type: 'string'},
    workers: {type: 'string', default: '2'},
  },
});

/** Rooms of src to the folders of tests that are their own. */
const TESTS = {
  services: ['test/services'],
  rotation: ['test/rotation', 'test/sessions/rotation.test.ts', 'test/sessions/disposal.test.ts'],
  plan: ['test/plan'],
  'system/real': ['test/system'],
  keys: ['test/keys'],
  proof: ['test/proof'],
  host: ['test/host'],
  jobs: ['test/jobs', 'test/sessions/rotation.test.ts', 'test/sessions/disposal.test.ts'],
};
const LIMIT_MS = 15 * 60_000;
/** Test files that are asked first: most mutants end there. */
const NEAREST = 4;
/** How far below a mutant the compiler may find fault with it: the length of a function. */
const SCOPE_LINES = 40;
/** Tests that run the bundle. */
const BUILT = ['test/cli/program.test.ts'];

/** A generator of numbers in [0, 1), the same for the same seed (mulberry32). */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const OTHER_OPERATOR = {
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '===': '!==',
  '!==': '===',
  '&&': '||',
  '||': '&&',
  '+': '-',
  '-': '+',
  '*': '/',
  '&': '|',
};

const isOctal = node => /^0o/.test(node.raw ?? '');
// A time limit or a size that is one more than it was is no mistake; a mode, a count or an index is.
const isTelling = node => isOctal(node) || node.value < 1000;

/** Every place of a file that could be changed: what stands there, what would, and where (offsets of UTF-16 units). */
function sitesOf(file, text) {
  const sites = [];
  const add = (start, end, to, kind) =>
    sites.push({file, start, end, from: text.slice(start, end), to, kind});
  const visit = (node, parent) => {
    if (node === null || typeof node !== 'object') return;
    if (Array.isArray(node)) {
      for (const each of node) visit(each, parent);
      return;
    }
    if (typeof node.type !== 'string') return;
    // Types are erased: no test can see them.
    if (/^TS(?!NonNull|As|Satisfies)/.test(node.type) || node.type === 'ImportDeclaration') return;
    siteOf(node, parent);
    for (const [name, value] of Object.entries(node)) {
      if (name !== 'type' && typeof value === 'object') visit(value, node);
    }
  };
  const siteOf = (node, parent) => {
    switch (node.type) {
      case 'BinaryExpression':
      case 'LogicalExpression': {
        const to = OTHER_OPERATOR[node.operator];
        const isText = [node.left, node.right].some(
          side =>
            side.type === 'TemplateLiteral' || (side.type === 'Literal' && typeof side.value === 'string'),
        );
        if (to === undefined || (isText && node.operator === '+')) return;
        const at = text.indexOf(node.operator, node.left.end);
        if (at >= 0 && at < node.right.start) add(at, at + node.operator.length, to, 'operator');
        return;
      }
      case 'Literal':
        if (parent?.type === 'ExpressionStatement' || parent?.type === 'ImportExpression') return;
        if (typeof node.value === 'boolean') add(node.start, node.end, String(!node.value), 'literal');
        else if (typeof node.value === 'number' && isTelling(node)) {
          const to = isOctal(node) ? `0o${(node.value ^ 0o2).toString(8)}` : String(node.value + 1);
          add(node.start, node.end, to, 'literal');
        }
        return;
      case 'UnaryExpression':
        if (node.operator === '!') add(node.start, node.argument.start, '', 'not');
        return;
      case 'IfStatement':
        add(node.test.start, node.test.end, 'false', 'branch never');
        return;
      case 'ConditionalExpression':
        add(
          node.test.start,
          node.test.end,
          `!(${text.slice(node.test.start, node.test.end)})`,
          'branch swapped',
        );
        return;
      case 'ExpressionStatement':
        if (node.expression.type === 'AwaitExpression' || node.expression.type === 'CallExpression') {
          add(node.start, node.end, ';', 'call removed');
        }
        return;
    }
  };
  visit(parseSync(file, text).program, undefined);
  return sites;
}

function filesOf(room) {
  return readdirSync(path.join(top, 'src', room), {recursive: true, encoding: 'utf8'})
    .filter(name => /\.ts$/.test(name))
    .map(name => path.posix.join('src', room, name.split(path.sep).join('/')))
    .sort();
}

const lineOf = (text, at) => text.slice(0, at).split('\n').length;

/** As many sites of each room as its share says, none twice, drawn by the seed. */
function choose() {
  const random = randomFrom(Number(flags.seed));
  if (flags.file !== undefined) {
    const [file, line] = flags.file.split(':');
    const text = readFileSync(path.join(top, file), 'utf8');
    return sitesOf(file, text)
      .filter(site => line === undefined || lineOf(text, site.start) === Number(line))
      .map(site => ({...site, line: lineOf(text, site.start)}));
  }
  const rooms = flags.rooms.split(',');
  const chosen = [];
  for (const [index, room] of rooms.entries()) {
    const sites = filesOf(room).flatMap(file => {
      const text = readFileSync(path.join(top, file), 'utf8');
      return sitesOf(file, text).map(site => ({...site, line: lineOf(text, site.start)}));
    });
    const share = Math.floor(((index + 1) * Number(flags.count)) / rooms.length) - chosen.length;
    for (let count = 0; count < share && sites.length > 0; count += 1) {
      chosen.push(...sites.splice(Math.floor(random() * sites.length), 1));
    }
  }
  return chosen;
}

const roomOf = file => Object.keys(TESTS).find(room => file.startsWith(`src/${room}/`));

function run(copy, command, ...words) {
  const result = spawnSync(command, words, {
    cwd: copy,
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    env: {...process.env, WAXSEAL_SESSIONS: '1', NODE_OPTIONS: '', NO_COLOR: '1'},
  });
  // What does not come to an end is noticed, too.
  return {isGreen: result.status === 0, output: `${result.stdout}${result.stderr}`};
}

/** The first failing test, `FILE > NAME`; undefined where the run did not come so far. */
const failingTest = output => /^ *FAIL +(\S+\.test\.tsx?.*)$/m.exec(output)?.[1];

const filesUnder = folder =>
  readdirSync(path.join(top, folder), {recursive: true, encoding: 'utf8'})
    .map(name => path.posix.join(folder, name.split(path.sep).join('/')))
    .filter(name => /\.tsx?$/.test(name));

/** Who imports each file of src and test: path to the paths that name it in an import. */
function importers() {
  const by = new Map();
  for (const file of [...filesUnder('src'), ...filesUnder('test')]) {
    // A file of which only types are used is not run.
    const text = readFileSync(path.join(top, file), 'utf8').replace(/^(?:import|export) type [^;]*;/gm, '');
    for (const [, to] of text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)) {
      const target = path.posix.join(path.posix.dirname(file), to);
      by.set(target, [...(by.get(target) ?? []), file]);
    }
  }
  return by;
}

/** The tests that import a file by the shortest ways, nearest first; the lab has its own machine. */
function nearest(file, imported) {
  const seen = new Set([file]);
  const tests = [];
  for (let ring = [file]; ring.length > 0; ) {
    ring = ring.flatMap(each => imported.get(each) ?? []).filter(each => !seen.has(each) && seen.add(each));
    tests.push(
      ...ring.filter(each => /\.test\.tsx?$/.test(each) && !/^test\/(?:lab|bench|pty)\//.test(each)),
    );
  }
  return tests;
}

const isIn = tests => test => tests.some(each => test === each || test.startsWith(`${each}/`));

/** Tests in the order in which they are asked: the nearest, those of the room, everything that loads the file. */
function* rounds(mutant, imported) {
  const near = nearest(mutant.file, imported);
  const own = near.filter(isIn(TESTS[roomOf(mutant.file)] ?? []));
  const isQuick = test => !test.startsWith('test/sessions/');
  const first = [...own.filter(isQuick), ...near.filter(isQuick)].slice(0, NEAREST);
  yield [...new Set(first)];
  yield own.filter(test => !first.includes(test));
  if (!flags['only-own']) yield near.filter(test => !first.includes(test) && !own.includes(test));
}

/** Who notices, or undefined. `isSuspect`: the compiler may. */
function killer(copy, mutant, imported, isSuspect) {
  let isBuilt = false;
  for (const [round, tests] of [...rounds(mutant, imported)].entries()) {
    if (round === 1 && isSuspect && !run(copy, 'npx', 'tsc', '--noEmit').isGreen) return 'types';
    if (tests.length === 0) continue;
    if (!isBuilt && tests.some(test => BUILT.includes(test))) {
      run(copy, process.execPath, 'scripts/build.mjs');
      isBuilt = true;
    }
    const ran = run(copy, 'npx', 'vitest', 'run', '--bail', '1', '--maxWorkers', flags.workers, ...tests);
    if (!ran.isGreen) return failingTest(ran.output) ?? tests[0];
  }
  return undefined;
}

/** A test that is red without a mutant, too, kills none: each that was red is run once more on the right source. */
function createControl(copy) {
  const known = new Map();
  return by => {
    const [file] = by.split(' ');
    if (by !== 'types' && !known.has(file)) known.set(file, run(copy, 'npx', 'vitest', 'run', file).isGreen);
    return known.get(file) ?? true;
  };
}

/** The text with all these changes; of two that overlap, the first. */
function mutated(text, changes) {
  let out = '';
  let at = 0;
  for (const {start, end, to} of changes.toSorted((a, b) => a.start - b.start)) {
    if (start < at) continue;
    out += text.slice(at, start) + to;
    at = end;
  }
  return out + text.slice(at);
}

/** The mutants that may not compile: all are compiled at once, and these stand near what the compiler found. */
function suspects(copy, mutants) {
  const files = new Set(mutants.map(({file}) => file));
  for (const file of files) {
    const own = mutants.filter(each => each.file === file);
    writeFileSync(path.join(copy, file), mutated(readFileSync(path.join(top, file), 'utf8'), own));
  }
  const {output} = run(copy, 'npx', 'tsc', '--noEmit', '--pretty', 'false');
  for (const file of files) cpSync(path.join(top, file), path.join(copy, file));
  const found = [...output.matchAll(/^(src\/[^(]+)\((\d+),/gm)];
  const isNear = ({file, line}) =>
    found.some(([, where, row]) => where === file && Math.abs(Number(row) - line) < SCOPE_LINES);
  return new Set(mutants.filter(isNear));
}

const drawn = choose();
const mutants = drawn.slice(Number(flags.from) - 1, flags.to === undefined ? undefined : Number(flags.to));
const show = ({file, line, kind, from, to}) =>
  `${file}:${line} ${kind}: ${JSON.stringify(from.length > 60 ? `${from.slice(0, 60)}…` : from)} -> ${JSON.stringify(to.length > 60 ? `${to.slice(0, 60)}…` : to)}`;

if (flags.list) {
  for (const mutant of mutants) console.log(show(mutant));
  process.exit(0);
}

const scratch = mkdtempSync(path.join(tmpdir(), 'waxseal-mutate-'));
// Some tests run a part of themselves as another user.
chmodSync(scratch, 0o755);
const copy = path.join(scratch, 'checkout');
const stop = () => {
  rmSync(scratch, {recursive: true, force: true});
  process.exit(130);
};
process.on('SIGINT', stop);
process.on('SIGTERM', stop);
const report = [];
try {
  cpSync(top, copy, {
    recursive: true,
    filter: from => !/(^|\/)(node_modules|\.git|dist)$/.test(path.relative(top, from)),
  });
  symlinkSync(path.join(top, 'node_modules'), path.join(copy, 'node_modules'));
  const imported = importers();
  const isRight = createControl(copy);
  const suspected = suspects(copy, mutants);
  for (const [index, mutant] of mutants.entries()) {
    const at = path.join(copy, mutant.file);
    const text = readFileSync(at, 'utf8');
    writeFileSync(at, mutated(text, [mutant]));
    const by = killer(copy, mutant, imported, suspected.has(mutant));
    writeFileSync(at, text);
    // A signal that came meanwhile is heard now: what it ended was killed by no test.
    await setImmediate();
    if (by !== undefined && !isRight(by)) throw new Error(`${by} is red without a mutant`);
    report.push({...mutant, by});
    console.log(
      `${Number(flags.from) + index}/${drawn.length} ${by === undefined ? 'SURVIVED' : `killed by ${by}`}: ${show(mutant)}`,
    );
    if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(report, undefined, 1)}\n`);
  }
} finally {
  rmSync(scratch, {recursive: true, force: true});
}
const killed = report.filter(({by}) => by !== undefined).length;
console.log(`${killed} of ${report.length} killed (${Math.floor((100 * killed) / report.length)} %)`);
for (const each of report.filter(({by}) => by === undefined)) console.log(`  survived: ${show(each)}`);
process.exitCode = killed >= 0.9 * report.length ? 0 : 1;
