/** Many domains are told by counts and groups, and what has to be mended by name. */
import {expect, it} from 'vitest';
import type {ServerStatus} from '../../src/dns/survey.ts';
import {problem} from '../../src/domain/result.ts';
import {changeGroups, groupText, inReadingOrder, standingOf} from '../../src/flow/many.ts';
import type {PlanReady, StagedDomain} from '../../src/flow/operations.ts';
import type {ChangeView} from '../../src/plan/plan.ts';
import {start} from '../support/drive.ts';
import {
  domainOf,
  fakeChanges,
  fakeReady,
  fakeStaged,
  fakeSurvey,
  selectorOf,
} from '../support/fake-operations.ts';

const names = (count: number) => Array.from({length: count}, (_, at) => domainOf(`d${at}.example.org`));

const keyChange = ({domain, selector}: StagedDomain): ChangeView => ({
  kind: 'write',
  target: `/etc/dkimkeys/${domain}/${selector}.private`,
  action: 'create, opendkim:opendkim 0600',
  diff: '+ private key, not shown\n',
});

const table = (staged: readonly StagedDomain[]): ChangeView => ({
  kind: 'write',
  target: '/etc/opendkim/KeyTable',
  action: 'create, root:root 0644',
  diff: `--- /etc/opendkim/KeyTable\n+++ /etc/opendkim/KeyTable\n${staged.map(({domain}) => `+${domain}\n`).join('')}`,
});

const ready = (staged: readonly StagedDomain[]): PlanReady =>
  fakeReady(staged, {changes: [...staged.map(keyChange), table(staged), ...fakeChanges]});

const linesOf = async (count: number): Promise<readonly string[]> => {
  const {session} = start(
    {interactive: false, yes: true, waitMs: 600_000},
    {domains: names(count).join(',')},
    {ready},
  );
  expect((await session.done()).exitCode).toBe(0);
  return session
    .state()
    .lines.filter(({kind}) => kind !== 'record')
    .map(({text}) => text);
};

it('says of three hundred domains about as much as of three', async () => {
  const [few, many] = [await linesOf(3), await linesOf(300)];
  expect(many.length).toBeLessThan(few.length + 20);
  expect(many).toContain('300 keys made and tested: selector 202611, RSA 2048 bits');
  expect(many).toContain('Publish these 300 TXT records, each a line of a zone file:');
  expect(many).toContain('0 of 300 records are everywhere, 300 are waited for');
  expect(many).toContain('300 of 300 records are everywhere');
  expect(many.filter(text => /^\d+\/\d+ /.test(text))).toEqual([
    '300/301 The private key, readable only by the signer',
    '301/301 Postfix accepts its configuration',
  ]);
  expect(many.filter(text => text.startsWith('To do'))).toEqual([
    'To do 300 times create, opendkim:opendkim 0600: /etc/dkimkeys/d0.example.org/202611.private to /etc/dkimkeys/d299.example.org/202611.private',
    'To do /etc/opendkim/KeyTable: create, root:root 0644',
    'To do /etc/opendkim.conf: change',
    'To do opendkim.service: restart',
  ]);
  for (const text of many.filter(each => !each.startsWith('The same')))
    expect(text.length, text).toBeLessThan(320);
});

it('has every record in full, one line each', async () => {
  const {session} = start(
    {interactive: false, yes: true, waitMs: 0},
    {domains: names(300).join(',')},
    {rounds: [['absent', 'absent']]},
  );
  expect((await session.done()).exitCode).toBe(3);
  const records = session.state().lines.filter(({kind}) => kind === 'record');
  expect(records).toHaveLength(300);
  expect(records[299]?.text).toMatch(/^202611\._domainkey\.d299\.example\.org\. 3600 IN TXT "v=DKIM1; /);
});

it('groups changes alike and shows short diffs before long ones, keys last', () => {
  const staged = names(100).map(domain => ({domain, selector: '202611'}) as unknown as StagedDomain);
  const changes = ready(staged).changes;
  expect(changeGroups(changes).map(groupText)[0]).toMatch(/^100 times create, /);
  expect(changeGroups(changes).reduce((sum, {count}) => sum + count, 0)).toBe(changes.length);
  const order = inReadingOrder(changes).map(({target}) => target);
  expect(order.slice(0, 2)).toEqual(['/etc/opendkim.conf', '/etc/opendkim/KeyTable']);
  expect([...order].sort()).toEqual(changes.map(({target}) => target).sort());
  expect(inReadingOrder(changes.slice(0, 5))).toEqual(changes.slice(0, 5));
});

it('tells a server that is silent from a record that is wrong', () => {
  const [staged] = names(1).map(domain => fakeStaged(domain, selectorOf('202611')));
  if (staged === undefined) throw new TypeError('no key');
  const mistake = problem('dns.mistake', 'The name is doubled.', 'Take the zone off.');
  const standing = (...statuses: readonly ServerStatus[]) => {
    const survey = fakeSurvey(staged, statuses, '2026-11-21T10:00:00Z');
    const servers = survey.servers.map(view => ({...view, mistake}));
    return [standingOf(survey), standingOf({...survey, servers: survey.settled ? survey.servers : servers})];
  };
  expect(standing('matching', 'matching')).toEqual(['everywhere', 'everywhere']);
  expect(standing('timeout', 'unreachable')).toEqual(['waiting', 'waiting']);
  expect(standing('absent', 'timeout')).toEqual(['waiting', 'wrong']);
  expect(standing('wrong', 'matching')).toEqual(['wrong', 'wrong']);
  expect(standingOf(undefined)).toBe('waiting');
});
