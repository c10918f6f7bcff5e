import {existsSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {expect, it} from 'vitest';
import {runCorpus} from './corpus/run.ts';

// The corpus is data of its own, not part of the project: where it is not there, there is nothing to run.
const directory =
  process.env['DKIM_CORPUS'] ?? path.resolve(import.meta.dirname, '../../../shared/dkim-corpus');

it.skipIf(!existsSync(path.join(directory, 'cases.json')))(
  'agrees with the conformance corpus, however the messages are cut',
  async () => {
    const report = await runCorpus(directory);
    expect(report.lines).toEqual([]);
    expect(report.counts.ok).toBe(report.cases - report.disputed);
  },
  60_000,
);
