/** Ten thousand domains: reading and asking must grow with their number, and no faster. */
import {expect, it} from 'vitest';
import {ask, KEYS, OWN, signerOf} from './decide-world.ts';

const MANY = 10_000;

it('answers for each of ten thousand domains', {timeout: 120_000}, async () => {
  const names = Array.from({length: MANY}, (_, at) => `d${at}.example`);
  const signer = await signerOf({
    conf: 'KeyTable file:/etc/opendkim/KeyTable\nSigningTable refile:/etc/opendkim/SigningTable',
    files: {
      '/etc/opendkim/KeyTable': names.map(name => `${name} ${name}:s1:/etc/dkimkeys/many\n`).join(''),
      '/etc/opendkim/SigningTable': names.map(name => `*@${name} ${name}\n`).join(''),
    },
    change: host => host.files.put('/etc/dkimkeys/many', KEYS.rsa, OWN),
  });
  expect(signer.rows).toHaveLength(MANY);
  const signed = names.filter(name => ask(signer, {from: `a@${name}`}).by[0]?.domain === name);
  expect(signed).toHaveLength(MANY);
});
