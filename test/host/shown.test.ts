/** What a test message has shown of a milter of which nothing is known, from the message to the picture. */
import {generateKeyPairSync} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import {mailChecks} from '../../src/doctor/mail.ts';
import {lookAtHostPicture} from '../../src/host/index.ts';
import {SHOWN_FILE} from '../../src/host/shown.ts';
import {keepShown} from '../../src/jobs/shown.ts';
import {look} from '../../src/services/look.ts';
import type {Ports} from '../../src/system/ports.ts';
import {fixtureHost} from '../support/fake-host.ts';

const KEY = generateKeyPairSync('rsa', {modulusLength: 1024}).privateKey.export({
  type: 'pkcs8',
  format: 'pem',
});
const CONFIG =
  'UserID opendkim\nMode sv\nSocket inet:8891@localhost\nKeyTable /etc/opendkim/KeyTable\nSigningTable refile:/etc/opendkim/SigningTable\n';
const NOW = new Date('2026-11-29T14:46:00Z');

/** A host that signs, with one more milter behind the signer on every way. */
async function host(milter = 'inet:127.0.0.1:9999') {
  const fake = fixtureHost('inet-socket');
  const ports = {...fake, clock: {now: () => NOW, sleep: async () => undefined}} as unknown as Ports;
  const change = (to: string): void => {
    const main = fake.files
      .text('/etc/postfix/main.cf')
      .replace(/^(\w*smtpd_milters=[^,\n]*).*$/gm, `$1,${to}`);
    fake.files.put('/etc/postfix/main.cf', main);
  };
  change(milter);
  fake.files.put('/var/lib/other', '');
  fake.files.put('/etc/opendkim.conf', CONFIG);
  fake.files.put('/etc/opendkim/KeyTable', 'k1 example.com:s1:/etc/dkimkeys/k1\n');
  fake.files.put('/etc/opendkim/SigningTable', '*@example.com k1\n');
  fake.files.put('/etc/dkimkeys/k1', KEY, {mode: 0o600, uid: 104, gid: 110});
  const told = async (): Promise<readonly string[]> => {
    const {checks} = mailChecks(await lookAtHostPicture(ports, await look(ports)));
    return checks
      .filter(({id}) => /^mail\.(?:unproven|survives)$/.test(id))
      .map(({status, evidence, fix}) => `${status} ${evidence} ${fix}`);
  };
  const shows = async (...ids: readonly string[]): Promise<void> => {
    const checks = ids.map(id => ({
      id,
      title: '',
      status: 'pass' as const,
      evidence: '',
      cause: '',
      fix: '',
    }));
    await keepShown(ports, (await look(ports)).entrances, {passed: true, checks});
  };
  return {fake, change, told, shows};
}

describe('a milter of which nothing is known', () => {
  it('is a doubt, with the command that settles it', async () => {
    const {told} = await host();
    expect(await told()).toEqual(
      Array(2).fill(expect.stringMatching(/^warn .*inet:127\.0\.0\.1:9999.* sudo waxseal test$/)),
    );
  });

  it('is shown on the way that a verified message took, with its time', async () => {
    const {told, shows} = await host();
    await shows('live.sendmail', 'live.smtp');
    expect(await told()).toEqual([
      expect.stringMatching(/^pass .*inet:127\.0\.0\.1:9999.*verified, 2026-11-29 14:46 UTC/),
    ]);
  });

  it('stays a doubt on the ways that no message took', async () => {
    const {told, shows} = await host();
    await shows('live.sendmail');
    expect(await told()).toEqual([
      expect.stringMatching(/^warn [^:]*port 25/),
      expect.stringMatching(/^pass mail from programs/),
    ]);
  });

  it('is one again once another stands in its place', async () => {
    const {told, shows, change} = await host();
    await shows('live.sendmail', 'live.smtp');
    change('inet:127.0.0.1:7777');
    expect(await told()).toEqual(Array(2).fill(expect.stringMatching(/^warn .*7777/)));
  });

  it('is not shown by a damaged file', async () => {
    const {told, shows, fake} = await host();
    await shows('live.sendmail', 'live.smtp');
    fake.files.put(SHOWN_FILE, fake.files.text(SHOWN_FILE).slice(0, -20));
    expect(await told()).toEqual(Array(2).fill(expect.stringMatching(/^warn /)));
  });

  it('that is known to change mail is settled by no message', async () => {
    const {told, shows, fake} = await host('inet:127.0.0.1:11332');
    const before = await told();
    await shows('live.sendmail', 'live.smtp');
    expect(before).toEqual(Array(2).fill(expect.stringMatching(/^warn .*11332/)));
    expect(await told()).toEqual(before);
    expect(await fake.files.stat(SHOWN_FILE)).toBeUndefined();
  });
});
