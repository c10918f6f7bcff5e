// Only the tests of the DNS room on real servers: no images, no hosts. As root:
//   npx vitest run --config test/lab/dns-vitest.config.ts
import path from 'node:path';
import {defineConfig} from 'vitest/config';

// biome-ignore lint/style/noDefaultExport: vitest takes its configuration from there
export default defineConfig({
  test: {
    root: path.resolve(import.meta.dirname, '../..'),
    include: ['test/lab/dns-*.lab.test.ts'],
    env: {TZ: 'UTC', LANG: 'C.UTF-8'},
    pool: 'forks',
    testTimeout: 120_000,
    hookTimeout: 120_000,
    passWithNoTests: false,
    allowOnly: false,
  },
});
