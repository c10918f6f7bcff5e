import {describe, expect, test} from 'vitest';
import {verifyMessage} from '../../src/dkim/index.ts';
import {parseDnsName} from '../../src/domain/names.ts';
import {checkFromAll, failed, passed, reportOf, warned} from '../../src/proof/finding.ts';
import {composeProof, mailDate, octetsOf, proofToken} from '../../src/proof/message.ts';
import {sampleOf} from '../../src/proof/sample.ts';
import {createRandom} from '../../src/system/real/random.ts';
import {verifyAgainst} from '../support/known-records.ts';
import {domainOf} from './keys.ts';

const domain = domainOf('example.com');
const steady = {bytes: (length: number) => new Uint8Array(length)};

test('the message is ASCII, has CRLF line ends, and the token where it is looked for', () => {
  const mail = composeProof('waxseal-0011223344556677', domain, new Date('2026-11-21T03:08:06Z'));
  const text = Buffer.from(octetsOf(mail)).toString('latin1');
  expect(text).toBe(
    [
      'From: postmaster@example.com',
      'To: waxseal-0011223344556677@[255.255.255.255]',
      'Subject: DKIM signing test',
      'Date: Sat, 21 Nov 2026 03:08:06 +0000',
      'Message-ID: <waxseal-0011223344556677@example.com>',
      'Auto-Submitted: auto-generated',
      '',
      'waxseal sends this message to itself to see whether it is signed.',
      'It is never delivered and can be deleted.',
      '',
      'waxseal-0011223344556677',
      '',
    ].join('\r\n'),
  );
  expect(mailDate(new Date('2026-01-02T03:04:05Z'))).toBe('Fri, 02 Jan 2026 03:04:05 +0000');
});

test('every token is another one', () => {
  expect(proofToken(createRandom())).toMatch(/^waxseal-[0-9a-f]{16}$/);
  expect(proofToken(createRandom())).not.toBe(proofToken(createRandom()));
});

test('an unsigned message has no verdict', async () => {
  const mail = composeProof('waxseal-0011223344556677', domain, new Date());
  expect(await verifyMessage(octetsOf(mail), {lookup: verifyAgainst({}), now: 0})).toEqual([]);
});

test('a fixed lookup knows its records and nothing else', async () => {
  const known = parseDnsName('s._domainkey.example.com');
  const other = parseDnsName('constructor');
  if (!known.ok || !other.ok) throw new Error('names');
  const lookup = verifyAgainst({[known.value]: 'v=DKIM1; p='});
  expect(await lookup(known.value)).toEqual({status: 'found', records: ['v=DKIM1; p=']});
  expect(await lookup(other.value)).toEqual({status: 'absent'});
});

describe('a sample', () => {
  const items = Array.from({length: 50}, (_, index) => index);

  test('is everything where there is little', () => {
    expect(sampleOf(items, 50, steady)).toEqual(items);
  });

  test('has both ends, in order, without doubles, whatever the dice say', () => {
    for (const random of [steady, createRandom()]) {
      const sample = sampleOf(items, 20, random);
      expect(sample).toHaveLength(20);
      expect(new Set(sample).size).toBe(20);
      expect([sample[0], sample.at(-1)]).toEqual([0, 49]);
      expect([...sample].sort((a, b) => a - b)).toEqual(sample);
    }
  });
});

describe('checks from findings', () => {
  const of = (name: string, finding: ReturnType<typeof passed>) => ({domain: domainOf(name), finding});

  test('one domain: its own words', () => {
    expect(checkFromAll('x', 'X', [of('a.example', passed('fine'))])).toEqual({
      id: 'x',
      title: 'X',
      status: 'pass',
      evidence: 'fine',
      cause: '',
      fix: '',
    });
  });

  test('several: the worst decides and names whom it concerns', () => {
    const check = checkFromAll('x', 'X', [
      of('a.example', passed('fine')),
      of('b.example', failed('broken', 'why', 'do')),
      of('c.example', warned('odd', 'hm', 'look')),
    ]);
    expect(check).toMatchObject({status: 'fail', cause: 'why', fix: 'do'});
    expect(check.evidence).toBe('3 domains looked at; 1 fail: b.example: broken');
  });

  test('a long list is cut', () => {
    const many = ['a', 'b', 'c', 'd', 'e'].map(name => of(`${name}.example`, failed('x', 'y', 'z')));
    expect(checkFromAll('x', 'X', many).evidence).toMatch(/; and 2 more$/);
  });

  test('a report passes where something passed and nothing failed', () => {
    const check = (status: 'pass' | 'warn' | 'fail' | 'skip') => ({
      id: 'x',
      title: '',
      status,
      evidence: '',
      cause: '',
      fix: '',
    });
    expect(reportOf([check('pass'), check('warn'), check('skip')]).passed).toBe(true);
    expect(reportOf([check('warn'), check('skip')]).passed).toBe(false);
    expect(reportOf([check('pass'), check('fail')]).passed).toBe(false);
    expect(reportOf([]).passed).toBe(false);
  });
});
