/**
 * Start-up against an empty Node process, in one run: `--version`, `--help`, `status --json`, and the first frame of
 * the wizard in a real terminal (of the sandbox: no root needed). Rounds are interleaved so that a slow moment of the
 * machine hits all alike; medians and their ratios are printed, nothing is asserted.
 *
 *   npm run build && node test/bench/startup.mjs [ROUNDS]
 */
import {spawnSync} from 'node:child_process';
import path from 'node:path';
import {spawn as spawnPty} from '@lydell/node-pty';

const program = path.join(import.meta.dirname, '..', '..', 'dist', 'waxseal.js');
const rounds = Number(process.argv[2] ?? 15);

const milliseconds = work => {
  const start = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - start) / 1e6;
};

const run = (...argv) => milliseconds(() => spawnSync(process.execPath, argv, {stdio: 'ignore'}));

/** Milliseconds until the wizard's first whole frame: its footer has come. */
const firstFrame = () =>
  new Promise((resolve, reject) => {
    const start = process.hrtime.bigint();
    const environment = {...process.env, TERM: 'xterm-256color'};
    delete environment.CI;
    const terminal = spawnPty(process.execPath, [program, 'demo'], {cols: 80, rows: 24, env: environment});
    let seen = '';
    const timer = setTimeout(() => {
      terminal.kill();
      reject(new Error(`no frame within 20 s: ${JSON.stringify(seen.slice(0, 500))}`));
    }, 20_000);
    terminal.onData(data => {
      seen += data;
      if (!seen.includes('Ctrl-C')) return;
      clearTimeout(timer);
      const took = Number(process.hrtime.bigint() - start) / 1e6;
      terminal.onExit(() => resolve(took));
      terminal.kill('SIGTERM');
    });
  });

const median = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

const rows = {
  'empty node process': () => run('-e', '0'),
  'waxseal --version': () => run(program, '--version'),
  'waxseal --help': () => run(program, '--help'),
  'waxseal status --json': () => run(program, 'status', '--json'),
  'wizard, first frame': firstFrame,
};
const times = Object.fromEntries(Object.keys(rows).map(name => [name, []]));
for (const measure of Object.values(rows)) await measure();
for (let round = 0; round < rounds; round += 1) {
  for (const [name, measure] of Object.entries(rows)) times[name].push(await measure());
}
const floor = median(times['empty node process']);
console.log(`${'what'.padEnd(24)} ${'median ms'.padStart(10)} ${'ratio'.padStart(6)}   (${rounds} rounds)`);
for (const [name, values] of Object.entries(times)) {
  const value = median(values);
  console.log(
    `${name.padEnd(24)} ${value.toFixed(0).padStart(10)} ${(value / floor).toFixed(2).padStart(6)}`,
  );
}
