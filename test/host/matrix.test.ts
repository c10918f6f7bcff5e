/**
 * The tables of the lab without the lab: what a real Postfix and OpenDKIM did with a message (test/lab/matrix/rows.ts) is
 * what waxseal says of it, from the texts of the configuration alone.
 */
import {generateKeyPairSync} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import {createAsker, type HostPicture, lookAtHostPicture, type MailAnswer} from '../../src/host/index.ts';
import {look} from '../../src/services/look.ts';
import {PORTS, type Question, question, SOCKET} from '../lab/matrix/configuration.ts';
import {type Row, rows} from '../lab/matrix/rows.ts';
import {type FakeHost, fixtureHost, planPorts} from '../support/fake-host.ts';

const KEY = generateKeyPairSync('rsa', {modulusLength: 2048}).privateKey.export({
  type: 'pkcs1',
  format: 'pem',
}) as string;

/** As the lab furnishes its host, without what only delivers. */
const BASE_MAIN = [
  `smtpd_milters = ${SOCKET}`,
  'non_smtpd_milters = $smtpd_milters',
  'milter_default_action = accept',
  'smtpd_sasl_auth_enable = yes',
  'qmqpd_authorized_clients = 127.0.0.1',
];
const BASE_MASTER = ['submission inet n - y - - smtpd', '628 inet n - y - - qmqpd'];
const BASE_SIGNER = [
  'Mode sv',
  'Canonicalization relaxed/simple',
  'OversignHeaders From',
  'UserID opendkim',
  'UMask 007',
  'PidFile /run/opendkim/opendkim.pid',
  'Socket local:/var/spool/postfix/opendkim/opendkim.sock',
  'KeyTable file:/etc/opendkim/KeyTable',
  'SigningTable refile:/etc/opendkim/SigningTable',
];
const BASE_SIGNING = ['*@example.com one', '*@example.org two'];
const BASE_KEYS = [
  'one example.com:s1:/etc/dkimkeys/s1.private',
  'two example.org:s2:/etc/dkimkeys/s2.private',
  'three example.com:s3:/etc/dkimkeys/s3.private',
];

function entriesOf(master: string): Map<string, string> {
  const entries = new Map<string, string>();
  let current = '';
  for (const line of master.split('\n').filter(each => each.trim() !== '' && !each.startsWith('#'))) {
    if (/^\s/.test(line)) entries.set(current, `${entries.get(current) ?? ''}\n${line}`);
    else {
      current = line.split(/\s+/).slice(0, 2).join('/');
      entries.set(current, line);
    }
  }
  return entries;
}

function furnished(row: Row): FakeHost {
  const host = fixtureHost('debian-13');
  const {files} = host;
  const master = entriesOf([files.text('/etc/postfix/master.cf'), ...BASE_MASTER].join('\n'));
  for (const [name, entry] of (row.master ?? []).flatMap(each => [...entriesOf(each)]))
    master.set(name, entry);
  for (const [name, options] of Object.entries(row.options ?? {})) {
    master.set(name, [master.get(name), ...options.map(option => `  -o ${option}`)].join('\n'));
  }
  const out = new Set((row.signer ?? []).filter(line => line.startsWith('-')).map(line => line.slice(1)));
  const put = (at: string, lines: readonly string[]): void => files.put(at, `${lines.join('\n')}\n`);
  put('/etc/mailname', ['example.com']);
  put('/etc/postfix/master.cf', [...master.values()]);
  put('/etc/postfix/main.cf', [files.text('/etc/postfix/main.cf'), ...BASE_MAIN, ...(row.main ?? [])]);
  put('/etc/opendkim.conf', [
    ...BASE_SIGNER.filter(line => !out.has(line.split(' ')[0] ?? '')),
    ...(row.signer ?? []).filter(line => !line.startsWith('-')),
  ]);
  put('/etc/opendkim/SigningTable', row.signingTable ?? BASE_SIGNING);
  put('/etc/opendkim/KeyTable', row.keyTable ?? BASE_KEYS);
  for (const selector of ['s1', 's2', 's3'])
    files.put(`/etc/dkimkeys/${selector}.private`, KEY, {mode: 0o600, uid: 104, gid: 110});
  for (const [at, text] of Object.entries(row.files ?? {})) files.put(at, text);
  return host;
}

async function pictureOf(row: Row): Promise<HostPicture> {
  const ports = planPorts(furnished(row));
  return await lookAtHostPicture(ports, await look(ports));
}

/** Entrances that a message passes one after the other, each as a new message. */
const ENTRANCES: Readonly<Record<string, readonly string[]>> = {
  local: ['local'],
  bs: ['local'],
  qmqp: ['qmqp'],
  bounce: ['bounce'],
  copy: ['bounce'],
  notice: ['notice'],
  list: ['25', 'local'],
};

function answersTo(picture: HostPicture, row: Row, asked: Question): readonly MailAnswer[] {
  const origin = row.main?.find(line => line.startsWith('myorigin = '))?.slice('myorigin = '.length);
  const isOwn = ['bounce', 'copy', 'notice'].includes(asked.entrance);
  const isLocal = asked.isProxied || (asked.client === 'local' && asked.clientAddress === undefined);
  const sender = asked.fields.find(field => field.startsWith('Sender: '))?.slice('Sender: '.length);
  const ask = createAsker(picture);
  return (ENTRANCES[asked.entrance] ?? [String(asked.port ?? 25)]).map(name => {
    const entrance = picture.entrances.find(({kind, listensOn}) =>
      /^\d+$/.test(name) ? listensOn === name || listensOn.endsWith(`:${name}`) : kind === name,
    );
    if (entrance === undefined) throw new TypeError(`no entrance ${name}`);
    return ask(entrance, {
      from: isOwn ? `MAILER-DAEMON@${origin ?? 'example.com'}` : asked.from,
      ...(sender === undefined ? {} : {sender}),
      client: isLocal
        ? {name: 'localhost', address: '127.0.0.1'}
        : {
            name: asked.clientName?.replace('UNAVAILABLE', '203.0.113.5') ?? 'c.ext',
            address: asked.clientAddress ?? '203.0.113.5',
          },
      authenticated: asked.login,
      recipients: [`token@${asked.to}`],
    });
  });
}

/** Whether it is what the host did: `1`, `2 broken`, `held 0`, `refused`, `delayed`, `dead`. */
function isAs(truth: string, answers: readonly MailAnswer[]): boolean {
  const [, count, broken] = /^(?:held )?(\d)( broken| \d broken)?$/.exec(truth) ?? [];
  const isRefused = answers.some(({outcome}) => outcome === 'refused');
  if (count === undefined) return isRefused;
  const made = answers.flatMap(({signatures}) => signatures).length;
  const survives = answers[0]?.survives;
  // Made, and taken away again.
  if (Number(count) === 0 && made > 0) return survives === 'no';
  // `depends` fits both.
  const isFine = made === 0 || (broken === undefined ? survives !== 'no' : survives !== 'yes');
  return !isRefused && made === Number(count) && isFine;
}

/** What the texts of a configuration do not tell: whether something answers, and what a message is like. */
const needsHost = ({name}: Row, {body}: Question): boolean =>
  /^(?:down: |list: the whole path|signer: a word it cannot read)/.test(name) || body !== 'plain';

/** Not decided, for a reason. */
const OPEN: ReadonlySet<string> = new Set([
  // A script may call sendmail(1) or not.
  'filter: a pipe that calls sendmail(1), pickup without milters: smtp foreign: 0',
  'signer: refile with a regular expression: smtp: 0',
  'signer: tables by relative paths: smtp: 1',
]);

describe('the picture of a host says what a real one did', () => {
  it.each(rows.map(row => [row.name, row] as const))('%s', async (_, row) => {
    const picture = await pictureOf(row);
    for (const line of row.expected) {
      const cut = line.lastIndexOf(': ');
      const asked = question(line.slice(0, cut));
      if (needsHost(row, asked)) continue;
      const answers = answersTo(picture, row, asked);
      const said = answers.map(
        ({outcome, signatures, survives}) => `${outcome} ${signatures.length} ${survives}`,
      );
      const isOpen = answers.some(({outcome}) => outcome === 'unknown');
      const isKnown = isAs(line.slice(cut + 2), answers);
      expect(
        `${line} | ${said.join(' + ')} | ${OPEN.has(`${row.name}: ${line}`) ? isOpen : isKnown}`,
      ).toMatch(/ true$/);
    }
  });

  it('is asked a lot', () => {
    expect(rows.flatMap(({expected}) => expected).length).toBeGreaterThan(300);
    expect(PORTS.filter).toBe(10_024);
  });
});
