import {existsSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {expect, it} from 'vitest';
import {verifyMessage} from '../../src/dkim/index.ts';
import {optionsFor, score} from './corpus/cases.ts';
import {runCorpus} from './corpus/run.ts';
import {octets} from './support.ts';

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
  180_000,
);

it('counts a signature that was not looked at as right only where the case allows a limit', async () => {
  const message = octets('DKIM-Signature: v=2\r\nDKIM-Signature: v=1\r\n\r\n');
  const expected = ['permerror', 'pass'].map(result => ({domain: null, selector: null, result}));
  const one = {id: 'two', file: '', keys: {}, expected};
  const verdicts = await verifyMessage(message, {...optionsFor(one), maxSignatures: 1});
  expect(score(one, verdicts)).toBe('hard');
  expect(score({...one, also_ok: ['limit']}, verdicts)).toBe('ok');
});
