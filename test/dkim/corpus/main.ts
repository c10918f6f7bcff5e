import {existsSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {runCorpus} from './run.ts';

// `npm run test:corpus -- DIR`: prints each disagreement; exit code 1 where one is neither disputed nor explained.
const directory = path.resolve(process.argv[2] ?? '../shared/dkim-corpus');
if (!existsSync(path.join(directory, 'cases.json'))) {
  process.stderr.write(`There is no corpus in ${directory}.\n`);
  process.exitCode = 2;
} else {
  const report = await runCorpus(directory);
  for (const line of report.lines) process.stdout.write(`${line}\n`);
  const {counts, inputs, vectors} = report;
  process.stdout.write(
    `${report.cases} cases, ${report.signatures} signatures: ${counts.ok} ok, ${counts.soft} soft, ${counts.hard} hard, ` +
      `${report.disputed} disputed; ${report.unstable} unstable under cutting; ` +
      `hash inputs ${inputs.compared - inputs.wrong}/${inputs.compared}; vectors ${vectors.compared - vectors.wrong}/${vectors.compared}\n`,
  );
  const bad = counts.soft + counts.hard + report.unstable + inputs.wrong + vectors.wrong;
  process.exitCode = bad === 0 ? 0 : 1;
}
