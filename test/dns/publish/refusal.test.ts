import {expect, test} from 'vitest';
import type {PublishChoice, RecordChange} from '../../../src/dns/publish/index.ts';
import {whoMustAct} from '../../../src/dns/publish/refusal.ts';
import {absolute} from '../../../src/domain/paths.ts';
import {domainOf, selectorOf} from '../../support/fake-operations.ts';
import {dnsName, NAME, VALUE} from '../world.ts';

const change: RecordChange = {
  action: 'add',
  domain: domainOf('example.org'),
  selector: selectorOf('202611'),
  name: NAME,
  zone: dnsName('example.org'),
  relativeName: '202611._domainkey',
  value: VALUE,
  quoted: `"${VALUE}"`,
  ttlSeconds: 3600,
  replaces: false,
  primary: dnsName('ns1.example.org'),
  servers: [],
};
const keyed: PublishChoice = {by: 'nsupdate', tsigKey: absolute('/etc/bind/waxseal.key')};
const bare: PublishChoice = {by: 'nsupdate'};

test.each([
  [
    keyed,
    'update failed: REFUSED',
    /^Ask whoever runs the name server ns1\.example\.org to let the key of .*TXT/,
  ],
  [bare, 'update failed: REFUSED', /^The server wants a key.*--tsig-key/],
  [
    keyed,
    '; TSIG error with server: tsig indicates error\nupdate failed: NOTAUTH(BADKEY)',
    /does not know the key/,
  ],
  [keyed, 'update failed: NOTAUTH(BADSIG)', /another secret.*\/etc\/bind\/waxseal\.key/],
  [keyed, 'update failed: NOTAUTH(BADTIME)', /^Set the clock/],
  [keyed, "update failed with error 'NOTAUTH'", /does not take updates of example\.org/],
  [keyed, 'update failed: SERVFAIL', /could not store/],
  [keyed, '; Communication with 192.0.2.1#53 failed: timed out', /does not answer updates from here/],
  [
    keyed,
    '; Communication with 192.0.2.1#53 failed: connection refused',
    /does not answer updates from here/,
  ],
] as const)('%j that says %j', (choice, said, names) => {
  expect(whoMustAct(choice, change, said)).toMatch(names);
});

test('the server that was chosen is the one that is named', () => {
  const chosen = {...keyed, server: {address: '192.0.2.7', port: 53}};
  expect(whoMustAct(chosen, change, 'update failed: REFUSED')).toContain('192.0.2.7');
});

test('words that are not known, and other ways, are left to their own hint', () => {
  expect(whoMustAct(keyed, change, 'syntax error')).toBeUndefined();
  expect(whoMustAct({by: 'hook', path: absolute('/bin/x')}, change, 'REFUSED')).toBeUndefined();
});
