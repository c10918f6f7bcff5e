/** The built program as a process, bundled with the options of what is shipped. */
import {type SpawnOptions, spawn} from 'node:child_process';
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {build} from 'esbuild';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import type {Report} from '../../src/flow/report.ts';
import {pemOf} from '../demo/world.ts';

const top = path.join(import.meta.dirname, '../..');
const scratch = mkdtempSync(path.join(tmpdir(), 'waxseal-program-'));
const program = path.join(scratch, 'dist/waxseal.js');

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface Metafile {
  readonly outputs: Readonly<
    Record<
      string,
      {
        readonly imports: readonly {readonly path: string; readonly kind: string}[];
        readonly inputs: Readonly<Record<string, {readonly bytesInOutput: number}>>;
        readonly entryPoint?: string;
      }
    >
  >;
}

let metafile: Metafile = {outputs: {}};

// Built here once more with the options of the shipped one: other tests may be building dist/ at the same time.
beforeAll(async () => {
  const options = (await import(path.join(top, 'scripts/esbuild-options.mjs'))) as {
    readonly esbuildOptions: Parameters<typeof build>[0];
  };
  writeFileSync(path.join(scratch, 'package.json'), '{"type":"module"}');
  const built = await build({
    ...options.esbuildOptions,
    define: {...options.esbuildOptions.define, WAXSEAL_VERSION: '"1.2.3"'},
    absWorkingDir: top,
    entryPoints: {waxseal: 'src/bin.ts'},
    outdir: path.join(scratch, 'dist'),
    metafile: true,
  });
  metafile = built.metafile;
});

afterAll(() => rmSync(scratch, {recursive: true, force: true}));

function start(argv: readonly string[], options: SpawnOptions = {}) {
  return spawn(process.execPath, [program, ...argv], {
    cwd: scratch,
    env: {PATH: process.env['PATH'] ?? '', TMPDIR: scratch, LANG: 'C.UTF-8'},
    stdio: ['pipe', 'pipe', 'pipe'],
    ...options,
  });
}

async function run(argv: readonly string[], input = '', options: SpawnOptions = {}): Promise<Ended> {
  const child = start(argv, options);
  let [out, err] = ['', ''];
  child.stdout?.setEncoding('latin1').on('data', text => {
    out += String(text);
  });
  child.stderr?.setEncoding('utf8').on('data', text => {
    err += String(text);
  });
  child.stdin?.on('error', () => undefined).end(input, 'latin1');
  const code = await new Promise<number | null>(resolve => {
    child.on('close', resolve);
  });
  return {code, out, err};
}

/**
 * Waits until a process has its listeners for signals, however long it takes to start. The one for a hang-up is the last
 * of them, and the only one that Node does not have by itself.
 */
async function listening(pid: number | undefined): Promise<void> {
  for (;;) {
    const [, caught = '0'] =
      /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    if ((BigInt(`0x${caught}`) & 1n) === 1n) return;
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}

describe('the program', () => {
  it('tells its version and its help', async () => {
    expect(await run(['--version'])).toEqual({code: 0, out: 'waxseal 1.2.3\n', err: ''});
    expect((await run(['--help'])).out).toContain('Usage: waxseal');
    expect((await run(['setup', '-h'])).out).toContain('Usage: waxseal setup');
  });

  it('ends with exit 2 where a flag is unknown or nobody can be asked', async () => {
    const unknown = await run(['setup', '--doman', 'example.org']);
    expect(unknown).toMatchObject({code: 2, out: ''});
    expect(unknown.err).toContain('Did you mean --domain?');
    const alone = await run([]);
    expect(alone).toMatchObject({code: 2, out: ''});
    expect(alone.err).toContain('no terminal');
  });

  it('signs and verifies through pipes', async () => {
    writeFileSync(path.join(scratch, 'key.pem'), pemOf({algorithm: 'rsa', bits: 2048}));
    const {createPublicKey} = await import('node:crypto');
    const der = createPublicKey(readFileSync(path.join(scratch, 'key.pem')));
    const record = `v=DKIM1; p=${der.export({type: 'spki', format: 'der'}).toString('base64')}`;
    const body = 'a line of text that is long enough\n'.repeat(40_000);
    const signed = await run(
      ['sign', '--key', 'key.pem', '--domain', 'example.org', '--selector', 's'],
      `From: a@example.org\nSubject: large\n\n${body}`,
    );
    expect(signed.code, signed.err).toBe(0);
    const verified = await run(['verify', '--record', record], signed.out);
    expect(verified.code, verified.out).toBe(0);
    expect(verified.out).toMatch(/^pass {2}d=example\.org s=s a=rsa-sha256/);
  });

  it('shows the whole job in the sandbox and leaves nothing behind', async () => {
    // So deep that the names of its sockets are longer than unix(7) takes.
    const deep = path.join(scratch, 'deep'.repeat(20));
    mkdirSync(deep);
    const before = readdirSync(scratch);
    const environment = {PATH: process.env['PATH'] ?? '', TMPDIR: deep, LANG: 'C.UTF-8'};
    const demo = await run(['demo', '--lag', '300ms', '--json', '--output', 'record.txt'], '', {
      env: environment,
    });
    expect(demo.code, demo.err).toBe(0);
    const report = JSON.parse(demo.out) as Report;
    expect(report).toMatchObject({
      command: 'demo',
      result: 'ok',
      changed: true,
      domains: [{state: 'active'}],
    });
    expect(readdirSync(scratch).filter(name => !before.includes(name))).toEqual(['record.txt']);
    expect(readdirSync(deep)).toEqual([]);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 143],
  ] as const)('ends verify by %s with exit %i, though its input never ends', async (signal, code) => {
    const child = start(['verify', '--json']);
    child.stdin?.write('From: a@example.org\n');
    let out = '';
    child.stdout?.on('data', text => {
      out += String(text);
    });
    await listening(child.pid);
    child.kill(signal);
    expect(await new Promise(resolve => child.on('close', resolve))).toBe(code);
    expect(JSON.parse(out)).toMatchObject({command: 'verify', exitCode: code, result: 'failed'});
  });

  it('ends the demo by SIGTERM with exit 143 and leaves nothing behind', async () => {
    const before = readdirSync(scratch);
    const child = start(['demo', '--lag', '20s']);
    let out = '';
    const waiting = new Promise<void>(resolve => {
      child.stdout?.on('data', text => {
        out += String(text);
        if (out.includes('servers have it')) resolve();
      });
    });
    await waiting;
    child.kill('SIGTERM');
    expect(await new Promise(resolve => child.on('close', resolve))).toBe(143);
    expect(readdirSync(scratch)).toEqual(before);
  });

  it.each([['--help'], ['setup', '--help'], ['demo', '--lag', '200ms']])(
    'prints no stack where nobody reads %s any more',
    async (...argv) => {
      const child = start(argv);
      child.stdout?.destroy();
      let err = '';
      child.stderr?.on('data', text => {
        err += String(text);
      });
      child.stdin?.end();
      expect(await new Promise(resolve => child.on('close', resolve))).toBe(0);
      expect(err).not.toMatch(/\n\s+at |EPIPE|unsettled/);
    },
    60_000,
  );
});

describe('what is loaded', () => {
  /** Source files and packages that come with an output, without what is only imported when it is needed. */
  function eager(output: string, seen = new Set<string>()): ReadonlySet<string> {
    const inputs = new Set<string>();
    const visit = (name: string): void => {
      if (seen.has(name)) return;
      seen.add(name);
      const found = metafile.outputs[name];
      for (const input of Object.keys(found?.inputs ?? {})) inputs.add(input);
      for (const {path: next, kind} of found?.imports ?? []) {
        if (kind === 'import-statement' && metafile.outputs[next] !== undefined) visit(next);
      }
    };
    visit(output);
    return inputs;
  }

  const outputOf = (source: string): string => {
    const found = Object.entries(metafile.outputs).find(([, {entryPoint}]) => entryPoint === source);
    if (found === undefined) throw new Error(`no output of its own for ${source}`);
    return found[0];
  };

  const terminal = (inputs: ReadonlySet<string>): readonly string[] =>
    [...inputs].filter(input =>
      /node_modules\/(ink|react|yoga|ink-select-input)[/-]|src\/views\/tui/.test(input),
    );

  it('is a bundle with Ink in it, but not for the start', () => {
    const all = new Set(Object.values(metafile.outputs).flatMap(({inputs}) => Object.keys(inputs)));
    expect(terminal(all).length).toBeGreaterThan(10);
    expect(terminal(eager(outputOf('src/bin.ts')))).toEqual([]);
    expect(terminal(eager(outputOf('src/cli/main.ts')))).toEqual([]);
  });

  it.each([
    'status',
    'check',
    'explain',
    'test',
    'record',
    'sign',
    'verify',
    'undo',
    'remove',
    'setup',
    'rotate',
    'export',
    'import',
    'demo',
  ])('%s comes without Ink and React until a wizard is shown', command => {
    const inputs = eager(outputOf(`src/cli/commands/${command}.ts`));
    expect(inputs.size).toBeGreaterThan(2);
    expect(terminal(inputs)).toEqual([]);
  });

  it('--version and --help read no command and nothing of system/real', () => {
    const inputs = [...eager(outputOf('src/bin.ts')), ...eager(outputOf('src/cli/main.ts'))];
    const heavy = inputs.filter(input => /src\/(system|flow|dns|services|plan|cli\/commands)\//.test(input));
    // Words of flags, and the form of a report: data alone.
    expect(heavy.sort()).toEqual(['src/flow/question-flags.ts', 'src/flow/report.ts']);
  });
});

describe('the notices of what is bundled', () => {
  interface Notices {
    readonly thirdPartyNotices: (metafiles: readonly Pick<Metafile, 'outputs'>[], top: string) => string;
  }
  const notices = async (): Promise<Notices['thirdPartyNotices']> =>
    ((await import(path.join(top, 'scripts/third-party-notices.mjs'))) as Notices).thirdPartyNotices;

  it('hold the licence of every package', async () => {
    const inputs = Object.values(metafile.outputs).flatMap(output => Object.entries(output.inputs));
    const packages = inputs.flatMap(([input, {bytesInOutput}]) => {
      const name = /^.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1];
      return name === undefined || bytesInOutput === 0 ? [] : [name];
    });
    expect(packages).toContain('node-forge');
    const sections = (await notices())([metafile], top)
      .split(/^-{78}\n/m)
      .slice(1);
    expect([...new Set(sections.map(section => section.split(' ')[0]))]).toEqual(
      [...new Set(packages)].sort(),
    );
    for (const section of sections)
      expect(section).toMatch(/Copyright[\s\S]*(Permission|Redistribution|warrant)/i);
  });

  it('fail the build where a package came without one', async () => {
    const folder = path.join(scratch, 'node_modules/bare');
    mkdirSync(folder, {recursive: true});
    writeFileSync(path.join(folder, 'package.json'), '{"name":"bare","version":"1.0.0","license":"MIT"}');
    const outputs = {out: {imports: [], inputs: {'node_modules/bare/index.js': {bytesInOutput: 1}}}};
    const make = await notices();
    expect(() => make([{outputs}], scratch)).toThrow('bare has no licence file');
  });
});
