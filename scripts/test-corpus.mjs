// Bundles the corpus runner with esbuild (Node 20 cannot run TypeScript) and runs it: npm run test:corpus -- DIR
import {spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {build} from 'esbuild';

const top = path.resolve(import.meta.dirname, '..');
const scratch = mkdtempSync(path.join(tmpdir(), 'waxseal-corpus-'));
const outfile = path.join(scratch, 'main.mjs');
try {
  await build({
    entryPoints: [path.join(top, 'test/dkim/corpus/main.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    outfile,
  });
  const run = spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], {stdio: 'inherit'});
  process.exitCode = run.status ?? 1;
} finally {
  rmSync(scratch, {recursive: true, force: true});
}
