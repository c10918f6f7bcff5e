import path from 'node:path';
import {defineConfig} from 'vitest/config';

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
    // Each file has worlds of its own; two at a time keep two processors busy without making the timings dishonest.
    maxWorkers: 2,
    testTimeout: 5 * 60_000,
    hookTimeout: 20 * 60_000,
    // A lab that silently runs nothing must not pass.
    passWithNoTests: false,
    allowOnly: false,
  },
});
