/** Where the lab keeps its things. Everything lies below one directory, so that removing it removes the lab. */
import path from 'node:path';

export const checkout = path.resolve(import.meta.dirname, '../../..');

export const labDirectory = process.env['WAXSEAL_LAB'] ?? '/var/tmp/waxseal-lab';

export const imageDirectory = path.join(labDirectory, 'images');

/** One directory a test run, named by the process id of its main process: a later run can tell that it is dead. */
export const runsDirectory = path.join(labDirectory, 'runs');

/** Journals and logs of scenarios that failed. */
export const failureDirectory = path.join(labDirectory, 'failures');

const runId = process.env['WAXSEAL_LAB_RUN'] ?? String(process.pid);

export const runDirectory = path.join(runsDirectory, runId);

/** A package as npm would install it: package.json beside dist/. A copy, because a build may replace dist/ meanwhile. */
export const productDirectory = path.join(runDirectory, 'product');

/** What is tried out: the build of this checkout, or another one. */
export const builtDirectory = process.env['WAXSEAL_DIST'] ?? path.join(checkout, 'dist');
