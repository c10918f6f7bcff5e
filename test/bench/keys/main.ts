/**
 * Making keys: one after the other, and as many at the same time as setup makes (`KeySource.atOnce`). Prints keys a
 * second and how many processors worked, and fails where there are several processors and not even half of a second one
 * came to the first: then keys are made on one after all. What else runs on the machine takes from both alike.
 *
 * node test/bench/run.mjs keys [COUNT]
 */
import {availableParallelism} from 'node:os';
import {createKeySource} from '../../../src/system/real/index.ts';

const COUNT = Number(process.argv[2] ?? 60);
const SPEC = {algorithm: 'rsa', bits: 2048} as const;

interface Figures {
  readonly seconds: number;
  readonly processors: number;
}

async function made(count: number, atOnce: number): Promise<Figures> {
  const source = createKeySource();
  const queue = Array.from({length: count}).keys();
  const before = process.cpuUsage();
  const start = performance.now();
  await Promise.all(
    Array.from({length: atOnce}, async () => {
      for (const _ of queue) await source.generate(SPEC);
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  const {user, system} = process.cpuUsage(before);
  return {seconds, processors: (user + system) / 1e6 / seconds};
}

const print = (atOnce: number, {seconds, processors}: Figures): void =>
  console.log(
    `${String(atOnce).padStart(2)} at once: ${COUNT} RSA-2048 keys in ${seconds.toFixed(1)} s, ${(COUNT / seconds).toFixed(1)} keys/s, ${processors.toFixed(2)} processors`,
  );

const all = availableParallelism();
console.log(`${all} processors`);
const alone = await made(COUNT, 1);
print(1, alone);
const together = await made(COUNT, Math.max(4, all));
print(Math.max(4, all), together);
if (all > 1 && together.processors < 1.4 * alone.processors) {
  throw new Error('the keys were made on one processor');
}
