import {createServer, type Server} from 'node:net';
import path from 'node:path';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {type MilterAnswer, serveMilter} from '../../src/milter/server.ts';
import {keptCheck, type Meant, signedBefore} from '../../src/proof/kept.ts';
import type {Rival} from '../../src/services/facts.ts';
import {sendersToCompare} from '../../src/services/opendkim/compared.ts';
import type {OpenDkimFacts} from '../../src/services/opendkim/facts.ts';
import {OPENDKIM} from '../../src/services/opendkim/hints.ts';
import type {Step} from '../../src/services/step.ts';
import {scratchHost} from '../proof/scratch.ts';

const SOCKET = absolute('/run/opendkim.sock');
const endpoint = {kind: 'unix', path: SOCKET} as const;

const opendkim: OpenDkimFacts = {
  kind: 'opendkim',
  program: 'OpenDKIM',
  version: '2.11.0',
  attachment: {by: 'milter', endpoint},
  configFile: absolute('/etc/opendkim.conf'),
  settings: {keytable: 'file:/etc/opendkim/KeyTable', signingtable: 'refile:/etc/opendkim/SigningTable'},
  keys: [],
  keySources: [],
  signedDomains: [],
  unit: 'opendkim.service',
  active: true,
  unitPidFile: '',
  socketOverride: '',
  user: 'opendkim',
  group: 'opendkim',
};

let host: ReturnType<typeof scratchHost>;
let server: Server;
/** `d=example.com s=one` by sender; `tempfail`; absent: unsigned. */
let signers: Record<string, string>;
const asked: string[] = [];

const answer = (from: string): MilterAnswer => {
  asked.push(from);
  const mark = signers[from];
  if (mark === undefined) return {verdict: 'accept'};
  if (mark === 'tempfail') return {verdict: 'tempfail'};
  const insert = mark.split(' and ').map(each => {
    const [, d, s] = /d=(\S+) s=(\S+)/.exec(each) ?? [];
    return {name: 'DKIM-Signature', value: `v=1; a=rsa-sha256; d=${d};\n\ts=${s}; h=from; b=A=`};
  });
  return {verdict: 'accept', insert};
};

beforeEach(async () => {
  host = scratchHost({journalctl: () => ({stdout: 'QID: no signing table match\n'})});
  signers = {};
  asked.length = 0;
  host.write('/run/x', '');
  server = createServer(socket =>
    serveMilter(socket, (step, {headers}) => {
      const from = headers.find(({name}) => name === 'From')?.value.trim() ?? '';
      return step === 'end-of-message' ? answer(from) : {verdict: 'continue'};
    }),
  );
  await new Promise<void>(resolve => server.listen(path.join(host.root, SOCKET), resolve));
});

afterEach(async () => {
  await new Promise(resolve => server.close(resolve));
  host.remove();
});

function tables(signing: string, keys = ''): void {
  host.write('/etc/opendkim/SigningTable', signing);
  host.write('/etc/opendkim/KeyTable', keys);
}

const look = async (steps: readonly Step[] = [], others: readonly Rival[] = []) =>
  signedBefore(
    host.ports,
    {signer: OPENDKIM, endpoint, others},
    await sendersToCompare(host.ports, opendkim, steps),
  );

async function kept(after: Record<string, string>, meant: readonly Meant[] = []) {
  const before = await look();
  signers = after;
  return await keptCheck(host.ports, {before, endpoint, meant, otherSigners: []});
}

const both = {'postmaster@a.example': 'd=a.example s=one', 'joe@b.example': 'd=b.example s=two'};

describe('after a change', () => {
  beforeEach(() => {
    tables('*@a.example ka\njoe@b.example kb\n');
    signers = both;
  });

  test('all that was signed is signed as before', async () => {
    expect(await kept(both)).toMatchObject({
      id: 'live.kept',
      status: 'pass',
      evidence: '2 senders signed as before',
    });
  });

  test.each([
    [
      {'joe@b.example': 'd=b.example s=two'},
      "postmaster@a.example (row *@a.example) was signed with d=a.example s=one; now OpenDKIM doesn't sign it.",
    ],
    [
      {...both, 'joe@b.example': 'tempfail'},
      'joe@b.example (row joe@b.example) was signed with d=b.example s=two; now OpenDKIM refuses it (tempfail).',
    ],
    [
      {...both, 'joe@b.example': 'd=a.example s=one'},
      'joe@b.example (row joe@b.example) was signed with d=b.example s=two; now it is signed with d=a.example s=one.',
    ],
    [
      {...both, 'joe@b.example': 'd=b.example s=three'},
      'joe@b.example (row joe@b.example) was signed with d=b.example s=two; now it is signed with d=b.example s=three.',
    ],
  ])('a loss fails, and says whose and why', async (after, cause) => {
    const check = await kept(after as Record<string, string>, [{domain: 'c.example', selector: 'new'}]);
    expect(check).toMatchObject({status: 'fail', cause});
    expect(check?.evidence).toContain('no signing table match');
  });

  test('the domains of the change get its selector, and nothing less', async () => {
    const meant = [{domain: 'b.example', selector: 'three'}];
    const rotated = {...both, 'joe@b.example': 'd=b.example s=three'};
    expect(await kept(rotated, meant)).toMatchObject({status: 'pass'});
    signers = both;
    expect(await kept({'postmaster@a.example': 'd=a.example s=one'}, meant)).toMatchObject({status: 'fail'});
  });

  test('a domain that is removed may lose its signature, no other', async () => {
    const meant = [{domain: 'b.example', selector: undefined}];
    expect(await kept({'postmaster@a.example': 'd=a.example s=one'}, meant)).toMatchObject({status: 'pass'});
    signers = both;
    expect(await kept({}, meant)).toMatchObject({status: 'fail'});
  });

  test('of several signatures none may go', async () => {
    signers = {...both, 'joe@b.example': 'd=b.example s=two and d=a.example s=one'};
    expect(await kept(both)).toMatchObject({status: 'fail'});
  });

  test('who was not signed before is named and is no failure', async () => {
    tables('*@a.example ka\njoe@b.example kb\n*@c.example kc\n*@d.example kd\n');
    const before = {...both, 'postmaster@d.example': 'tempfail'};
    signers = before;
    expect(await kept(before)).toMatchObject({
      status: 'warn',
      evidence:
        '2 senders signed as before; not signed before either: postmaster@c.example; refused or deferred before, too: postmaster@d.example',
      fix: 'sudo waxseal explain postmaster@d.example',
    });
  });
});

test('where nothing was signed there is nothing to compare', async () => {
  tables('*@a.example ka\n');
  expect(await kept({})).toBeUndefined();
});

test('a signer that does not answer is asked once, not once a sender', async () => {
  tables('*@a.example ka\n*@b.example kb\n');
  await new Promise(resolve => server.close(resolve));
  const before = await look();
  expect(before.marks).toHaveLength(1);
  expect(before.marks[0]?.mark.state).toBe('broken');
});

test('of many, 20 are asked by chance and all whose rows the plan touches', async () => {
  const rows = Array.from({length: 400}, (_, at) => `*@d${at}.example k${at}\n`);
  tables(rows.join(''));
  const next = [...rows];
  next.splice(200, 1);
  next.unshift('*@d3*.example new\n');
  const step: Step = {
    kind: 'file',
    id: 'file:/etc/opendkim/SigningTable',
    why: '',
    path: absolute('/etc/opendkim/SigningTable'),
    before: {state: 'absent'},
    beforeText: rows.join(''),
    after: {content: {from: 'text', text: next.join('')}, owner: {user: 'root', group: 'root'}, mode: 0o644},
  };
  const before = await look([step]);
  expect(before.total).toBe(400);
  expect(new Set(asked).size).toBe(asked.length);
  // d3, d30 to d39, d300 to d399 by the new row; d200 by its own.
  expect(asked.filter(address => /@d(3\d{0,2}|200)\.example$/.test(address))).toHaveLength(112);
  expect(asked.length).toBeGreaterThanOrEqual(112);
  expect(asked.length).toBeLessThanOrEqual(132);
});

test('a domain of a signer that was switched off must be signed now', async () => {
  tables('*@a.example ka\n');
  signers = {'postmaster@a.example': 'd=a.example s=one'};
  const rspamd: Rival = {
    kind: 'rspamd',
    program: 'rspamd',
    evidence: '',
    signs: 'yes',
    domains: {known: ['a.example', 'b.example'], unread: []},
  };
  const before = await look([], [rspamd]);
  const check = (otherSigners: readonly Rival[]) =>
    keptCheck(host.ports, {before, endpoint, meant: [], otherSigners});
  expect(await check([rspamd])).toMatchObject({status: 'pass'});
  expect(await check([{...rspamd, signs: 'no'}])).toMatchObject({
    status: 'fail',
    cause: "b.example was signed by rspamd; now OpenDKIM doesn't sign it.",
  });
});
