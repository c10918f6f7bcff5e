/**
 * Builds the program (dist/waxseal.js and its chunks), the engine as a library (dist/dkim.js) and the library's types.
 */
import {execFileSync} from 'node:child_process';
import {chmodSync, readFileSync, rmSync} from 'node:fs';
import path from 'node:path';
import {build} from 'esbuild';
import {esbuildOptions} from './esbuild-options.mjs';

const top = path.join(import.meta.dirname, '..');
const {version} = JSON.parse(readFileSync(path.join(top, 'package.json'), 'utf8'));
const shared = {
  ...esbuildOptions,
  define: {...esbuildOptions.define, WAXSEAL_VERSION: JSON.stringify(version)},
};

rmSync(path.join(top, 'dist'), {recursive: true, force: true});
await build({
  ...shared,
  entryPoints: {waxseal: path.join(top, 'src/bin.ts')},
  outdir: path.join(top, 'dist'),
});
await build({
  ...shared,
  splitting: false,
  entryPoints: {dkim: path.join(top, 'src/dkim/index.ts')},
  outdir: path.join(top, 'dist'),
});
chmodSync(path.join(top, 'dist/waxseal.js'), 0o755);

if (process.argv.includes('--types')) {
  const tsc = path.join(top, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '--project', path.join(top, 'tsconfig.library.json')], {
    stdio: 'inherit',
  });
}
