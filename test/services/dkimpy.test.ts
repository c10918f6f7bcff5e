/** What dkimpy-milter signs, held against what the code of the real one (1.2.3) did with the same configuration and mail. */
import {generateKeyPairSync} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import {mailChecks} from '../../src/doctor/mail.ts';
import {sourceText} from '../../src/domain/source.ts';
import {lookAtHostPicture} from '../../src/host/index.ts';
import {dkimpySigners} from '../../src/services/dkimpy/read.ts';
import {look} from '../../src/services/look.ts';
import type {SignerView, SigningAnswer, SigningQuestion} from '../../src/services/signer.ts';
import type {Ports} from '../../src/system/ports.ts';
import {fakeHost, fixtureHost} from '../support/fake-host.ts';

const CONFIG = '/etc/dkimpy-milter/dkimpy-milter.conf';
const RSA = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: {type: 'pkcs8', format: 'pem'},
  publicKeyEncoding: {type: 'spki', format: 'pem'},
}).privateKey;

const FILES: Readonly<Record<string, string>> = {
  '/k/rs.key': RSA,
  '/k/ed.key': `${Buffer.alloc(32, 7).toString('base64')}\n`,
  '/k/bad.key': 'nonsense\n',
  '/k/S1': '*@example.com rs1\n',
  '/k/K1': 'rs1 example.com:rs:/k/rs.key\n',
  '/k/E1': 'rs1 example.com:ed:/k/ed.key\n',
  '/k/S2': '% rs1\n',
  '/k/K2': 'rs1 %:rs:/k/rs.key\n',
  '/k/S3': 'alice@example.com rs1\n',
  '/k/S4': 'al*@example.com rs1\n',
  '/k/S5': '* rs1\n',
  '/k/S6': '*@example.com nope\n',
  '/k/S8': '# c\n*@other.com rs2\n*@example.com rs1\n',
  '/k/K8': 'rs1 example.com:rs:/k/rs.key\nrs2 other.com:o:/k/rs.key\n',
  '/k/E9': 'rs1 sub.example.com:ed:/k/ed.key\n',
  '/k/SA': '*@example.com rs1\nword\n',
  '/k/SB': '*@example.com nope more\n*@example.com rs1\n',
  '/k/SC': '*@example.com nope\n*@other.com rs1\n*@example.com rs1\n',
  '/k/KM': 'rs1 example.com:rs:/k/none.key\n',
  '/k/KF': 'rs1 example.com:rs:/k/rs.key:rsa-sha256\n',
};

async function viewOf(config: string): Promise<SignerView> {
  const host = fakeHost();
  host.units.set('dkimpy-milter.service', {LoadState: 'loaded', ActiveState: 'active'});
  host.users.users.push({name: 'dkimpy-milter', uid: 117, gid: 123});
  host.files.put(CONFIG, config);
  // Keys are root's: they are read before it changes to its own account.
  for (const [at, text] of Object.entries(FILES)) host.files.put(at, text, {mode: 0o600, uid: 0, gid: 0});
  const [view, ...more] = await dkimpySigners(host, 'systemd');
  if (view === undefined || more.length > 0) throw new Error('not one');
  return view;
}

const STRANGER = {name: 'mail.stranger.test', address: '203.0.113.5'};

const question = (from: string, macros: Readonly<Record<string, string>> = {}): SigningQuestion => ({
  ...{from, client: STRANGER, recipients: ['bob@remote.test']},
  macros: new Map(Object.entries(macros)),
});

const shown = ({outcome, by}: SigningAnswer): string =>
  outcome === 'signed'
    ? by.map(({domain, selector}) => `${domain}/${selector}`).join(' ')
    : outcome === 'unsigned'
      ? '-'
      : '?';

const MAIL = ['alice@example.com', 'bob@sub.example.com', 'x@other.com', 'al@example.com'];
const R = 'Domain example.com\nSelector rs\nKeyFile /k/rs.key\n';
const E = 'SelectorEd25519 ed\nKeyFileEd25519 /k/ed.key\n';
const ONE = 'example.com/rs';
const TWO = 'example.com/rs example.com/ed';

const tables = (signing: string, rsa?: string, ed?: string): string =>
  [
    `SigningTable refile:/k/${signing}`,
    ...(rsa === undefined ? [] : [`KeyTable refile:/k/${rsa}`]),
    ...(ed === undefined ? [] : [`KeyTableEd25519 refile:/k/${ed}`]),
  ].join('\n');

/** Each configuration, and what it signs of MAIL when a stranger sends it. `?`: the real one raises, or it isn't known. */
const CASES: readonly (readonly [string, readonly string[]])[] = [
  ['Mode sv\n', ['-', '-', '-', '-']],
  [R, [ONE, '-', '-', ONE]],
  [R + E, [TWO, '-', '-', TWO]],
  [`${R}Mode v# c\n`, ['-', '-', '-', '-']],
  [`${R}Mode s\n`, [ONE, '-', '-', ONE]],
  [`${R}SubDomains yes\n`, [ONE, ONE, '-', ONE]],
  [`${R}InternalHosts csl:127.0.0.1\nMacroList daemon_name|ORIGINATING\n`, [ONE, '-', '-', ONE]],
  [R.replace('Domain', 'domain'), ['-', '-', '-', '-']],
  [R.replace('example.com', 'Example.com'), ['-', '-', '-', '-']],
  [R.replace('example.com', 'example.com, other.com'), [ONE, '-', 'other.com/rs', ONE]],
  [R.replace('example.com', 'example.com,net.test, other.com'), ['-', '-', 'other.com/rs', '-']],
  [R.replace('example.com', 'csl:other.com,example.com'), [ONE, '-', 'other.com/rs', ONE]],
  [`Domain example.com\n${E}`, ['example.com/ed', '-', '-', 'example.com/ed']],
  ['Domain example.com\nKeyFile /k/rs.key\n', ['?', '-', '-', '?']],
  ['Domain example.com\nSelector rs\n', ['-', '-', '-', '-']],
  [R.replace('rs.key', 'bad.key') + E, ['-', '-', '-', '-']],
  [R.replace('rs.key', 'none.key'), ['?', '-', '-', '?']],
  [`${R}KeyTable refile:/k/K1\n`, ['-', '-', '-', '-']],
  [tables('S1', 'K1'), [ONE, '-', '-', ONE]],
  [tables('S1', 'K1', 'E1'), [TWO, '-', '-', TWO]],
  [tables('S1', undefined, 'E1'), ['example.com/ed', '-', '-', 'example.com/ed']],
  [tables('S2', 'K2'), [ONE, 'sub.example.com/rs', 'other.com/rs', ONE]],
  [tables('S3', 'K1'), [ONE, '-', '-', '-']],
  [tables('S4', 'K1'), [ONE, '-', '-', ONE]],
  [tables('S5', 'K1'), ['-', '-', '-', '-']],
  [tables('S6', 'K1'), ['?', '-', '-', '?']],
  [tables('SA', 'K1'), ['?', '?', '?', '?']],
  [tables('SB', 'K1'), [ONE, '-', '-', ONE]],
  [tables('SC', 'K1'), [ONE, '-', ONE, ONE]],
  [tables('S8', 'K8'), [ONE, '-', 'other.com/o', ONE]],
  [
    tables('S1', 'K1', 'E9'),
    ['sub.example.com/rs sub.example.com/ed', '-', '-', 'sub.example.com/rs sub.example.com/ed'],
  ],
  [tables('S1', 'KM'), ['?', '-', '-', '?']],
  [tables('S1', 'KF'), ['?', '-', '-', '?']],
  [tables('S1'), ['-', '-', '-', '-']],
  // The real one signs with KeyFile for everybody here; waxseal says that it can't tell.
  [`${tables('S1')}\nSelector rs\nKeyFile /k/rs.key\n`, ['?', '?', '?', '?']],
  [tables('missing', 'K1'), ['?', '?', '?', '?']],
];

describe('dkimpy-milter', () => {
  it.each(CASES)('signs as it does with %j', async (config, expected) => {
    const view = await viewOf(config);
    expect(MAIL.map(from => shown(view.wouldSign(question(from))))).toEqual(expected);
  });

  it.each([
    ['daemon_name|VERIFYING,daemon_name|X', [ONE, '-', ONE, '-']],
    ['daemon_name|A, daemon_name|X', [ONE, ONE, ONE, '-']],
    ['daemon_name', [ONE, '-', '-', '-']],
    ['daemon_name|A|X', [ONE, ONE, ONE, '-']],
    // Only what is there when the client connects counts.
    ['auth_type', [ONE, ONE, ONE, '?']],
    ['/k/S1', ['?', '?', '?', '?']],
  ])('leaves clients alone that MacroListVerify %s names', async (list, expected) => {
    const view = await viewOf(`${R}MacroListVerify ${list}\n`);
    const daemon = (name: string): SigningAnswer =>
      view.wouldSign(question('alice@example.com', {'{daemon_name}': name}));
    const login = {'{daemon_name}': 'X', '{auth_type}': 'PLAIN'};
    expect([
      shown(view.wouldSign(question('alice@example.com'))),
      shown(daemon('VERIFYING')),
      shown(daemon('ORIGINATING')),
      shown(view.wouldSign(question('alice@example.com', login))),
    ]).toEqual(expected);
  });

  it('names the line that decides', async () => {
    const single = await viewOf(`Mode sv\n${R}`);
    const {decisions} = single.wouldSign(question('alice@example.com'));
    expect(decisions.map(({says, source}) => `${says} ${sourceText(source)}`)).toEqual([
      `example.com is in Domain. Its mail is signed whoever sends it: only MacroListVerify leaves clients out. ${CONFIG} line 2`,
    ]);
    const tabled = await viewOf(tables('S8', 'K8'));
    expect(
      tabled.rows.map(({pattern, domain, selector, keyPath, source}) => [
        ...[pattern, domain, selector, keyPath],
        sourceText(source),
      ]),
    ).toEqual([
      ['*@other.com', 'other.com', 'o', '/k/rs.key', '/k/S8 line 2'],
      ['*@example.com', 'example.com', 'rs', '/k/rs.key', '/k/S8 line 3'],
    ]);
    expect(tabled.wouldSign(question('x@net.test')).decisions[0]?.says).toBe(
      'No row of SigningTable is for x@net.test.',
    );
  });

  it('listens where Socket says, or where it does by default', async () => {
    const places = async (config: string) => (await viewOf(config)).endpoints.map(({endpoint}) => endpoint);
    expect(await places('Socket inet:8892@127.0.0.1\n')).toEqual([
      {kind: 'tcp', host: '127.0.0.1', port: 8892},
    ]);
    expect(await places('Socket local:/run/x.sock\n')).toEqual([{kind: 'unix', path: '/run/x.sock'}]);
    expect(await places('')).toContainEqual({
      kind: 'unix',
      path: '/run/dkimpy-milter/dkimpy-milter.sock',
    });
  });

  it('is part of the picture: a stranger would get the signature', async () => {
    const host = fixtureHost('dkimpy');
    host.users.users.push({name: 'dkimpy-milter', uid: 117, gid: 123});
    host.files.put('/etc/dkimpy-milter/ed1.key', FILES['/k/ed.key'] ?? '', {mode: 0o600, uid: 0, gid: 0});
    host.files.put(CONFIG, `${host.files.text(CONFIG)}\nSocket inet:8892@localhost\n`);
    const ports = {...host, clock: {now: () => new Date()}} as unknown as Ports;
    const checksOf = async () => mailChecks(await lookAtHostPicture(ports, await look(ports))).checks;
    expect(await checksOf()).toMatchObject([
      {id: 'mail.stranger', status: 'fail', cause: expect.stringContaining(`(${CONFIG} line 1)`)},
    ]);
    host.files.put(CONFIG, `${host.files.text(CONFIG)}MacroListVerify daemon_name\n`);
    expect(await checksOf()).toMatchObject([
      {id: 'mail.signed', status: 'warn'},
      {id: 'mail.signed', status: 'fail', evidence: expect.stringContaining('unsigned by MacroListVerify')},
    ]);
  });
});
