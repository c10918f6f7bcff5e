/**
 * The direction of imports is the architecture (docs/architecture.md): this test reads the real import statements of
 * every file under src/ and holds them against the rules.
 */
import {readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';

const source = path.join(import.meta.dirname, '..', 'src');

const files: readonly string[] = readdirSync(source, {recursive: true, encoding: 'utf8'})
  .filter(name => /\.tsx?$/.test(name))
  .map(name => name.split(path.sep).join('/'))
  .sort();

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
  readonly dynamic: boolean;
}

const STATEMENT =
  /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[\s\S]*?\s+from\s+)?['"]([^'"\n]+)['"]|import\(\s*['"]([^'"\n]+)['"]\s*\)/g;

const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[\s;{}])\/\/[^\n]*/g, '$1');

function importsOf(file: string): readonly Import[] {
  const text = withoutComments(readFileSync(path.join(source, file), 'utf8'));
  return [...text.matchAll(STATEMENT)].map(match => {
    const specifier = match[2] ?? match[3] ?? '';
    const to = specifier.startsWith('.')
      ? path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier))
      : specifier;
    return {from: file, to, typeOnly: match[1] !== undefined, dynamic: match[3] !== undefined};
  });
}

const all: readonly Import[] = files.flatMap(importsOf);
const within = (file: string, ...rooms: readonly string[]): boolean =>
  rooms.some(room => file === room || file.startsWith(`${room}/`));

/** The rooms from left to right; a room may import those of a smaller rank, and those of its own rank. */
const RANKS: readonly (readonly string[])[] = [
  ['domain'],
  ['dkim'],
  ['keys', 'dns', 'milter'],
  ['proof'],
  ['services', 'layouts'],
  ['host'],
  ['plan', 'rotation', 'doctor'],
  ['flow'],
  ['views'],
  ['jobs'],
  ['demo'],
  ['cli'],
  ['bin.ts'],
];

const rankOf = (file: string): number => RANKS.findIndex(rooms => within(file, ...rooms));

/** The first circle that is met on a walk along `edges`, `a -> b -> a`; undefined where there is none. */
function circleIn(edges: ReadonlyMap<string, ReadonlySet<string>>): string | undefined {
  const left = new Set<string>();
  const walk = (at: string, path: readonly string[]): string | undefined => {
    if (path.includes(at)) return [...path.slice(path.indexOf(at)), at].join(' -> ');
    if (left.has(at)) return undefined;
    for (const next of edges.get(at) ?? []) {
      const circle = walk(next, [...path, at]);
      if (circle !== undefined) return circle;
    }
    left.add(at);
    return undefined;
  };
  for (const start of edges.keys()) {
    const circle = walk(start, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

/** Who imports whom, types included, when every file is called as `nameOf` says. */
function edgesBy(nameOf: (file: string) => string): ReadonlyMap<string, ReadonlySet<string>> {
  const edges = new Map<string, Set<string>>();
  for (const {from, to} of all.filter(({to}) => files.includes(to))) {
    const [importer, imported] = [nameOf(from), nameOf(to)];
    if (importer === imported) continue;
    const targets = edges.get(importer) ?? new Set();
    edges.set(importer, targets.add(imported));
  }
  return edges;
}

const show = (found: readonly Import[]): readonly string[] => found.map(({from, to}) => `${from} -> ${to}`);

/** All that is loaded with a file, itself included: types and what is loaded later are not. */
function loadedWith(file: string): ReadonlySet<string> {
  const loaded = new Set<string>();
  const load = (at: string): void => {
    if (loaded.has(at)) return;
    loaded.add(at);
    for (const {from, to, typeOnly, dynamic} of all) {
      if (from === at && !typeOnly && !dynamic && files.includes(to)) load(to);
    }
  };
  load(file);
  return loaded;
}

describe('imports', () => {
  it('are read at all', () => {
    expect(all.length).toBeGreaterThan(50);
    expect(files.every(file => within(file, 'system') || rankOf(file) >= 0)).toBe(true);
  });

  it('flow one way: domain <- dkim <- keys, dns, milter <- proof <- services, layouts <- host <- plan, rotation, doctor <- flow <- views <- jobs <- cli', () => {
    const wrong = all.filter(
      ({from, to}) => rankOf(from) >= 0 && files.includes(to) && rankOf(to) >= 0 && rankOf(to) > rankOf(from),
    );
    expect(show(wrong)).toEqual([]);
  });

  it('go in no circle, from file to file or from room to room, types included', () => {
    expect(
      circleIn(new Map(Object.entries({a: new Set(['b', 'c']), b: new Set(['c']), c: new Set(['b'])}))),
    ).toBe('b -> c -> b');
    expect(circleIn(edgesBy(file => file))).toBeUndefined();
    expect(circleIn(edgesBy(file => file.split('/')[0] ?? file))).toBeUndefined();
  });

  it('keep the engine a library: dkim imports domain and node:crypto only', () => {
    const wrong = all.filter(
      ({from, to}) => within(from, 'dkim') && !within(to, 'dkim', 'domain') && to !== 'node:crypto',
    );
    expect(show(wrong)).toEqual([]);
  });

  it('keep proof below what it judges: messages, milters and records, no program', () => {
    const below = ['proof', 'domain', 'dkim', 'dns', 'milter', 'system/ports.ts'];
    const wrong = all.filter(
      ({from, to}) => within(from, 'proof') && files.includes(to) && !within(to, ...below),
    );
    expect(show(wrong)).toEqual([]);
  });

  it('keep domain free of everything but pure parts of Node', () => {
    const wrong = all.filter(
      ({from, to}) =>
        within(from, 'domain') && !within(to, 'domain') && to !== 'node:url' && to !== 'node:path',
    );
    expect(show(wrong)).toEqual([]);
  });

  it('keep react and ink in views/tui', () => {
    const terminal = /^(react|ink|ink-select-input)($|\/)/;
    const wrong = all.filter(({from, to}) => terminal.test(to) && !within(from, 'views/tui'));
    expect(show(wrong)).toEqual([]);
  });

  it('take the ports as types, and system/real only in cli', () => {
    const ports = all.filter(({to, typeOnly}) => to === 'system/ports.ts' && !typeOnly);
    const real = all.filter(({from, to}) => within(to, 'system/real') && !within(from, 'system/real', 'cli'));
    expect(show([...ports, ...real])).toEqual([]);
  });

  it('give no view a port', () => {
    const wrong = all.filter(({from, to}) => within(from, 'views') && within(to, 'system'));
    expect(show(wrong)).toEqual([]);
  });

  it('keep input and output in system/real and demo', () => {
    const outside = /^node:(fs|fs\/promises|net|dgram|child_process|os|dns|http|https|tls)$/;
    const wrong = all.filter(({from, to}) => outside.test(to) && !within(from, 'system/real', 'demo'));
    expect(show(wrong)).toEqual([]);
  });

  it('load the terminal view only when it is needed', () => {
    const eager = all.filter(
      ({from, to, dynamic, typeOnly}) =>
        within(to, 'views/tui') && !within(from, 'views/tui') && !dynamic && !typeOnly,
    );
    expect(show(eager)).toEqual([]);
  });

  it('leave clock and chance to the ports', () => {
    const wrong = files
      .filter(file => !within(file, 'system/real', 'demo'))
      .filter(file =>
        /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bperformance\.now\(/.test(
          withoutComments(readFileSync(path.join(source, file), 'utf8')),
        ),
      );
    expect(wrong).toEqual([]);
  });

  it('read the key of a record in one place', () => {
    // Those two name what is wrong in a text that is no record: there the reader of dkim/ has nothing to say.
    const diagnosis = ['dns/key-material.ts', 'dns/mistakes-key.ts', 'dns/mistakes.ts'];
    const expression =
      /\/(?:\\.|[^/\n\\])*(?<![A-Za-z])p(?:\\s\*|\[[^\]\n]*\]\*)?(?:=(?!>)|\[=)(?:\\.|[^/\n\\])*\//;
    expect(expression.test(String.raw`const key = /(?:^|;)\s*p\s*=([^;]*)/.exec(text)`)).toBe(true);
    expect(expression.test('value.search(/[ ;]p=[A-Za-z]/)')).toBe(true);
    const wrong = files
      .filter(file => !diagnosis.includes(file))
      .filter(file =>
        withoutComments(readFileSync(path.join(source, file), 'utf8'))
          .split('\n')
          .some(line => expression.test(line)),
      );
    expect(wrong).toEqual([]);
  });

  it('write in few places, each with its reason', () => {
    const writes =
      /\b[fF]iles(?:\(\))?\)?\.(?:replace|create|append|makeDirectory|setAttributes|makeSymlink|remove|removeDirectory|rename|destroy)\(/;
    const places: Readonly<Record<string, string>> = {
      'plan/': 'what a person has seen as a diff, with its journal',
      'keys/stage.ts': 'staged keys, in the state directory',
      'keys/state-directory.ts': 'the state directory itself, and what a crash left in it',
      'rotation/state.ts': 'the state file',
      'rotation/draft.ts': 'the draft',
      'jobs/named-files.ts': 'files that a person names',
      'jobs/shown.ts': 'what a test message has shown, in the state directory',
      'jobs/trial.ts': 'the directory of the trial signer, in the state directory, removed after it',
      'cli/context.ts': 'the log that a person names',
      'demo/': 'the sandbox',
    };
    expect(writes.test('await ports.files.replace(path, content)')).toBe(true);
    expect(writes.test('(await context.outside.files()).create(path)')).toBe(true);
    expect(writes.test('files.read(path)')).toBe(false);
    const found = files.filter(file =>
      withoutComments(readFileSync(path.join(source, file), 'utf8'))
        .split('\n')
        .some(line => writes.test(line)),
    );
    const isAt = (file: string, place: string): boolean =>
      file === place || (place.endsWith('/') && file.startsWith(place));
    expect(found.filter(file => !Object.keys(places).some(place => isAt(file, place)))).toEqual([]);
    // A place that writes no more is taken out of the list.
    expect(Object.keys(places).filter(place => !found.some(file => isAt(file, place)))).toEqual([]);
  });

  it("run no program that writes files, but in plan/ and on what is waxseal's own", () => {
    const program =
      /(?:\brun\(|Argv = )\s*\[\s*'(?:cp|mv|rm|shred|touch|chmod|chown|chgrp|install|ln|mkdir|tee|dd|sed|truncate|setfacl|chattr|restorecon)'/;
    expect(program.test("commands.run(['shred', '-n', '1', path])")).toBe(true);
    const wrong = files
      .filter(file => !within(file, 'system', 'demo'))
      .filter(file => program.test(withoutComments(readFileSync(path.join(source, file), 'utf8'))));
    expect(wrong).toEqual([]);
  });

  it('name a daemon in its own folder only; elsewhere its name comes from the contracts and the facts', () => {
    const word =
      /opendkim|postfix|postconf|postqueue|postsuper|main\.cf|master\.cf|KeyTable|SigningTable|InternalHosts|rspamd|amavis|dkimpy|smtpd_/i;
    const own = /^(?:services\/[^/]+\/|layouts\/|demo\/|services\/registry\.ts$)/;
    // Where its behaviour is written down is no knowledge of it.
    const named = (file: string): readonly string[] =>
      readFileSync(path.join(source, file), 'utf8')
        .split('\n')
        .filter(line => word.test(line.replaceAll(/daemons\/\w+\.md#[\w-]+/g, '')))
        .map(line => `${file}: ${line.trim()}`);
    expect(named('services/postfix/index.ts').length).toBeGreaterThan(5);
    expect(files.filter(file => !own.test(file)).flatMap(named)).toEqual([]);
  });

  it('export by name', () => {
    const wrong = files.filter(file =>
      /\nexport default\b/.test(withoutComments(readFileSync(path.join(source, file), 'utf8'))),
    );
    expect(wrong).toEqual([]);
  });

  it.each(['check', 'status', 'explain', 'record'])('load nothing that changes a host for %s', command => {
    const loaded = [...loadedWith(`cli/commands/${command}.ts`)];
    expect(loaded).toContain('services/look.ts');
    expect(
      loaded.filter(file => within(file, 'plan/apply.ts', 'plan/undo.ts', 'plan/diff.ts', 'views', 'demo')),
    ).toEqual([]);
  });

  it('keep no state in a module: whoever loads it a second time, or shares it, sees the same', () => {
    const state =
      /\n(?:export )?(?:let|var)\b|\n(?:export )?const \w+[^=\n]*= new (?:Map|Set|WeakMap|WeakSet)(?:<[^\n]*>)?\(\);/;
    expect(state.test('\nconst seen = new Map<string, number>();')).toBe(true);
    const wrong = files.filter(file => state.test(`\n${readFileSync(path.join(source, file), 'utf8')}`));
    expect(wrong).toEqual([]);
  });
});

describe('tests', () => {
  it('put no module in the place of another, but where each has a process of its own (vitest.config.ts)', () => {
    const here = import.meta.dirname;
    const wrong = readdirSync(here, {recursive: true, encoding: 'utf8'})
      .filter(name => /\.test\.tsx?$/.test(name) && !name.endsWith('faults.test.ts'))
      .filter(name => /\bvi\s*\.(?:mock|doMock)\(/.test(readFileSync(path.join(here, name), 'utf8')));
    expect(wrong).toEqual([]);
  });
});
