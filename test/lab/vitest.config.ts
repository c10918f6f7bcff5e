import path from 'node:path';
import {defineConfig} from 'vitest/config';
import {BaseSequencer, type TestSpecification} from 'vitest/node';

// Files that take longest, in minutes; one of them begun last would be waited for alone.
const LONGEST = [
  'attackers-planted',
  'attackers-tables',
  'adopt',
  'publishing',
  'rotation-unattended',
  'many',
  'variants',
  'signers',
  'would-sign',
];
// Takes the processors away from whatever runs beside it.
const LAST = 'busy';

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({moduleId}: TestSpecification): number => {
      const name = path.basename(moduleId).split('.')[0] ?? '';
      const at = LONGEST.indexOf(name);
      return name === LAST ? LONGEST.length + 1 : at < 0 ? LONGEST.length : at;
    };
    return [...(await super.sort(files))].sort((one, other) => rankOf(one) - rankOf(other));
  }
}

// Workers find the run's directory by this; sweeping up after a run that was killed needs a living process's id.
process.env['WAXSEAL_LAB_RUN'] ??= String(process.pid);

// biome-ignore lint/style/noDefaultExport: vitest takes its configuration from there
export default defineConfig({
  test: {
    root: path.resolve(import.meta.dirname, '../..'),
    include: ['test/lab/**/*.test.ts'],
    globalSetup: ['test/lab/support/global-setup.ts'],
    env: {TZ: 'UTC', LANG: 'C.UTF-8'},
    pool: 'forks',
    sequence: {sequencer: LongestFirst},
    // Each file has worlds of its own, and a scenario mostly waits: for the DNS, for a daemon, for a queue.
    maxWorkers: 4,
    testTimeout: process.env['WAXSEAL_LAB_CUTS'] === 'all' ? 60 * 60_000 : 30 * 60_000,
    hookTimeout: 20 * 60_000,
    // A lab that silently runs nothing must not pass.
    passWithNoTests: false,
    allowOnly: false,
  },
});
