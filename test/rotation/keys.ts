/** Keys in any state, by the transitions that lead there. */
import {parseDnsName, parseDomain, parseSelector} from '../../src/domain/names.ts';
import {absolute} from '../../src/domain/paths.ts';
import type {Result} from '../../src/domain/result.ts';
import {type Evidence, type KeyEntry, type KeyState, newEntry, transition} from '../../src/rotation/index.ts';

export const take = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(result.problem.message);
  return result.value;
};

export const NOW = '2026-11-21T10:00:00.000Z';
export const servers = [{address: '192.0.2.1', serial: 7}];

const PATH: readonly (readonly [KeyState, Evidence])[] = [
  ['pending', {kind: 'record-shown'}],
  ['ready', {kind: 'servers-agree', servers}],
  ['active', {kind: 'signing-proven', run: '20261121T100000Z-0000', checks: ['probe.signature']}],
  ['retiring', {kind: 'superseded', by: take(parseSelector('next'))}],
  ['revoked', {kind: 'revocation-seen', servers}],
  ['removed', {kind: 'record-gone', servers, key: 'shredded'}],
];

/** A key of example.org that has come as far as `state`, every step at `at`. */
export function keyIn(
  state: KeyState,
  name: string,
  algorithm: KeyEntry['algorithm'] = 'rsa',
  at: string = NOW,
): KeyEntry {
  const made = newEntry(
    {
      domain: take(parseDomain('example.org')),
      selector: take(parseSelector(name)),
      algorithm,
      bits: algorithm === 'rsa' ? 2048 : 256,
      record: {
        name: take(parseDnsName(`${name}._domainkey.example.org`)),
        zone: take(parseDnsName('example.org')),
        relativeName: `${name}._domainkey`,
        value: `v=DKIM1; k=${algorithm}; p=AAAA`,
      },
      stagedPath: absolute(`/var/lib/waxseal/keys/example.org/${name}.pem`),
    },
    {kind: 'self-test', fingerprint: 'abc'},
    new Date(at),
  );
  let entry = made;
  for (const [to, evidence] of PATH) {
    if (entry.state === state) break;
    entry = take(transition(entry, to, evidence, new Date(at)));
  }
  return entry;
}
