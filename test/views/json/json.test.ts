import {PassThrough} from 'node:stream';
import {describe, expect, it} from 'vitest';
import {problem} from '../../../src/domain/result.ts';
import type {Report} from '../../../src/flow/report.ts';
import {runJson} from '../../../src/views/json/run.ts';
import {start} from '../../support/drive.ts';
import {check, type FakeOptions, proof} from '../../support/fake-operations.ts';
import {violations} from '../../support/json-schema.ts';
import {reportSchema} from '../../support/report-schema.ts';

const batch = {interactive: false, yes: true, waitMs: 20_000} as const;

async function runWith(
  options: FakeOptions,
  over = {},
  given = {domains: 'example.org, example.net'},
  quiet = false,
) {
  const {session} = start({...batch, ...over}, given, options);
  let output = '';
  let errors = '';
  const streams = {output: new PassThrough(), errors: new PassThrough()};
  streams.output.on('data', chunk => {
    output += String(chunk);
  });
  streams.errors.on('data', chunk => {
    errors += String(chunk);
  });
  const returned = await runJson(session, {...streams, quiet});
  await new Promise(resolve => setImmediate(resolve));
  const document = JSON.parse(output) as Report;
  expect(document).toEqual(returned);
  return {output, errors, document};
}

const cases: readonly (readonly [string, FakeOptions, object, Report['exitCode']])[] = [
  ['ok', {}, {}, 0],
  ['pending', {rounds: [['matching', 'absent']]}, {}, 3],
  [
    'failed',
    {
      result: {
        applied: false,
        changed: false,
        proof: proof(check('proof.milter', 'fail', 'The signer signs')),
        failure: {
          problem: problem('service.restart', 'opendkim did not start.', 'journalctl -u opendkim'),
          whole: true,
          remains: [],
        },
      },
    },
    {},
    6,
  ],
  ['dry-run', {}, {dryRun: true}, 0],
];

describe('the one document', () => {
  it.each(cases)('of a run that is %s is as the schema says', async (name, options, over, exitCode) => {
    const {output, errors, document} = await runWith(options, over);
    expect(output.endsWith('\n') && output.indexOf('\n') === output.length - 1).toBe(true);
    expect(document.exitCode).toBe(exitCode);
    expect(violations(reportSchema, document)).toEqual([]);
    expect(errors).toContain('Host: mail.example.org');
    expect(errors.includes('hint: ')).toBe(document.error !== null || name === 'failed');
    const shown = `${JSON.stringify(document, null, 2)}\n`;
    await expect(shown).toMatchFileSnapshot(`../../../snapshots/views/json/${name}.json`);
  });

  it('comes alone with --quiet', async () => {
    expect((await runWith({}, {}, undefined, true)).errors).toBe('');
  });

  it('is written for a missing answer, too', async () => {
    const {document, errors} = await runWith({}, {}, {domains: ''});
    expect(document).toMatchObject({exitCode: 2, result: 'failed', error: {id: 'domain.missing'}});
    expect(errors).toContain('error: No domain is named.\n');
  });
});

describe('the schema', () => {
  it('refuses what is not a report', async () => {
    const {document} = await runWith({});
    const broken: readonly unknown[] = [
      {...document, exitCode: 10},
      {...document, extra: 1},
      {...document, error: {id: 'x'}},
      {...document, domains: [{...document.domains[0], publishedAt: 'yesterday'}]},
      {...document, domains: [{...document.domains[0], bits: '2048'}]},
      {...document, checks: [{id: 'x'}]},
      Object.fromEntries(Object.entries(document).filter(([name]) => name !== 'changed')),
    ];
    for (const each of broken) expect(violations(reportSchema, each)).not.toEqual([]);
  });
});
