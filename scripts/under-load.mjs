#!/usr/bin/env node
/**
 * Runs a command several times on a machine that is busy elsewhere, and counts how often it succeeds:
 *
 *   node scripts/under-load.mjs --processes 4 --times 10 -- npm test
 *
 * `--processes` are busy processes a core. What a run that failed printed is shown at its end. Exit status 0 where every
 * run succeeded, 1 where one failed, 2 for a wrong call. The busy processes end with this one, whatever happens to it.
 */
import {spawn} from 'node:child_process';
import {availableParallelism} from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';

const SHOWN_LINES = 120;

function wanted() {
  const {values, positionals} = parseArgs({
    allowPositionals: true,
    options: {
      processes: {type: 'string', default: '4'},
      times: {type: 'string', default: '10'},
    },
  });
  const [processes, times] = [Number(values.processes), Number(values.times)];
  if (!Number.isInteger(processes) || processes < 0 || !Number.isInteger(times) || times < 1) {
    throw new TypeError('--processes and --times take whole numbers');
  }
  const [program, ...argv] = positionals;
  if (program === undefined) throw new TypeError('name the command after --');
  return {processes, times, program, argv};
}

const running = new Set();

function endAll(signal) {
  for (const child of running) {
    try {
      // The whole group: a shell and what it has started.
      process.kill(-child.pid, signal);
    } catch {
      // It is gone already.
    }
  }
}

/** Ends with its status, or 1 where it was ended by a signal; `output` gets its last lines. */
function run(program, argv, output) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, argv, {detached: true, stdio: ['ignore', 'pipe', 'pipe']});
    running.add(child);
    let text = '';
    const take = chunk => {
      text = `${text}${chunk}`.split('\n').slice(-SHOWN_LINES).join('\n');
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', error => {
      running.delete(child);
      reject(error);
    });
    child.on('close', status => {
      running.delete(child);
      output(text);
      resolve(status ?? 1);
    });
  });
}

async function main() {
  const {processes, times, program, argv} = wanted();
  const busy = path.join(import.meta.dirname, 'busy.mjs');
  const load = Array.from({length: processes * availableParallelism()}, () =>
    spawn(process.execPath, [busy], {stdio: ['pipe', 'ignore', 'ignore']}),
  );
  process.on('exit', () => {
    endAll('SIGKILL');
    for (const child of load) child.kill('SIGKILL');
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      endAll('SIGTERM');
      process.exit(1);
    });
  }
  console.log(`${load.length} busy processes; ${[program, ...argv].join(' ')}`);
  let green = 0;
  for (let round = 1; round <= times; round += 1) {
    const begun = performance.now();
    let printed = '';
    const status = await run(program, argv, text => {
      printed = text;
    });
    const seconds = Math.round((performance.now() - begun) / 1000);
    if (status === 0) green += 1;
    else console.log(printed);
    console.log(
      `run ${round} of ${times}: ${status === 0 ? 'green' : `red, status ${status}`}, ${seconds} s`,
    );
  }
  console.log(`${green} green, ${times - green} red`);
  return green === times ? 0 : 1;
}

try {
  process.exit(await main());
} catch (error) {
  console.error(`under-load: ${error.message}`);
  process.exit(2);
}
