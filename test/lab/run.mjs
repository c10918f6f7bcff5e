// Runs the lab: `node test/lab/run.mjs [--all] [VITEST ARGUMENTS]`, called by run.sh. Under CI a file that fails is run
// once more on fresh hosts: a second failure counts, a first one is printed as flaky.
// WAXSEAL_LAB_RESULT names a file for the sums of both runs, in the form of vitest's JSON reporter.
import {spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';

const words = process.argv.slice(2);
const isWhole = words.includes('--all');
const given = words.filter(word => word !== '--all');
const environment = {...process.env, ...(isWhole ? {WAXSEAL_LAB_ALL: '1'} : {})};
const scratch = mkdtempSync(path.join(tmpdir(), 'waxseal-lab-result-'));

/** One run of vitest: its exit status and report; no report where vitest did not come to its end. */
function vitest(name, ...filters) {
  const file = path.join(scratch, name);
  const {status} = spawnSync(
    'npx',
    [
      ...['vitest', 'run', '--config', 'test/lab/vitest.config.ts'],
      ...['--reporter=default', '--reporter=json', `--outputFile=${file}`],
      ...filters,
    ],
    {stdio: 'inherit', env: environment},
  );
  try {
    return {status: status ?? 1, report: JSON.parse(readFileSync(file, 'utf8'))};
  } catch {
    return {status: status ?? 1, report: undefined};
  }
}

const countOf = (files, status) =>
  files.flatMap(file => file.assertionResults).filter(each => each.status === status).length;

/** The first report with the files that were run again in place of those that failed. */
function merged(first, second) {
  const again = new Map(second.testResults.map(file => [file.name, file]));
  const testResults = first.testResults.map(file => again.get(file.name) ?? file);
  return {
    ...first,
    testResults,
    numPassedTests: countOf(testResults, 'passed'),
    numFailedTests: countOf(testResults, 'failed'),
    numPendingTests: countOf(testResults, 'pending') + countOf(testResults, 'skipped'),
    numTodoTests: countOf(testResults, 'todo'),
  };
}

function run() {
  const first = vitest('first.json', ...given);
  const failed = (first.report?.testResults ?? []).filter(file => file.status === 'failed');
  if (process.env.CI === undefined || failed.length === 0) return first;
  const names = failed.map(file => path.relative(process.cwd(), file.name));
  console.log(`== failed, run once more on fresh hosts: ${names.join(' ')}`);
  const second = vitest('second.json', ...names);
  if (second.report === undefined) return first;
  for (const file of second.report.testResults.filter(each => each.status === 'passed')) {
    const before = failed.find(each => each.name === file.name);
    console.log(`== flaky: ${path.relative(process.cwd(), file.name)}`);
    for (const test of before?.assertionResults.filter(each => each.status === 'failed') ?? []) {
      console.log(`==   ${test.fullName}`);
    }
  }
  return {status: second.status, report: merged(first.report, second.report)};
}

try {
  const {status, report} = run();
  const result = process.env.WAXSEAL_LAB_RESULT;
  if (result !== undefined && report !== undefined) writeFileSync(result, JSON.stringify(report));
  process.exitCode = status;
} finally {
  rmSync(scratch, {recursive: true, force: true});
}
