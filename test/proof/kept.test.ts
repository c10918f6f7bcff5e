/** The comparison of signatures before and after a change, for a signer of any name. */
import {createServer, type Server} from 'node:net';
import path from 'node:path';
import {afterEach, beforeEach, expect, test} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {serveMilter} from '../../src/milter/server.ts';
import {keptCheck, type Senders, signedBefore} from '../../src/proof/kept.ts';
import {scratchHost} from './scratch.ts';

const SOCKET = absolute('/run/signer.sock');
const endpoint = {kind: 'unix', path: SOCKET} as const;
const signer = {program: 'Signo', logTag: 'signod', lostHint: 'signoctl rules'};
const senders: Senders = {
  all: [{address: 'joe@b.example', domain: 'b.example', text: 'joe@b.example (rule 7)'}],
  unread: [],
  isTouched: () => false,
};

let host: ReturnType<typeof scratchHost>;
let server: Server;
let signs = true;

beforeEach(async () => {
  signs = true;
  host = scratchHost({
    journalctl: argv => ({stdout: argv.includes('signod') ? 'rule 7 has no key\n' : ''}),
  });
  host.write('/run/x', '');
  server = createServer(socket =>
    serveMilter(socket, step =>
      step !== 'end-of-message'
        ? {verdict: 'continue'}
        : {
            verdict: 'accept',
            ...(signs
              ? {insert: [{name: 'DKIM-Signature', value: 'v=1; d=b.example; s=two; h=from; b=A='}]}
              : {}),
          },
    ),
  );
  await new Promise<void>(resolve => server.listen(path.join(host.root, SOCKET), resolve));
});

afterEach(async () => {
  await new Promise(resolve => server.close(resolve));
  host.remove();
});

test('a loss is told in the words of the signer, with its log', async () => {
  const before = await signedBefore(host.ports, {signer, endpoint, others: []}, senders);
  expect(before).toMatchObject({total: 1, marks: [{mark: {state: 'signed'}}]});
  signs = false;
  const check = await keptCheck(host.ports, {before, endpoint, meant: [], otherSigners: []});
  expect(check).toMatchObject({
    status: 'fail',
    cause: "joe@b.example (rule 7) was signed with d=b.example s=two; now Signo doesn't sign it.",
    fix: 'signoctl rules',
  });
  expect(check?.evidence).toContain('rule 7 has no key');
});
