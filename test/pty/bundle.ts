/** Bundles the test program once, with the options of the real one, into a directory of its own. */
import {mkdtempSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {build} from 'esbuild';

const OPTIONS = new URL('../../scripts/esbuild-options.mjs', import.meta.url).href;

export interface Bundle {
  readonly directory: string;
  readonly program: string;
  /** All code of the bundle. */
  readonly code: string;
}

export async function bundleProgram(): Promise<Bundle> {
  const {esbuildOptions} = (await import(OPTIONS)) as {esbuildOptions: Parameters<typeof build>[0]};
  const directory = mkdtempSync(path.join(tmpdir(), 'waxseal-pty-'));
  writeFileSync(path.join(directory, 'package.json'), '{"type":"module"}\n');
  await build({
    ...esbuildOptions,
    sourcemap: false,
    entryPoints: {program: path.join(import.meta.dirname, 'program.ts')},
    outdir: directory,
  });
  const files = readdirSync(directory, {recursive: true, encoding: 'utf8'}).filter(name =>
    name.endsWith('.js'),
  );
  return {
    directory,
    program: path.join(directory, 'program.js'),
    code: files.map(name => readFileSync(path.join(directory, name), 'utf8')).join('\n'),
  };
}
