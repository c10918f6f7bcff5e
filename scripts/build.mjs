/**
 * Builds the program (dist/waxseal.js and its chunks), the engine as a library (dist/dkim.js), the notices of what both
 * contain, and with `--types` the library's types.
 */
import {execFileSync} from 'node:child_process';
import {chmodSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {build} from 'esbuild';
import {esbuildOptions} from './esbuild-options.mjs';
import {thirdPartyNotices} from './third-party-notices.mjs';

const top = path.join(import.meta.dirname, '..');
const {version} = JSON.parse(readFileSync(path.join(top, 'package.json'), 'utf8'));
const shared = {
  ...esbuildOptions,
  absWorkingDir: top,
  metafile: true,
  define: {...esbuildOptions.define, WAXSEAL_VERSION: JSON.stringify(version)},
};

rmSync(path.join(top, 'dist'), {recursive: true, force: true});
const program = await build({
  ...shared,
  entryPoints: {waxseal: path.join(top, 'src/bin.ts')},
  outdir: path.join(top, 'dist'),
});
const library = await build({
  ...shared,
  splitting: false,
  entryPoints: {dkim: path.join(top, 'src/dkim/index.ts')},
  outdir: path.join(top, 'dist'),
});
writeFileSync(
  path.join(top, 'dist/THIRD-PARTY-NOTICES.txt'),
  thirdPartyNotices([program.metafile, library.metafile], top),
);
chmodSync(path.join(top, 'dist/waxseal.js'), 0o755);

if (process.argv.includes('--types')) {
  const tsc = path.join(top, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '--project', path.join(top, 'tsconfig.library.json')], {
    stdio: 'inherit',
  });
}
