/** Whole configurations, read as the host has them: what `check` says of each kind of fault, in one look. */
import {generateKeyPairSync} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import {mailChecks} from '../../src/doctor/mail.ts';
import {lookAtHostPicture} from '../../src/host/index.ts';
import {look} from '../../src/services/look.ts';
import type {Ports} from '../../src/system/ports.ts';
import {fixtureHost} from '../support/fake-host.ts';

const PEM = generateKeyPairSync('rsa', {modulusLength: 2048}).privateKey.export({
  type: 'pkcs8',
  format: 'pem',
});
const KEY = '/etc/dkimkeys/s1.private';

interface Change {
  readonly main?: string;
  readonly master?: string;
  readonly conf?: string;
  readonly signing?: string;
  readonly files?: Readonly<Record<string, string>>;
}

/** A host that somebody set up by hand, and lines behind its files. */
async function checked({
  main = '',
  master = '',
  conf = '',
  signing = '*@example.com k1\n',
  files = {},
}: Change) {
  const host = fixtureHost('inet-socket');
  const put = (path: string, more: string): void =>
    host.files.put(path, `${host.files.text(path)}\n${more}\n`);
  host.files.put(KEY, PEM.toString(), {mode: 0o600, uid: 104, gid: 110});
  host.files.put('/etc/opendkim/KeyTable', `k1 example.com:s1:${KEY}\n`);
  host.files.put('/etc/opendkim/SigningTable', signing);
  for (const [path, text] of Object.entries(files)) host.files.put(path, text);
  put(
    '/etc/opendkim.conf',
    `Mode sv\nKeyTable /etc/opendkim/KeyTable\nSigningTable refile:/etc/opendkim/SigningTable\n${conf}`,
  );
  put('/etc/postfix/main.cf', main);
  put('/etc/postfix/master.cf', master);
  const ports = {...host, clock: {now: () => new Date()}} as unknown as Ports;
  return mailChecks(await lookAtHostPicture(ports, await look(ports))).checks;
}

const BACK = '127.0.0.1:10025 inet n - y - - smtpd\n  -o content_filter=\n';
const AMAVIS = "$enable_dkim_signing = 1;\ndkim_key('amavis.example', 'a', '/k.pem');\n";
const FILTER = 'content_filter = smtp:[127.0.0.1]:10024';

describe('a host set up by hand', () => {
  it('is right as it is', async () => {
    expect((await checked({})).map(({id, status}) => `${id} ${status}`)).toEqual(['mail.signed pass']);
  });

  it.each<readonly [string, Change, string, string]>([
    ['no milters', {main: 'smtpd_milters =\nnon_smtpd_milters ='}, 'mail.signed fail', 'smtpd_milters'],
    ['none for sendmail', {main: 'non_smtpd_milters ='}, 'mail.signed fail', 'non_smtpd_milters'],
    [
      'no_milters',
      {main: 'receive_override_options = no_milters'},
      'mail.signed fail',
      'receive_override_options',
    ],
    [
      "OpenDKIM's own notation",
      {main: 'smtpd_milters = inet:8891@localhost'},
      'mail.accepted fail',
      'smtpd_milters',
    ],
    [
      'macros without a login',
      {main: 'milter_mail_macros = i {mail_addr}'},
      'mail.login warn',
      'milter_mail_macros',
    ],
    ['only verifies', {conf: 'Mode v'}, 'mail.signed fail', 'Mode'],
    ['a peer', {conf: 'PeerList 127.0.0.1'}, 'mail.signed fail', 'PeerList'],
    ['an exempt domain', {conf: 'ExemptDomains example.com'}, 'mail.signed fail', 'ExemptDomains'],
    ['a list without this host', {conf: 'InternalHosts 10.0.0.0/8'}, 'mail.signed fail', 'InternalHosts'],
    [
      'a network that matches nothing',
      {conf: 'InternalHosts 127.0.0.1,::1,192.168.1.5/24'},
      'mail.idle warn',
      '192.168.1.5/24',
    ],
    ['everyone as internal host', {conf: 'InternalHosts 0.0.0.0/0'}, 'mail.stranger fail', 'InternalHosts'],
    [
      'a login for everyone',
      {main: 'milter_macro_defaults = auth_type=x'},
      'mail.stranger fail',
      'The client is logged in',
    ],
    [
      'a public port that may sign',
      {main: 'milter_macro_daemon_name = ORIGINATING', conf: 'MTA ORIGINATING'},
      'mail.stranger fail',
      'MTA',
    ],
    [
      'a large network as internal hosts',
      {conf: 'InternalHosts 127.0.0.1,11.0.0.0/8'},
      'mail.stranger fail',
      '11.',
    ],
    [
      'a large network of IPv6',
      {conf: 'InternalHosts 127.0.0.1,2c0f:8000::/20'},
      'mail.stranger fail',
      '2c0f:8000::',
    ],
    [
      'all but one network',
      {conf: 'InternalHosts !11.0.0.0/8,0.0.0.0/0'},
      'mail.stranger fail',
      'InternalHosts',
    ],
    [
      'a list whose pattern covers a network',
      {
        conf: 'InternalHosts refile:/etc/opendkim/hosts',
        files: {'/etc/opendkim/hosts': '127.0.0.1\n11.0.*\n'},
      },
      'mail.stranger fail',
      '11.0.9.9',
    ],
    ['every name under com', {conf: 'InternalHosts 127.0.0.1,.com'}, 'mail.stranger fail', 'host.com'],
    [
      'a network that may be of others',
      {conf: 'InternalHosts 127.0.0.1,12.0.0.0/24'},
      'mail.stranger warn',
      'mynetworks',
    ],
    [
      'clients that are believed who they are',
      {main: 'smtpd_authorized_xclient_hosts = 0.0.0.0/0'},
      'mail.stranger fail',
      'smtpd_authorized_xclient_hosts',
    ],
    [
      'a port for a proxy',
      {main: 'smtpd_upstream_proxy_protocol = haproxy'},
      'mail.stranger warn',
      'smtpd_upstream_proxy_protocol',
    ],
    [
      'QMQP for the whole internet',
      {master: '628 inet n - y - - qmqpd', main: 'qmqpd_authorized_clients = 0.0.0.0/0'},
      'mail.stranger fail',
      'QMQP',
    ],
    ['a filter whose way back signs', {main: FILTER, master: BACK}, 'mail.stranger fail', '10025'],
    [
      'a filter that may sign in its place',
      {
        main: `content_filter = smtp-amavis:[127.0.0.1]:10024\nsmtpd_milters =\nnon_smtpd_milters =`,
        master: `smtp-amavis unix - - y - 2 smtp\n${BACK}`,
        files: {'/etc/amavis/conf.d/50-user': AMAVIS},
      },
      'mail.signed warn',
      "amavis may sign mail that it takes for its own (originating). waxseal can't tell which mail that is.",
    ],
    [
      'domains of a filter that may sign',
      {
        main: 'content_filter = smtp-amavis:[127.0.0.1]:10024',
        master: `smtp-amavis unix - - y - 2 smtp\n${BACK}`,
        files: {'/etc/amavis/conf.d/50-user': AMAVIS},
      },
      'mail.signed warn',
      'amavis.example',
    ],
    [
      'a signing proxy in its place',
      {
        main: `content_filter = dksign:[127.0.0.1]:10027\nsmtpd_milters =\nnon_smtpd_milters =`,
        master: `dksign unix - - y - 2 smtp\n${BACK}`,
      },
      'mail.signed warn',
      "dkimproxy may sign. waxseal doesn't read its configuration.",
    ],
    [
      'a row without a key',
      {signing: '*@example.com k1\n*@foo.example\n'},
      'mail.signed fail',
      'foo.example',
    ],
    [
      'a row without a key, where mail waits for the signer',
      {main: 'milter_default_action = tempfail', signing: '*@example.com k1\n*@foo.example\n'},
      'mail.accepted fail',
      'foo.example',
    ],
    ['signatures with SHA-1', {conf: 'SignatureAlgorithm rsa-sha1'}, 'mail.survives fail', 'SHA-1'],
    ['a row with an unknown key', {signing: '*@example.com nothing\n'}, 'mail.accepted fail', 'nothing'],
    [
      'a key that is missing',
      {files: {'/etc/opendkim/KeyTable': 'k1 example.com:s1:/etc/dkimkeys/none\n'}},
      'mail.accepted fail',
      '/etc/dkimkeys/none',
    ],
    [
      'headers rewritten at delivery',
      {main: 'smtp_generic_maps = inline:{{@example.com=a@b.example}}'},
      'mail.survives',
      'smtp_generic_maps',
    ],
  ])('with %s', async (_, change, expected, words) => {
    const checks = await checked(change);
    const found = checks.filter(({id, status}) => `${id} ${status}`.startsWith(expected));
    expect(found.length, JSON.stringify(checks, undefined, 1)).toBeGreaterThan(0);
    expect(found.map(({evidence, cause}) => `${evidence} ${cause}`).join()).toContain(words);
  });

  it.each<readonly [string, Change]>([
    ['a host that listens to itself only', {main: 'inet_interfaces = loopback-only'}],
    ['QMQP for nobody', {master: '628 inet n - y - - qmqpd'}],
    [
      'a port that lets in only its own networks',
      {
        main: 'milter_macro_daemon_name = ORIGINATING\nsmtpd_client_restrictions = permit_mynetworks, reject',
        conf: 'MTA ORIGINATING',
      },
    ],
    [
      'its own networks as internal hosts',
      {main: 'mynetworks = 127.0.0.0/8 [::1]/128 12.0.0.0/24', conf: 'InternalHosts 127.0.0.1,12.0.0.0/24'},
    ],
    ['one other host as internal', {conf: 'InternalHosts 127.0.0.1,12.0.0.7'}],
    ['private networks as internal hosts', {conf: 'InternalHosts 127.0.0.1,10.0.0.0/8,192.168.0.0/16'}],
    ['a filter that may say who its client is', {main: 'smtpd_authorized_xclient_hosts = 127.0.0.1'}],
  ])('has no word about strangers where there is %s', async (_, change) => {
    expect((await checked(change)).filter(({id}) => id === 'mail.stranger')).toEqual([]);
  });

  it('finds the way back of a filter right that is switched off', async () => {
    const checks = await checked({main: FILTER, master: `${BACK}  -o smtpd_milters=\n`});
    expect(checks.filter(({status}) => status === 'fail')).toEqual([]);
  });
});
