// npm run bench:dkim: bundles the benchmark with esbuild (Node 20 cannot run TypeScript) and runs it.
import {spawnSync} from 'node:child_process';
import {mkdirSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {build} from 'esbuild';

const top = path.resolve(import.meta.dirname, '../../..');
// Below the project, so that the peers are found in its node_modules.
const outfile = path.join(top, 'node_modules/.cache/waxseal/dkim-bench.mjs');
mkdirSync(path.dirname(outfile), {recursive: true});
await build({
  entryPoints: [path.join(import.meta.dirname, 'main.ts')],
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20',
  outfile,
});
process.exitCode =
  spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], {stdio: 'inherit'}).status ?? 1;
