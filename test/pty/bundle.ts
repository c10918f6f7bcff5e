/** Bundles a program with the options of the real one, into a directory of its own. */
import {mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {build} from 'esbuild';

const OPTIONS = new URL('../../scripts/esbuild-options.mjs', import.meta.url).href;

export interface Bundle {
  readonly directory: string;
  readonly program: string;
  /** All code of the bundle. */
  readonly code: string;
  remove(): void;
}

/** @param entry relative to this directory */
export async function bundle(entry: string): Promise<Bundle> {
  const {esbuildOptions} = (await import(OPTIONS)) as {esbuildOptions: Parameters<typeof build>[0]};
  const directory = mkdtempSync(path.join(tmpdir(), 'waxseal-pty-'));
  writeFileSync(path.join(directory, 'package.json'), '{"type":"module"}\n');
  await build({
    ...esbuildOptions,
    define: {...esbuildOptions.define, WAXSEAL_VERSION: '"0.0.0"'},
    sourcemap: false,
    entryPoints: {program: path.join(import.meta.dirname, entry)},
    outdir: directory,
  });
  const files = readdirSync(directory, {recursive: true, encoding: 'utf8'}).filter(name =>
    name.endsWith('.js'),
  );
  return {
    directory,
    program: path.join(directory, 'program.js'),
    code: files.map(name => readFileSync(path.join(directory, name), 'utf8')).join('\n'),
    remove: () => rmSync(directory, {recursive: true, force: true}),
  };
}
