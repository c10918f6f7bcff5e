/**
 * What rspamd signs, held against what real ones did (3.12.1 and 3.4, the same for both): each line of configuration with
 * each kind of message.
 */
import {describe, expect, it} from 'vitest';
import {sourceText} from '../../../src/domain/source.ts';
import {parseDump} from '../../../src/services/rspamd/dump.ts';
import {parseSuffixes, registeredDomain} from '../../../src/services/rspamd/esld.ts';
import type {SigningAnswer, SigningQuestion} from '../../../src/services/signer.ts';
import {DECISIONS, fixture, KEYS, LOCAL, OWN, RSA, rspamdOf} from './world.ts';

type Asked = Partial<Pick<SigningQuestion, 'from' | 'envelope' | 'recipients'>> & {
  readonly address?: string;
  readonly login?: string;
};

const EXTERNAL = '203.0.113.5';
const ALICE = 'alice@example.com';

/** In the order of the columns below. */
const MAIL: readonly (readonly [string, Asked])[] = [
  ['127.0.0.1', {}],
  ['::1', {address: '::1'}],
  ['a local network', {address: '10.1.2.3'}],
  ['a stranger', {address: EXTERNAL}],
  ['a login of the domain', {address: EXTERNAL, login: ALICE}],
  ['a login without a domain', {address: EXTERNAL, login: 'alice'}],
  ['a login of another domain', {address: EXTERNAL, login: 'al@other.com'}],
  ['a login of a subdomain', {address: EXTERNAL, login: 'al@sub.example.com'}],
  ['a local login without a domain', {login: 'alice'}],
  ['an envelope of somewhere else', {envelope: 'x@else.org'}],
  ['an envelope of another own domain', {envelope: 'x@other.com'}],
  ['an envelope of a subdomain', {envelope: 'x@sub.example.com'}],
  ['a bounce', {envelope: ''}],
  ['From of a subdomain', {from: 'x@sub.example.com'}],
];

/** Y: signed d=example.com, o: d=other.com, -: not signed, ?: depends on DNS. */
const TABLE: readonly (readonly [string, string])[] = [
  ['', 'YYY-Y--Y---YYY'],
  ['sign_local = false;', '----Y--Y------'],
  ['sign_authenticated = false;', 'YYY--------YYY'],
  ['allow_username_mismatch = true;', 'YYY-YYYYY--YYY'],
  ['allow_hdrfrom_mismatch = true;', 'YYY-Y--Y-YYYYY'],
  ['allow_hdrfrom_mismatch_local = true;', 'YYY-Y--Y-YYYYY'],
  ['allow_envfrom_empty = false;', 'YYY-Y--Y---Y-Y'],
  ['use_domain = "envelope";', 'YYY-Y--Y---Y-Y'],
  ['use_domain = "envelope"; allow_hdrfrom_mismatch = true;', 'YYY-Y--Y--oY-Y'],
  ['use_domain = "auth";', '----Y-oY------'],
  ['use_domain = "other.com";', 'ooo---o----ooo'],
  ['use_esld = false;', 'YYY-Y-------Y-'],
  ['sign_networks = "203.0.113.0/24";', 'YYY-Y--Y---YYY'],
  ['sign_networks = ["203.0.113.0/24"];', 'YYYYY--Y---YYY'],
  ['sign_inbound = true;', 'YYYYY--Y---YYY'],
  ['check_pubkey = true; allow_pubkey_mismatch = false;', '???-?--?---???'],
];

const question = ({address = '127.0.0.1', login, from = ALICE, ...rest}: Asked): SigningQuestion => ({
  ...{from, client: {name: address, address}, recipients: ['bob@remote.test']},
  macros: new Map(login === undefined ? [] : [['{auth_authen}', login]]),
  ...rest,
});

const letter = ({outcome, by}: SigningAnswer): string => {
  if (outcome === 'unknown') return '?';
  if (outcome !== 'signed') return '-';
  return by.map(({domain}) => (domain === 'example.com' ? 'Y' : 'o')).join('');
};

describe.each(Object.entries(DECISIONS.dumps))('rspamd %s', (_, dumps) => {
  it.each(TABLE)('signs as it does with "%s"', async (line, expected) => {
    const signing = dumps[line];
    if (signing === undefined) throw new TypeError(line);
    const view = await rspamdOf({signing, files: {[LOCAL]: `${DECISIONS.base}${line}\n`}});
    const told = MAIL.map(([what, asked]) => `${what}: ${letter(view.wouldSign(question(asked)))}`);
    expect(told).toEqual(MAIL.map(([what], at) => `${what}: ${expected[at]}`));
  });
});

const BLOCK = DECISIONS.dumps['3.12.1']?.[''] ?? {};
const answer = async (world: Parameters<typeof rspamdOf>[0], asked: Asked = {}): Promise<SigningAnswer> =>
  (await rspamdOf(world)).wouldSign(question(asked));

const says = ({decisions}: SigningAnswer): string => {
  const last = decisions.at(-1);
  return last === undefined ? '' : `${sourceText(last.source)}: ${last.says}`;
};

const signatures = ({by}: SigningAnswer): readonly string[] =>
  by.map(({domain, selector, keyPath}) => `${domain} ${selector} ${keyPath}`);

describe('the reason', () => {
  const files = {[LOCAL]: `# ours\n${DECISIONS.base}`};

  it('is the line of the block for mail that is signed', async () => {
    const found = await answer({signing: BLOCK, files});
    expect(found.outcome).toBe('signed');
    expect(says(found)).toBe(
      `${LOCAL} line 3: Signed with d=example.com s=rs1, ${KEYS}/example.com.rs1.key.`,
    );
  });

  it('is the setting for mail that is not', async () => {
    expect(says(await answer({signing: BLOCK, files}, {login: 'alice'}))).toContain(
      'The login alice has no domain',
    );
    expect(says(await answer({signing: BLOCK, files}, {from: 'x@third.org'}))).toBe(
      `${LOCAL} line 6: Nothing names a key for third.org, and rspamd tries no other.`,
    );
    expect(says(await answer({signing: BLOCK, files}, {address: EXTERNAL}))).toContain(
      "isn't local and isn't logged in",
    );
  });

  it('is the setting where signing is off', async () => {
    const off = {[LOCAL]: 'enabled = false;\n'};
    const found = await answer({signing: {...BLOCK, enabled: false}, files: off});
    expect([found.outcome, says(found)]).toEqual([
      'unsigned',
      `${LOCAL} line 1: rspamd's signing is switched off.`,
    ]);
  });
});

describe('keys', () => {
  const withPath = (path: string) => ({
    ...BLOCK,
    domain: {'example.com': {selector: 'rs1', path}},
  });

  it.each([
    ['that others own', {mode: 0o600, uid: 0, gid: 0}, "can't be read by _rspamd"],
    ['that anybody can read', {mode: 0o666, uid: 0, gid: 0}, 'Signed with'],
  ])('%s', async (_, attributes, expected) => {
    const change = (host: {readonly files: {put: (...args: never[]) => void}}): void =>
      host.files.put(...([`${KEYS}/k.key`, RSA, attributes] as never[]));
    const found = await answer({signing: withPath(`${KEYS}/k.key`), change: change as never});
    expect(says(found)).toContain(expected);
  });

  it('whose path rspamd takes for base64 are never opened', async () => {
    const found = await answer({signing: withPath('/etc/dkim/mykey'), files: {'/etc/dkim/mykey': RSA}});
    expect([found.outcome, says(found)]).toEqual([
      'unsigned',
      expect.stringContaining('takes /etc/dkim/mykey for a key, not for the name of a file'),
    ]);
  });

  const SEED = Buffer.alloc(32, 7);
  it.each([
    ['64 octets in base64', `${Buffer.concat([SEED, SEED]).toString('base64')}\n`, 'signed'],
    ['a seed in base64', SEED.toString('base64'), 'signed'],
    [
      'Ed25519 as PEM',
      `-----BEGIN PRIVATE KEY-----\n${Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), SEED]).toString('base64')}\n-----END PRIVATE KEY-----\n`,
      'unsigned',
    ],
    [
      'Ed25519 as DER in base64',
      Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), SEED]).toString('base64'),
      'unsigned',
    ],
    ['text before the key', `my key\n${RSA}`, 'unsigned'],
    ['text after the key', `${RSA}my key\n`, 'signed'],
    ['base64 without armor', RSA.replaceAll(/-----.*-----\n/g, ''), 'signed'],
  ])('%s', async (_, content, outcome) => {
    const found = await answer({
      signing: withPath(`${KEYS}/k.key`),
      change: host => host.files.put(`${KEYS}/k.key`, content, OWN),
    });
    expect(found.outcome).toBe(outcome);
  });

  it('sign for each entry of selectors, and a broken one takes no other with it', async () => {
    const selectors = [
      {selector: 'rs1', path: `${KEYS}/example.com.rs1.key`},
      {selector: 'gone', path: `${KEYS}/gone.key`},
      {selector: 'rs2', path: `${KEYS}/other.com.rs1.key`},
    ];
    const found = await answer({signing: {...BLOCK, domain: {'example.com': {selectors}}}});
    expect(signatures(found)).toEqual([
      `example.com rs1 ${KEYS}/example.com.rs1.key`,
      `example.com rs2 ${KEYS}/other.com.rs1.key`,
    ]);
    expect(found.decisions.map(each => each.says).join('\n')).toContain('gone.key is missing');
  });

  it('are found by the name of the domain where nothing names one', async () => {
    const {domain: _, try_fallback: __, ...signing} = BLOCK;
    const change = (host: Parameters<NonNullable<Parameters<typeof rspamdOf>[0]['change']>>[0]): void =>
      host.files.put(`${KEYS}/third.org.dkim.key`, RSA, OWN);
    const view = await rspamdOf({signing, change});
    expect(view.rows.map(row => [row.pattern, row.selector, row.keyPath])).toEqual([
      ['third.org', 'dkim', `${KEYS}/third.org.dkim.key`],
    ]);
    expect(signatures(view.wouldSign(question({from: 'x@sub.third.org'})))).toEqual([
      `third.org dkim ${KEYS}/third.org.dkim.key`,
    ]);
    expect(view.wouldSign(question({})).outcome).toBe('unsigned');
  });
});

describe('maps and tables', () => {
  it('fill what a block leaves open, and the block wins', async () => {
    const signing = {
      ...BLOCK,
      domain: {'example.com': {selector: 'rs1'}},
      selector_map: '/etc/rspamd/selectors.map',
      path_map: 'file:///etc/rspamd/paths.map',
    };
    const files = {
      '/etc/rspamd/selectors.map': '# who\nexample.com rs2\nother.com rs1 # theirs\n',
      '/etc/rspamd/paths.map': `example.com ${KEYS}/$domain.$selector.key\n`,
    };
    const view = await rspamdOf({signing, files});
    expect(signatures(view.wouldSign(question({})))).toEqual([`example.com rs1 ${KEYS}/example.com.rs1.key`]);
    expect(signatures(view.wouldSign(question({from: 'x@other.com'})))).toEqual([
      `other.com rs1 ${KEYS}/other.com.rs1.key`,
    ]);
    expect(view.rows.map(row => sourceText(row.source))).toContain('/etc/rspamd/selectors.map line 3');
  });

  it('fill only what an entry of selectors leaves open', async () => {
    const selectors = [{selector: 'rs1'}, {selector: 'rs2', path: `${KEYS}/other.com.rs1.key`}];
    const view = await rspamdOf({
      signing: {...BLOCK, domain: {'example.com': {selectors}}, path_map: '/etc/rspamd/paths.map'},
      files: {'/etc/rspamd/paths.map': `example.com ${KEYS}/$domain.$selector.key\n`},
    });
    expect(signatures(view.wouldSign(question({})))).toEqual([
      `example.com rs1 ${KEYS}/example.com.rs1.key`,
      `example.com rs2 ${KEYS}/other.com.rs1.key`,
    ]);
  });

  it('signing_table and key_table leave blocks, logins and envelopes out', async () => {
    const signing = {...BLOCK, signing_table: '/etc/rspamd/st', key_table: '/etc/rspamd/kt'};
    const files = {
      '/etc/rspamd/st': '*@example.com one\n*@four.org four\n',
      '/etc/rspamd/kt': `one %:rs1:${KEYS}/%.rs1.key\nfour four.org:s:/k/s.key:rsa-sha256\n`,
    };
    const view = await rspamdOf({signing, files});
    expect(signatures(view.wouldSign(question({login: 'alice', envelope: 'x@else.org'})))).toEqual([
      `example.com rs1 ${KEYS}/example.com.rs1.key`,
    ]);
    expect(view.wouldSign(question({from: 'x@sub.example.com'})).outcome).toBe('unsigned');
    expect(says(view.wouldSign(question({from: 'x@four.org'})))).toContain('domain:selector:key');
    expect(view.idle.map(({value}) => value)).toEqual(['example.com', 'other.com']);
  });

  it.each([
    ['use_redis', true, 'Keys are kept in Redis'],
    ['use_vault', true, 'Keys are kept in a vault'],
    ['sign_condition', 'return function(task) return true end', "doesn't read the function"],
  ])('%s: nothing is guessed', async (name, value, expected) => {
    const found = await answer({signing: {...BLOCK, [name]: value}});
    expect([found.outcome, says(found)]).toEqual(['unknown', expect.stringContaining(expected)]);
  });
});

it.each([
  ['example.com', 'example.com'],
  ['a.b.example.co.uk', 'example.co.uk'],
  ['co.uk', 'co.uk'],
  ['a.b.c.ck', 'b.c.ck'],
  ['www.ck', 'www.ck'],
  ['host.lan', 'host.lan'],
])('the registered domain of %s is %s', (name, expected) => {
  expect(registeredDomain(name, parseSuffixes('// list\ncom\nuk\nco.uk\n*.ck\n!www.ck\n'))).toBe(expected);
});

it('names the line that comes last of those that say the same', async () => {
  const files = {[LOCAL]: 'use_esld = true;\nenabled = true;\nenabled = false;\n'};
  expect(says(await answer({signing: {...BLOCK, enabled: false}, files}))).toContain(`${LOCAL} line 3`);
});

describe('what has no effect', () => {
  it.each([
    ['a block below the registered domain', {'sub.example.com': {selector: 's'}}, 'is signed as example.com'],
    ['a name in capitals', {'Example.com': {selector: 's'}}, 'is never found'],
    ['a block that is there twice', {'example.com': [{selector: 'a'}, {selector: 'b'}]}, 'there twice'],
    ['a selector that is there twice', {'example.com': {selector: ['a', 'b']}}, 'more than one selector'],
  ])('%s', async (_, domain, expected) => {
    const view = await rspamdOf({signing: {...BLOCK, domain}});
    expect(view.idle.map(each => each.says).join()).toContain(expected);
  });

  it('domain { } of local.d under one in override.d', async () => {
    const view = await rspamdOf({
      signing: BLOCK,
      files: {
        [LOCAL]: `# ours\n${DECISIONS.base}`,
        '/etc/rspamd/override.d/dkim_signing.conf': 'domain { }\n',
      },
    });
    expect(view.idle.map(({source}) => sourceText(source))).toEqual([`${LOCAL} line 2`]);
  });

  it('a section in braces of its own', async () => {
    const view = await rspamdOf({signing: BLOCK, files: {[LOCAL]: `\ndkim_signing { ${DECISIONS.base} }\n`}});
    expect(view.idle.map(({source, name}) => [sourceText(source), name])).toEqual([
      [`${LOCAL} line 2`, 'dkim_signing'],
    ]);
  });

  it('a network that is taken for a file', async () => {
    const signing = DECISIONS.dumps['3.12.1']?.['sign_networks = "203.0.113.0/24";'] ?? {};
    const view = await rspamdOf({signing});
    expect(view.idle.map(({says: text}) => text).join()).toContain('["203.0.113.0/24"]');
  });
});

it('tells where it listens, and what keeps it from being read', async () => {
  const view = await rspamdOf({signing: BLOCK});
  expect(view.endpoints.map(({endpoint}) => endpoint)).toEqual([
    {kind: 'tcp', host: 'localhost', port: 11_332},
  ]);
  const stderr = 'failed to load config: ucl parser error: FILE:7 unmatched open brace at 1\n';
  const broken = await rspamdOf({signing: BLOCK, broken: {stderr, status: 1}});
  expect(broken.unread.map(({says: text}) => text).join()).toContain('unmatched open brace');
  expect(broken.wouldSign(question({})).outcome).toBe('unknown');
});

it.each(['configdump-3.12.1.json', 'configdump-3.4.json'])('keeps no secret of %s', name => {
  const text = fixture(name);
  expect(text).toContain('"password"');
  const merged = parseDump(text);
  expect(JSON.stringify(merged)).not.toContain('password');
  expect(merged?.signing?.['domain']).toMatchObject({'example.com': {selector: 'rs1'}});
  expect(merged?.workers.map(({kind}) => kind).sort()).toEqual([
    'controller',
    'fuzzy',
    'normal',
    'rspamd_proxy',
  ]);
});
