import path from 'node:path';
import {defineConfig} from 'vitest/config';
import {PATIENCE_MS} from './test/support/patience.ts';

const top = import.meta.dirname;
const withFaults = process.env['WAXSEAL_FAULTS'] !== undefined;

export default defineConfig({
  // React runs as in the bundle, without its development build; that has no jsxDEV().
  oxc: {jsx: {runtime: 'automatic', development: false}},
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    // Real hosts and long runs have their own commands: `npm run test:lab`, `npm run test:corpus`, `npm run bench`.
    exclude: [
      'test/lab/**',
      'test/bench/**',
      'node_modules/**',
      // Every operation of an apply made to fail, one after the other, takes minutes: `npm run test:faults`.
      ...(withFaults ? [] : ['test/plan/*faults.test.ts']),
      // Whole lives of keys in the sandbox and jobs that go wrong, command after command, take their time, too: `npm run test:sessions`.
      // So do real terminals.
      ...(process.env['WAXSEAL_SESSIONS'] === undefined ? ['test/sessions/**', 'test/pty/**'] : []),
    ],
    // Much of it waits for processes, packets and terminals; more than this and they wait for each other.
    maxWorkers: 4,
    // No module keeps state (test/architecture.test.ts), so the files that a process runs share what it has loaded: the
    // program is read once in each of the four, not once in each of a hundred. Only a file that puts another module in the
    // place of one (vi.mock) has a process of its own.
    isolate: withFaults,
    restoreMocks: true,
    env: {
      TZ: 'UTC',
      LANG: 'C.UTF-8',
      FORCE_COLOR: '0',
      NODE_ENV: 'production',
      // Under CI, Ink writes no frame before the end, which is not what people see.
      CI: 'false',
      CONTINUOUS_INTEGRATION: 'false',
    },
    // A limit is for what hangs, not a measure: on a busy machine a test takes many times as long as alone.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    teardownTimeout: 120_000,
    expect: {poll: {timeout: PATIENCE_MS}},
    // Snapshots are part of what the project shows; they live in one place at the top, by test file.
    resolveSnapshotPath: (testPath, extension) =>
      path.join(top, 'snapshots', path.relative(path.join(top, 'test'), testPath) + extension),
  },
});
