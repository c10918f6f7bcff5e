// node test/bench/run.mjs NAME [ARGUMENTS]: bundles test/bench/NAME/main.ts with esbuild (Node 20 cannot run
// TypeScript) and runs it.
import {spawnSync} from 'node:child_process';
import {mkdirSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {build} from 'esbuild';

const top = path.resolve(import.meta.dirname, '../..');
const [name = 'dkim', ...rest] = process.argv.slice(2);
// Below the project, so that the peers are found in its node_modules.
const outfile = path.join(top, `node_modules/.cache/waxseal/${name}-bench.mjs`);
mkdirSync(path.dirname(outfile), {recursive: true});
await build({
  entryPoints: [path.join(import.meta.dirname, name, 'main.ts')],
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20',
  define: {'import.meta.dirname': JSON.stringify(path.join(top, 'test/support'))},
  outfile,
});
process.exitCode = spawnSync(process.execPath, [outfile, ...rest], {stdio: 'inherit'}).status ?? 1;
