/**
 * rspamd signs: what waxseal says of its mail, held against the rspamd that runs. `explain` asks it on its socket and
 * compares; some messages are really sent, caught, and judged by dkimpy.
 */
import {createPublicKey, generateKeyPairSync} from 'node:crypto';
import {unlink} from 'node:fs/promises';
import path from 'node:path';
import {describe, expect, test} from 'vitest';
import type {Internet} from './support/dns.ts';
import type {Host} from './support/host.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {until} from './support/process.ts';
import {withOtherSigners} from './support/release.ts';
import {type Report, reportOf, waxseal, waxsealJson} from './support/waxseal.ts';
import {inWorld} from './support/world.ts';

const KEYS = '/var/lib/rspamd/dkim';
const LOCAL = '/etc/rspamd/local.d/dkim_signing.conf';
const PAIR = `path = "${KEYS}/example.com.rs1.key"; selector = "rs1";`;

const LOCALLY = ['alice@example.com', '--entrance', 'local'];
const STRANGER = ['alice@example.com', '--entrance', 'smtp', '--client', '203.0.113.5'];
const LOGGED_IN = [...STRANGER, '--authenticated'];
const BARE_LOGIN = [...STRANGER, '--login', 'alice'];
const FORWARDED = [...LOCALLY, '--envelope', 'list@else.org'];

interface Case {
  readonly name: string;
  readonly conf: string;
  readonly files?: Readonly<Record<string, string>>;
  /** Mail of strangers is signed. */
  readonly exposes?: boolean;
  /** Arguments of `explain`, and the selectors of example.com that sign; '' for none. */
  readonly asked: readonly (readonly [readonly string[], string])[];
}

const CASES: readonly Case[] = [
  {
    name: 'a block',
    conf: `domain { example.com { ${PAIR} } }\ntry_fallback = false;\n`,
    asked: [
      [LOCALLY, 'rs1'],
      [STRANGER, ''],
      [LOGGED_IN, 'rs1'],
      [BARE_LOGIN, ''],
      [FORWARDED, ''],
      [[...LOCALLY, '--envelope', '<>'], 'rs1'],
      [['x@sub.example.com', '--entrance', 'local'], 'rs1'],
      [['x@third.org', '--entrance', 'local'], ''],
    ],
  },
  {
    name: 'strangers, two keys of which one is missing, and use_esld off',
    conf: `use_esld = false; sign_inbound = true;\ndomain { example.com { selectors [ { ${PAIR} }, { path = "${KEYS}/gone.key"; selector = "gone"; } ] } }\n`,
    exposes: true,
    asked: [
      [LOCALLY, 'rs1'],
      [STRANGER, 'rs1'],
      [['x@sub.example.com', '--entrance', 'local'], ''],
    ],
  },
  {
    name: 'maps',
    conf: 'selector_map = "/etc/rspamd/selectors.map";\npath_map = "/etc/rspamd/paths.map";\n',
    files: {
      '/etc/rspamd/selectors.map': '# who\nexample.com rs1\n',
      '/etc/rspamd/paths.map': `example.com ${KEYS}/$domain.$selector.key\n`,
    },
    asked: [
      [LOCALLY, 'rs1'],
      [STRANGER, ''],
    ],
  },
  {
    name: 'tables in the manner of OpenDKIM',
    conf: 'signing_table = "/etc/rspamd/signing";\nkey_table = "/etc/rspamd/keys";\n',
    files: {
      '/etc/rspamd/signing': '*@example.com one\n',
      '/etc/rspamd/keys': `one %:rs1:${KEYS}/%.rs1.key\n`,
    },
    asked: [
      [LOCALLY, 'rs1'],
      [['x@sub.example.com', '--entrance', 'local'], ''],
    ],
  },
  {
    name: 'nothing but a key by the name of the domain',
    conf: 'selector = "rs1";\n',
    asked: [
      [LOCALLY, 'rs1'],
      [STRANGER, ''],
    ],
  },
  {name: 'signing switched off', conf: 'enabled = false;\n', asked: [[LOCALLY, '']]},
];

/** The package enables its service; the test starts it with its first configuration. */
async function sleeping(host: Host): Promise<void> {
  for (const unit of ['rspamd', 'amavis', 'amavis-mc', 'opendkim']) {
    await unlink(path.join(host.root, `etc/systemd/system/multi-user.target.wants/${unit}.service`)).catch(
      () => undefined,
    );
  }
}

async function install({conf, files = {}}: Case, host: Host): Promise<void> {
  for (const [file, text] of Object.entries(files)) await host.write(file, text);
  await host.write(LOCAL, conf);
  await host.must(['rspamadm', 'configtest']);
}

/** A reload is in force some seconds later: the answer of the running rspamd is awaited, not a time. */
const told = (host: Host, words: readonly string[]): Promise<Report> => {
  let last: Report | undefined;
  return until(
    `the running rspamd to agree about ${words.join(' ')}`,
    async () => {
      const outcome = await waxseal(host, ['explain', ...words, '--json']);
      last = reportOf(outcome);
      return last.checks.some(({id, status}) => id === 'explain.agreed' && status === 'pass')
        ? last
        : undefined;
    },
    {withinMs: 120_000, everyMs: 1000},
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${JSON.stringify(last?.checks, undefined, 1)}`);
  });
};

const signedBy = ({checks}: Report): string =>
  (checks.find(({id}) => id === 'explain.agreed')?.evidence.match(/s=\S+/g) ?? [])
    .map(text => text.slice(2).replace(/,$/, ''))
    .join(' ');

async function sent(host: Host, internet: Internet): Promise<readonly string[]> {
  const found: string[] = [];
  for (const by of ['sendmail', 'smtp'] as const)
    found.push(verdict(await send(host, internet, {from: 'alice@example.com', by})));
  return found;
}

describe.each(withOtherSigners)('$name', release => {
  test('what rspamd does is what waxseal says of it', () =>
    inWorld(
      release,
      async ({host, internet}) => {
        const {privateKey} = generateKeyPairSync('rsa', {modulusLength: 2048});
        const der = createPublicKey(privateKey).export({type: 'spki', format: 'der'}).toString('base64');
        const record = `v=DKIM1; k=rsa; p=${der}`;
        await internet.publishEverywhere('example.com', 'rs1._domainkey.example.com', [
          record.slice(0, 250),
          record.slice(250),
        ]);
        await host.must(['install', '-d', '-o', '_rspamd', '-g', '_rspamd', '-m', '0750', KEYS]);
        const key = `${KEYS}/example.com.rs1.key`;
        await host.write(key, privateKey.export({type: 'pkcs8', format: 'pem'}).toString());
        await host.script(`chown _rspamd:_rspamd ${key} && chmod 600 ${key}`);
        await host.must([
          'postconf',
          '-e',
          'smtpd_milters = inet:localhost:11332',
          'non_smtpd_milters = $smtpd_milters',
          'milter_default_action = accept',
        ]);
        await host.must(['systemctl', 'reload', host.release.postfixUnit]);
        let isStarted = false;
        for (const one of CASES) {
          await install(one, host);
          await host.must(['systemctl', isStarted ? 'reload' : 'start', 'rspamd']);
          isStarted = true;
          for (const [words, selectors] of one.asked) {
            const report = await told(host, words);
            expect([one.name, ...words, signedBy(report)]).toEqual([one.name, ...words, selectors]);
            const because = report.checks.find(({id}) => id !== 'explain.agreed')?.evidence;
            console.log(`${one.name}: ${words.join(' ')}: ${selectors || 'unsigned'} (${because})`);
          }
          if (one.exposes === true) {
            const {checks} = await waxsealJson(host, ['check'], 4);
            const found = checks.find(({id}) => id === 'mail.stranger');
            expect([found?.status, found?.evidence]).toEqual([
              'fail',
              expect.stringMatching(
                /hasn't logged in .* sends as postmaster@example\.com: signed with d=example\.com/,
              ),
            ]);
          }
          if (one === CASES[0]) {
            const {domains} = await waxsealJson(host, ['status'], 0);
            expect(domains.map(({domain, selector, keyPath}) => [domain, selector, keyPath])).toEqual([
              ['example.com', 'rs1', key],
            ]);
            const good = VALID('example.com', 'rs1');
            expect(await sent(host, internet)).toEqual([good, good]);
          }
        }
      },
      sleeping,
    ));
});
