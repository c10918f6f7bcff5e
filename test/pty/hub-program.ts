/**
 * `waxseal` alone on a host that signs: the sandbox's host with a set-up behind it, and the real command line on the real
 * terminal. Environment: WAXSEAL_TEST_MARKER a file that gets what the host signs with when the program ends.
 */
import {generateKeyPairSync, randomBytes} from 'node:crypto';
import {appendFileSync} from 'node:fs';
import {PassThrough} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import {main} from '../../src/cli/main.ts';
import type {Outside} from '../../src/cli/outside.ts';
import type {Streams} from '../../src/cli/streams.ts';
import {openSandbox} from '../../src/demo/sandbox.ts';
import {absolute} from '../../src/domain/paths.ts';
import type {Report} from '../../src/flow/report.ts';
import {
  createDnsTransport,
  createFiles,
  createOwnerLedger,
  createSockets,
} from '../../src/system/real/index.ts';

const DAY = 86_400_000;
/** What was set up before is set up in haste; at the terminal time goes as it does. */
let haste = 12;
let from = {clock: Date.now(), real: performance.now()};
const now = (): number => from.clock + (performance.now() - from.real) * haste;
const clock = {
  now: () => new Date(now()),
  sleep: async (ms: number, signal?: AbortSignal): Promise<void> => {
    await sleep(ms / haste, undefined, signal === undefined ? {} : {signal});
  },
};
const sandbox = await openSandbox(
  {
    createLedger: () => createOwnerLedger(),
    createFiles: options => createFiles(options),
    sockets: createSockets(),
    clock,
    rest: {
      random: {bytes: length => new Uint8Array(randomBytes(length))},
      keys: {
        generate: async () =>
          generateKeyPairSync('rsa', {modulusLength: 2048})
            .privateKey.export({type: 'pkcs8', format: 'pem'})
            .toString(),
      },
      dns: createDnsTransport(createFiles({owners: 'real'}), {}),
    },
  },
  {lagMs: 50},
);
const outside: Outside = {
  connect: async () => ({...sandbox.ports, process: {...sandbox.ports.process, privileged: true}}),
  files: async () => createFiles({owners: 'real'}),
  clock: async () => clock,
  person: {uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0},
  workingDirectory: process.cwd(),
  environment: {...process.env},
};

/** A command as a script gives it, with its report. */
async function quietly(...argv: readonly string[]): Promise<Report> {
  const streams = {
    stdin: new PassThrough().end(),
    stdout: new PassThrough(),
    stderr: new PassThrough().resume(),
  };
  let out = '';
  streams.stdout.on('data', chunk => {
    out += String(chunk);
  });
  await main([...argv, '--json'], streams as unknown as Streams, outside);
  return JSON.parse(out) as Report;
}

for (const domain of ['example.org', 'news.example.org']) {
  const staged = await quietly('setup', '--yes', '--no-wait', '--domain', domain);
  for (const {record} of staged.domains) sandbox.dns.publish(record.name, record.strings);
  await quietly('setup', '--yes', '--wait', '20s', '--domain', domain);
}
await sandbox.ports.files.makeDirectory(absolute('/etc/waxseal'), {mode: 0o755, uid: 0, gid: 0});
await sandbox.ports.files.replace(
  absolute('/etc/waxseal/rotation.conf'),
  new TextEncoder().encode('margin = 2s\n'),
  {mode: 0o644, uid: 0, gid: 0},
);
from = {clock: now() + (process.argv.includes('--late') ? 200 * DAY : 0), real: performance.now()};
haste = 1;

/** A person at another screen, who publishes whatever is waited for. */
let isOver = false;
const published = new Set<string>();
const publishing = (async () => {
  while (process.argv.includes('--publish') && !isOver) {
    await sleep(300);
    const text = await sandbox.ports.files.read(absolute('/var/lib/waxseal/state.json'));
    for (const {record, state} of JSON.parse(Buffer.from(text ?? []).toString('utf8')).keys) {
      if (state !== 'pending' || published.has(record.name)) continue;
      published.add(record.name);
      sandbox.dns.publish(record.name, record.value.match(/.{1,255}/g));
    }
  }
})();

const exitCode = await main([], process as unknown as Streams, outside);
isOver = true;
await publishing;
const marker = process.env['WAXSEAL_TEST_MARKER'];
if (marker !== undefined) {
  const status = await quietly('status');
  for (const {domain, selector, state} of status.domains)
    appendFileSync(marker, `${domain} ${selector} ${state}\n`);
}
await sandbox.close();
process.exit(exitCode);
