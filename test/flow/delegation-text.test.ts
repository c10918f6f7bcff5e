import {expect, test} from 'vitest';
import {delegationText} from '../../src/flow/delegation-text.ts';
import {meaningOf} from '../../src/views/plain/prompts.ts';
import {sampleStaged, sampleState} from '../support/sample-states.ts';

test('both ways, each with the alias and the record where it then belongs', () => {
  const text = delegationText([sampleStaged], ' keys.example.net. ');
  if (!text.ok) throw new Error(text.problem.message);
  expect(text.value).toContain('_domainkey.example.org. 3600 IN DNAME example.org.keys.example.net.');
  expect(text.value).toContain('202611.example.org.keys.example.net. ');
  expect(text.value).toContain(
    '202611._domainkey.example.org. 3600 IN CNAME 202611.example.org.keys.example.net.',
  );
  expect(text.value.match(/IN TXT "v=DKIM1;/g)).toHaveLength(2);
});

test.each([
  ['', 'format.target'],
  ['no name', 'format.target'],
  ['_domainkey.example.org', 'format.target-within'],
])('%j is refused: %s', (target, id) => {
  expect(delegationText([sampleStaged], target)).toMatchObject({ok: false, problem: {id}});
});

test('plain: d and a zone shows them, anything else says what is wrong', () => {
  const record = sampleState('record');
  expect(meaningOf(record, 'd keys.example.net')).toEqual({show: expect.stringContaining('IN CNAME')});
  expect(meaningOf(record, 'd _domainkey.example.org')).toEqual({show: expect.stringContaining('error: ')});
});
