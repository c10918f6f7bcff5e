// Bundles the comparison with esbuild (Node 20 cannot run TypeScript) and runs it in a network namespace of its own,
// where 127.0.0.1 is the system's resolver: opendkim-testmsg takes its keys from there.
import {spawnSync} from 'node:child_process';
import {mkdirSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {build} from 'esbuild';

const here = import.meta.dirname;
const cache = path.resolve(here, '../../../node_modules/.cache/waxseal');
const outfile = path.join(cache, 'peers.mjs');
const resolver = path.join(cache, 'resolv.conf');
mkdirSync(cache, {recursive: true});
writeFileSync(resolver, 'nameserver 127.0.0.1\n');
await build({
  entryPoints: [path.join(here, 'main.ts')],
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20',
  outfile,
});

const script = 'ip link set lo up && mount --bind "$1" /etc/resolv.conf && exec "$2" "$3" "$4"';
const possible = spawnSync('unshare', ['-mn', 'true']).status === 0;
const run = possible
  ? spawnSync('unshare', ['-mn', 'sh', '-ec', script, 'sh', resolver, process.execPath, outfile, here], {
      stdio: 'inherit',
      env: {...process.env, WAXSEAL_PEER_NETWORK: 'own'},
    })
  : spawnSync(process.execPath, [outfile, here], {stdio: 'inherit'});
process.exitCode = run.status ?? 1;
