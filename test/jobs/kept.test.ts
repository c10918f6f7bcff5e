import {createServer, type Server} from 'node:net';
import path from 'node:path';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import type {HostPicture} from '../../src/host/index.ts';
import {keptCheck, type Meant, signedBefore} from '../../src/jobs/kept.ts';
import {type MilterAnswer, serveMilter} from '../../src/milter/server.ts';
import type {Rival} from '../../src/services/facts.ts';
import type {KeyFact} from '../../src/services/key-fact.ts';
import {OPENDKIM} from '../../src/services/opendkim/hints.ts';
import type {SignerView, SigningRow} from '../../src/services/signer.ts';
import {decision, HOP, line, local, picture, row, signer, submission} from '../host/pictures.ts';
import {scratchHost} from '../proof/scratch.ts';

const SOCKET = absolute('/run/opendkim.sock');
const endpoint = {kind: 'unix', path: SOCKET} as const;

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
    const [, d, s, a = 'rsa-sha256'] = /d=(\S+) s=(\S+)(?: a=(\S+))?/.exec(each) ?? [];
    return {name: 'DKIM-Signature', value: `v=1; a=${a}; d=${d};\n\ts=${s}; h=from; b=A=`};
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

const milters = [{...HOP, text: 'unix:/run/opendkim.sock', endpoint}];

/** A mail server that hands local mail and submissions to the signer with these rows. */
const hostOf = (rows: readonly SigningRow[], part: Partial<SignerView> = {}): HostPicture =>
  picture({
    entrances: [local({milters}), submission({milters})],
    signers: [signer(rows, {endpoints: [{endpoint, source: line(3)}], ...part})],
  });

const A = row('*@a.example', 'a.example', 'one');
const JOE = row('joe@b.example', 'b.example', 'two');
const both = {'postmaster@a.example': 'd=a.example s=one', 'joe@b.example': 'd=b.example s=two'};
const ROWS = [A, JOE];

interface Moment {
  readonly rows?: readonly SigningRow[];
  readonly picture?: HostPicture;
  readonly signs?: Record<string, string>;
  readonly others?: readonly Rival[];
}

const at = ({rows = ROWS, picture: seen = hostOf(rows), others = []}: Moment) => ({picture: seen, others});

const look = async (moment: Moment, domains: readonly string[] = []) => {
  signers = moment.signs ?? both;
  return await signedBefore(host.ports, at(moment), domains);
};

async function kept(was: Moment, is: Moment, meant: readonly Meant[] = []) {
  const before = await look(was);
  asked.length = 0;
  signers = is.signs ?? both;
  return await keptCheck(host.ports, {before, after: at(is), meant, words: OPENDKIM});
}

describe('after a change', () => {
  test('all that was signed is signed as before', async () => {
    expect(await kept({}, {})).toMatchObject({
      id: 'live.kept',
      status: 'pass',
      evidence: '2 senders signed as before, 2 queried',
    });
  });

  test.each([
    [
      'which the picture does not see',
      {signs: {'joe@b.example': 'd=b.example s=two'}},
      "postmaster@a.example (row *@a.example) was signed with d=a.example s=one; now it isn't signed.",
    ],
    [
      'by a refusal',
      {signs: {...both, 'joe@b.example': 'tempfail'}},
      'joe@b.example (row joe@b.example) was signed with d=b.example s=two; now it is refused (tempfail).',
    ],
    [
      'by another domain',
      {signs: {...both, 'joe@b.example': 'd=a.example s=one'}},
      'joe@b.example (row joe@b.example) was signed with d=b.example s=two; now it is signed with d=a.example s=one.',
    ],
    [
      'by another algorithm',
      {signs: {...both, 'joe@b.example': 'd=b.example s=two a=ed25519-sha256'}},
      'joe@b.example (row joe@b.example) was signed with d=b.example s=two; now it is signed with d=b.example s=two.',
    ],
    [
      'that the signer has not taken over yet',
      {rows: [A]},
      "joe@b.example (row joe@b.example) was signed with d=b.example s=two (mail from programs (sendmail), mail from logged-in clients on port 587); now it isn't signed: No row matches joe@b.example.",
    ],
    [
      'on one way',
      {picture: {...hostOf(ROWS), entrances: [local({milters}), submission({milters: []})]}},
      "postmaster@a.example (row *@a.example) was signed with d=a.example s=one (mail from logged-in clients on port 587); now it isn't signed: milters is inet:127.0.0.1:8891; joe@b.example (row joe@b.example) was signed with d=b.example s=two (mail from logged-in clients on port 587); now it isn't signed: milters is inet:127.0.0.1:8891.",
    ],
  ] as const)('a loss fails, and says whose and why: %s', async (_, is, cause) => {
    const check = await kept({}, is, [{domain: 'c.example', selector: 'new'}]);
    expect(check).toMatchObject({status: 'fail', cause});
    expect(check?.evidence).toContain('no signing table match');
  });

  test('another key under the same name is a loss', async () => {
    const withKey = (fingerprint: string): HostPicture => {
      const seen = hostOf(ROWS);
      const key: KeyFact = {
        ...{known: true, realPath: absolute('/etc/keys/x'), algorithm: 'rsa', bits: 2048},
        ...{fingerprint, publicKey: ''},
      };
      return {...seen, keys: new Map(JOE.keyPath === undefined ? [] : [[JOE.keyPath, key]])};
    };
    expect(await kept({picture: withKey('11')}, {picture: withKey('11')})).toMatchObject({status: 'pass'});
    expect(await kept({picture: withKey('11')}, {picture: withKey('22')})).toMatchObject({
      status: 'fail',
      cause: expect.stringContaining('joe@b.example'),
    });
  });

  test('the domains of the change get its selector, and nothing less', async () => {
    const meant = [{domain: 'b.example', selector: 'three'}];
    const rows = [A, row('joe@b.example', 'b.example', 'three')];
    const signs = {...both, 'joe@b.example': 'd=b.example s=three'};
    expect(await kept({}, {rows, signs}, meant)).toMatchObject({status: 'pass'});
    const less = {'postmaster@a.example': 'd=a.example s=one'};
    expect(await kept({}, {rows, signs: less}, meant)).toMatchObject({status: 'fail'});
    expect(await kept({}, {rows: [A], signs: less}, meant)).toMatchObject({status: 'fail'});
  });

  test('a domain that is removed may lose its signature, no other', async () => {
    const meant = [{domain: 'b.example', selector: undefined}];
    const signs = {'postmaster@a.example': 'd=a.example s=one'};
    expect(await kept({}, {rows: [A], signs}, meant)).toMatchObject({status: 'pass'});
    expect(await kept({}, {rows: [], signs: {}}, meant)).toMatchObject({status: 'fail'});
    const all = [...meant, {domain: 'a.example', selector: undefined}];
    expect(await kept({}, {rows: [], signs: {}}, all)).toBeUndefined();
  });

  test('a new row may sign with its key what a pattern signed, but not leave it unsigned', async () => {
    const meant = [{domain: 'sub.a.example', selector: 'new'}];
    const deep = 'postmaster@x.sub.a.example';
    const old = row('*@x.sub.a.example', 'a.example', 'one');
    const next = row('*@x.sub.a.example', 'sub.a.example', 'new');
    const signs = {...both, [deep]: 'd=sub.a.example s=new'};
    // A pattern covers it before, and it has no row of its own.
    const was = {picture: hostOf([A], {wouldSign: signer([A, old]).wouldSign})};
    expect(await kept(was, {rows: [A, next], signs}, meant)).toMatchObject({status: 'pass'});
    const shadow = {picture: hostOf([A, next], {wouldSign: signer([A]).wouldSign}), signs};
    expect(await kept(was, shadow, meant)).toMatchObject({status: 'fail'});
    expect(await kept({rows: [A, old], signs}, {rows: [A, next], signs}, meant)).toMatchObject({
      status: 'fail',
    });
  });

  test('who was not signed by the signer before cannot lose it, whatever the picture says', async () => {
    const less = {'postmaster@a.example': 'd=a.example s=one'};
    expect(await kept({signs: less}, {rows: [A], signs: less})).toMatchObject({status: 'pass'});
  });

  test('of several signatures none may go', async () => {
    const signs = {...both, 'joe@b.example': 'd=b.example s=two and d=a.example s=one'};
    expect(await kept({signs}, {})).toMatchObject({status: 'fail'});
  });

  test('who was not signed before is named and is no failure; who was refused is not queried', async () => {
    const broken = {...row('*@d.example'), keyPath: undefined};
    const moment = {rows: [...ROWS, row('*@c.example'), broken]};
    expect(await kept(moment, moment)).toMatchObject({
      status: 'warn',
      evidence:
        '2 senders signed as before, 2 queried; not signed before either: postmaster@c.example; refused or deferred before, too: postmaster@d.example',
      fix: 'sudo waxseal explain postmaster@d.example',
    });
    await look(moment);
    expect(asked).toContain('postmaster@c.example');
    expect(asked).not.toContain('postmaster@d.example');
  });
});

describe('what cannot be told', () => {
  const unread = decision('table', 'dsn:x', "It can't be read.");
  const blind = hostOf(ROWS, {
    wouldSign: () => ({outcome: 'unknown', by: [], decisions: [unread]}),
    unread: [unread],
  });

  test('before and after is no loss where the signer signs or nothing was known', async () => {
    expect(await kept({picture: blind}, {picture: blind})).toMatchObject({
      status: 'pass',
      evidence: expect.stringContaining('2 senders signed as before, 2 queried'),
    });
    expect(await kept({picture: blind, signs: {}}, {picture: blind, signs: {}})).toBeUndefined();
    expect(await kept({picture: blind}, {picture: blind, signs: {}})).toMatchObject({status: 'fail'});
  });

  test('only after the change is decided by the signer', async () => {
    expect(await kept({}, {picture: blind})).toMatchObject({status: 'pass'});
    expect(await kept({}, {picture: blind, signs: {}})).toMatchObject({status: 'fail'});
  });
});

test('where nothing was signed there is nothing to compare', async () => {
  expect(await kept({rows: [A], signs: {}}, {rows: [A], signs: {}})).toBeUndefined();
});

test('a signer that does not answer is queried once, not once a sender', async () => {
  await new Promise(resolve => server.close(resolve));
  const before = await look({});
  expect([...before.marks.values()]).toMatchObject([{state: 'broken'}]);
});

test('of many, 20 are queried by chance, those of the change, and all that it touches', async () => {
  const rows = Array.from({length: 400}, (_, index) => row(`*@d${index}.example`));
  const signs = Object.fromEntries(rows.map(({domain = ''}) => [`postmaster@${domain}`, `d=${domain} s=s1`]));
  const before = await look({rows, signs}, ['d7.example']);
  expect(asked).toContain('postmaster@d7.example');
  expect(asked.length).toBeLessThanOrEqual(21);
  expect(new Set(asked).size).toBe(asked.length);
  asked.length = 0;
  const after = rows.map((each, index) =>
    index >= 300 && index < 350 ? row(each.pattern, each.domain, 's2') : each,
  );
  const check = await keptCheck(host.ports, {
    before,
    after: at({rows: after}),
    meant: after.map(({domain = ''}) => ({domain, selector: 's2'})),
    words: OPENDKIM,
  });
  expect(asked.filter(address => /@d3[0-4]\d\.example$/.test(address))).toHaveLength(50);
  // The signer still has the old tables: each is signed as before, which is no loss.
  expect(check).toMatchObject({status: 'pass'});
});

test('a domain of a signer that was switched off must be signed now', async () => {
  const rspamd: Rival = {
    kind: 'rspamd',
    program: 'rspamd',
    evidence: '',
    signs: 'yes',
    domains: {known: ['a.example', 'c.example'], unread: []},
  };
  const was = {rows: [A], others: [rspamd]};
  expect(await kept(was, was)).toMatchObject({status: 'pass'});
  expect(await kept(was, {rows: [A], others: [{...rspamd, signs: 'no'}]})).toMatchObject({
    status: 'fail',
    cause: "c.example was signed by rspamd; now it isn't signed.",
  });
});
