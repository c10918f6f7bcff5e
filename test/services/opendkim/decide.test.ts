/** Whether OpenDKIM signs: what the real daemon was seen to do, row by row. */
import {describe, expect, it} from 'vitest';
import {absolute} from '../../../src/domain/paths.ts';
import {
  ask,
  CONFIG,
  KEYS,
  last,
  type Mail,
  OWN,
  short,
  signerOf,
  signersOf,
  type World,
} from './decide-world.ts';

const SIGNED = 'signed example.com/s1';
const KEY_TABLE = 'key example.com:s1:/etc/dkimkeys/k\n';
const PLAIN = 'KeyTable file:/etc/opendkim/KeyTable\nSigningTable refile:/etc/opendkim/SigningTable';

const tables = (signing: string, keys = KEY_TABLE, more = '', type = 'refile'): World => ({
  conf: `KeyTable file:/etc/opendkim/KeyTable\nSigningTable ${type}:/etc/opendkim/SigningTable\n${more}`,
  files: {'/etc/opendkim/KeyTable': keys, '/etc/opendkim/SigningTable': signing},
});
const signing = (more: string): World => tables('*@example.com key\n', KEY_TABLE, more);

describe('internal or logged in', () => {
  const EXTERNAL = '203.0.113.5';
  const MAIL: Readonly<Record<string, Mail>> = {
    local: {},
    external: {address: EXTERNAL, macros: {'{daemon_name}': 'mail.example.com'}},
    login: {address: EXTERNAL, macros: {'{daemon_name}': 'mail.example.com', '{auth_type}': 'PLAIN'}},
    named: {address: EXTERNAL, macros: {'{daemon_name}': 'ORIGINATING'}},
    // The login is not told: milter_mail_macros without {auth_type}.
    untold: {address: EXTERNAL, macros: {'{daemon_name}': 'mail.example.com'}},
    nameless: {address: EXTERNAL, macros: {}},
  };
  // Columns as in MAIL; y: signed.
  const ROWS: readonly (readonly [more: string, seen: string])[] = [
    ['', 'yny nnn'],
    ['MTA ORIGINATING', 'yny ynn'],
    ['MacroList daemon_name=ORIGINATING|MSA', 'yny ynn'],
    [`ExternalIgnoreList ${EXTERNAL}`, 'yny nnn'],
    ['InternalHosts 10.0.0.0/8', 'nny nnn'],
    ['PeerList 127.0.0.1', 'nny nnn'],
    [`InternalHosts ${EXTERNAL}\nMTA ORIGINATING`, 'nyy yyy'],
  ];
  it.each(ROWS)('%s', async (more, seen) => {
    const signer = await signerOf(signing(more));
    const got = Object.values(MAIL).map(mail => (ask(signer, mail).outcome === 'signed' ? 'y' : 'n'));
    expect(got.join('')).toBe(seen.replace(' ', ''));
  });

  it('asks the MTA for no macros of its own unless MacroList names some', async () => {
    expect((await signerOf(signing(''))).asksFor).toBeUndefined();
    expect((await signerOf(signing('MacroList daemon_name=ORIGINATING'))).asksFor).toContain('{auth_type}');
  });

  const HOSTS: readonly (readonly [list: string, name: string, address: string, isIn: boolean])[] = [
    ['127.0.0.1,::1', 'localhost', '127.0.0.2', false],
    ['127.0.0.1,::1', 'localhost', '::1', true],
    ['localhost', 'localhost', '203.0.113.5', true],
    ['localhost', '[127.0.0.1]', '127.0.0.1', false],
    ['.internal.example', 'a.internal.example', '10.1.1.1', true],
    ['.internal.example', 'internal.example', '10.1.1.1', false],
    ['*.internal.example', 'a.internal.example', '10.1.1.1', false],
    ['A.Internal.example', 'a.internal.example', '10.1.1.1', true],
    ['10.0.0.0/8', 'x.example', '10.255.1.1', true],
    ['10.0.0.0/8', 'x.example', '11.0.0.1', false],
    // A network with bits of a host in it is never looked up.
    ['10.0.0.1/8', 'x.example', '10.0.0.1', false],
    ['!10.1.0.0/16,10.0.0.0/8', 'x.example', '10.1.2.3', false],
    ['10.0.0.0/8,!10.1.0.0/16', 'x.example', '10.1.2.3', false],
    ['!10.0.0.0/8,10.1.0.0/16', 'x.example', '10.1.2.3', true],
    ['!bad.internal.example,.internal.example', 'bad.internal.example', '10.1.1.1', false],
    ['!x.example,10.1.1.1', 'x.example', '10.1.1.1', true],
    ['0.0.0.0/0', 'x.example', '203.0.113.5', true],
    ['10.1.1.2,[::1]', 'x.example', '::1', true],
    ['[10.1.1.1]', '[10.1.1.1]', '10.1.1.1', true],
    ['[10.1.1.0]/24', 'x.example', '10.1.1.9', true],
    ['10.1.1.1,2001:db8::/32', 'x.example', '2001:db8:7::1', true],
    ['10.1.1.1,2001:DB8::/32', 'x.example', '2001:db8:7::1', true],
    ['10.1.1.1,2001:db8:0::/32', 'x.example', '2001:db8:7::1', false],
    ['10.1.1.1,[2001:db8::]/32', 'x.example', '2001:db8:7::1', true],
    ['10.9.9.*', 'x.example', '10.9.9.1', false],
  ];
  it.each(HOSTS)('InternalHosts %s has %s [%s]: %s', async (list, name, address, isIn) => {
    const signer = await signerOf(signing(`InternalHosts ${list}`));
    expect(ask(signer, {name, address}).outcome).toBe(isIn ? 'signed' : 'unsigned');
  });

  const PATTERNS: readonly (readonly [text: string, name: string, address: string, isIn: boolean])[] = [
    ['10.9.9.*\n', 'x.example', '10.9.9.1', true],
    ['10.0.0.0/8\n', 'x.example', '10.9.9.1', true],
    ['!10.9.*\n10.*\n', 'x.example', '10.9.9.1', false],
    [' 10.9.9.1\n', 'x.example', '10.9.9.1', false],
    // "!a.internal.example" is looked up first, and the star takes its mark too.
    ['*.internal.example\n', 'a.internal.example', '10.1.1.1', false],
  ];
  it.each(PATTERNS)('InternalHosts of patterns %j has %s [%s]: %s', async (text, name, address, isIn) => {
    const world = signing('InternalHosts refile:/etc/opendkim/hosts');
    const signer = await signerOf({...world, files: {...world.files, '/etc/opendkim/hosts': text}});
    expect(ask(signer, {name, address}).outcome).toBe(isIn ? 'signed' : 'unsigned');
  });

  it('finds an address in brackets by chance', async () => {
    const answer = ask(await signerOf(signing('InternalHosts [10.1.1.1]')), {
      name: 'x.example',
      address: '10.1.1.1',
    });
    expect([answer.outcome, last(answer)]).toEqual([
      'unknown',
      'OpenDKIM may or may not find [10.1.1.1]. Without the brackets it does.',
    ]);
  });

  it('says that a client is logged in, and that a peer is ignored by its name', async () => {
    const macros = {'{auth_type}': 'PLAIN'};
    const answer = ask(await signerOf(signing('')), {address: '203.0.113.5', macros});
    expect(answer.decisions.slice(0, 2).map(({says}) => says)).toEqual([
      "203.0.113.5 isn't in InternalHosts.",
      'The client is logged in: OpenDKIM signs its mail like that of an internal host.',
    ]);
    const peer = ask(await signerOf(signing('PeerList a.example')), {
      name: 'A.example',
      address: '127.0.0.1',
    });
    expect(last(peer)).toBe('A.example [127.0.0.1] is in PeerList, so OpenDKIM ignores this mail.');
    // An address in brackets is no name there.
    const bracketed = await signerOf(signing('PeerList [127.0.0.1]'));
    expect(ask(bracketed, {name: '[127.0.0.1]', address: '127.0.0.1'}).outcome).toBe('unknown');
  });

  it('says which entry decides, and where it is', async () => {
    const world = signing('InternalHosts /etc/opendkim/hosts');
    const files = {...world.files, '/etc/opendkim/hosts': '127.0.0.1\n# office\n10.0.0.0/8\n'};
    const signer = await signerOf({...world, files});
    const inside = ask(signer, {address: '10.1.1.1'}).decisions[0];
    expect(inside).toMatchObject({name: 'InternalHosts', value: '10.0.0.0/8', source: {line: 3}});
    expect(inside?.says).toBe('10.1.1.1 is in InternalHosts.');
    const outside = ask(signer, {address: '203.0.113.5'}).decisions;
    expect(outside).toHaveLength(1);
    expect(outside[0]).toMatchObject({source: {by: 'file', path: CONFIG, line: 4}});
    expect(outside[0]?.says).toBe(
      "203.0.113.5 isn't in InternalHosts and isn't logged in, so OpenDKIM only verifies this mail.",
    );
  });
});

describe('a row of the signing table', () => {
  const FORMS: readonly (readonly [type: string, text: string, from: string, seen: string])[] = [
    ['refile', '*@example.com key', 'alice@example.com', SIGNED],
    ['refile', '*@example.com key', 'alice@sub.example.com', 'unsigned'],
    ['refile', '*@example.com key\n*@*.example.com key', 'alice@sub.example.com', SIGNED],
    ['refile', 'example.com key', 'alice@example.com', 'unsigned'],
    ['refile', '* key', 'alice@other.example', SIGNED],
    ['refile', '*@EXAMPLE.com key', 'Alice@example.com', SIGNED],
    ['refile', ' *@example.com key', 'alice@example.com', 'unsigned'],
    ['refile', 'alice@* key', 'alice@other.example', SIGNED],
    ['refile', 'a*e@example.com key', 'alice@example.com', SIGNED],
    ['refile', 'alice+x@example.com key', 'alice+x@example.com', SIGNED],
    ['refile', '*@example.com key # office', 'alice@example.com', SIGNED],
    ['refile', '*@example.com', 'alice@example.com', 'refused'],
    ['refile', '.*@example\\.com key', 'alice@example.com', 'unknown'],
    ['refile', '*@example.com key\n.*@example\\.com key', 'alice@example.com', SIGNED],
    ['file', '*@example.com key', 'alice@example.com', 'unsigned'],
    ['file', 'example.com key', 'alice@example.com', SIGNED],
    ['file', 'example.com key', 'alice@sub.example.com', 'unsigned'],
    ['file', '.example.com key', 'alice@example.com', 'unsigned'],
    ['file', '.example.com key', 'alice@sub.example.com', SIGNED],
    ['file', '.com key', 'alice@example.com', SIGNED],
    ['file', '  example.com key', 'alice@example.com', SIGNED],
    ['file', 'alice@.example.com key', 'alice@sub.example.com', SIGNED],
    ['file', 'alice@* key', 'alice@other.example', SIGNED],
    ['file', '* key', 'bob@other.example', SIGNED],
    ['file', 'EXAMPLE.com key', 'alice@example.com', SIGNED],
    ['file', '* no\nexample.com key', 'alice@example.com', SIGNED],
    ['file', 'example.com\tkey\r', 'alice@example.com', SIGNED],
  ];
  it.each(FORMS)('%s %j, %s: %s', async (type, text, from, seen) => {
    expect(short(ask(await signerOf(tables(`${text}\n`, KEY_TABLE, '', type)), {from}))).toBe(seen);
  });

  it('is looked up from the most exact to the widest', async () => {
    const names = [
      'u@a.example.com',
      'a.example.com',
      'u@.example.com',
      '.example.com',
      'u@.com',
      '.com',
      'u@*',
      '*',
    ];
    for (const [at, name] of names.entries()) {
      const rows = names.slice(at).toReversed();
      const keys = names.map((each, index) => `${each} example.com:s${index}:/etc/dkimkeys/k\n`).join('');
      const world = tables(rows.map(row => `${row} ${row}\n`).join(''), keys, '', 'file');
      const answer = ask(await signerOf(world), {from: 'u@a.example.com'});
      expect(short(answer), name).toBe(`signed example.com/s${at}`);
      expect(answer.by[0]?.row.pattern).toBe(name);
    }
  });

  it('counts only once: the first in a file of patterns; all of them with MultipleSignatures', async () => {
    const keys = `${KEY_TABLE}two other.example:s2:/etc/dkimkeys/k\n`;
    const rows = '* two\n*@example.com key\n';
    expect(short(ask(await signerOf(tables(rows, keys))))).toBe('signed other.example/s2');
    const several = await signerOf(tables(rows, keys, 'MultipleSignatures yes'));
    expect(short(ask(several))).toBe('signed other.example/s2 example.com/s1');
    const three = await signerOf(
      tables(
        '* two\na*@* any\n*@example.com key\n',
        `${keys}any %:s3:/etc/dkimkeys/k\n`,
        'MultipleSignatures yes',
      ),
    );
    // OpenDKIM loses those between the first and the last.
    expect(short(ask(three))).toBe('signed other.example/s2 example.com/s1');
    const exact = await signerOf(tables('* two\nexample.com key\n', keys, 'MultipleSignatures yes', 'file'));
    expect(short(ask(exact))).toBe('signed example.com/s1 other.example/s2');
  });

  it('may be in a list, with csl: where a colon follows', async () => {
    const conf = (value: string): World => ({
      ...tables(''),
      conf: `KeyTable csl:key=example.com:s1:/etc/dkimkeys/k\nSigningTable ${value}`,
    });
    expect(short(ask(await signerOf(conf('example.com=key, other.example=no'))))).toBe(SIGNED);
    expect(short(ask(await signerOf(conf('csl:example.com=key:@%'))))).toBe(SIGNED);
    const broken = ask(await signerOf(conf('example.com=key:@%')));
    expect(broken.outcome).toBe('unknown');
    expect(last(broken)).toContain("OpenDKIM doesn't start");
  });

  it('may name the signer, by an address', async () => {
    const row = (value: string): World => tables(`*@example.com ${value}\n`);
    expect(short(ask(await signerOf(row('key:@%'))))).toBe(SIGNED);
    expect(short(ask(await signerOf(row('key:@sub.example.com'))))).toBe(SIGNED);
    const bad = ask(await signerOf(row('key:%')));
    expect(bad.outcome).toBe('unsigned');
    expect(last(bad)).toBe('The signer example.com is no address, so OpenDKIM adds no signature.');
    expect(short(ask(await signerOf(row('key:@other.example'))))).toBe(SIGNED);
    expect(ask(await signerOf(row('%:key'))).outcome).toBe('refused');
  });

  it('knows no letters beyond ASCII in a table without patterns', async () => {
    const text = (type: string) =>
      tables('münchen.example key\n*@münchen.example key\n', KEY_TABLE, '', type);
    expect(ask(await signerOf(text('file')), {from: 'a@münchen.example'}).outcome).toBe('unsigned');
    expect(ask(await signerOf(text('refile')), {from: 'a@münchen.example'}).outcome).toBe('signed');
    const punycode = tables('xn--mnchen-3ya.example key\n', KEY_TABLE, '', 'file');
    expect(ask(await signerOf(punycode), {from: 'a@XN--MNCHEN-3YA.example'}).outcome).toBe('signed');
  });

  it('of more than 1,023 bytes is read as several', async () => {
    const rest = `${' '.repeat(1010)}x\n`;
    expect(short(ask(await signerOf(tables(`*@example.com key${rest}`))))).toBe(SIGNED);
    const cut = `#${'-'.repeat(1022)}*@example.com key\n`;
    expect(short(ask(await signerOf(tables(cut))))).toBe(SIGNED);
  });

  it('is known by its line', async () => {
    const answer = ask(await signerOf(tables('\n# rows\n*@example.com key\n')));
    expect(answer.by[0]?.row).toEqual({
      pattern: '*@example.com',
      domain: 'example.com',
      selector: 's1',
      keyPath: '/etc/dkimkeys/k',
      source: {by: 'file', path: '/etc/opendkim/SigningTable', line: 3},
    });
    expect(answer.decisions.map(({name}) => name)).toEqual(['InternalHosts', '*@example.com', 'key']);
    expect(last(answer)).toBe('The key /etc/dkimkeys/k signs as example.com with the selector s1.');
  });
});

describe('a row of the key table', () => {
  const FORMS: readonly (readonly [text: string, seen: string])[] = [
    ['key example.com:s1:/etc/dkimkeys/k', SIGNED],
    ['key Example.com:S1:/etc/dkimkeys/k', SIGNED],
    ['key %:s1:/etc/dkimkeys/k', SIGNED],
    ['key example.com:s1:/etc/dkimkeys/%', 'refused'],
    ['key other.example:s1:/etc/dkimkeys/k', 'signed other.example/s1'],
    ['key example.com s1 /etc/dkimkeys/k', 'refused'],
    ['key example.com:s1', 'refused'],
    ['key example.com::/etc/dkimkeys/k', 'refused'],
    ['key :s1:/etc/dkimkeys/k', 'refused'],
    ['key', 'refused'],
    ['', 'refused'],
    ['KEY example.com:s1:/etc/dkimkeys/k', 'refused'],
    ['key example.com:s1:/etc/dkimkeys/missing', 'refused'],
    ['key example.com:s1:/etc/dkimkeys', 'refused'],
    ['key example.com:s1:dkimkeys/k', 'refused'],
    ['key example.com:s1:./k', 'unknown'],
    ['key example.com:s1:/etc/dkimkeys/k\nkey example.com:s2:/missing', SIGNED],
    [`key example.com:s1:${KEYS.rsa.replace(/-----[^-]+-----|\n/g, '')}`, SIGNED],
  ];
  it.each(FORMS)('%s: %s', async (text, seen) => {
    expect(short(ask(await signerOf(tables('*@example.com key\n', `${text}\n`))))).toBe(seen);
  });

  it('has the domain of the sender for each %', async () => {
    const world = tables('* all\n', 'all %:s1:/etc/dkimkeys/%/%.pem\n');
    const signer = await signerOf({
      ...world,
      change: host => host.files.put('/etc/dkimkeys/example.com/example.com.pem', KEYS.rsa, OWN),
    });
    expect(ask(signer).by[0]).toMatchObject({
      domain: 'example.com',
      keyPath: '/etc/dkimkeys/example.com/example.com.pem',
    });
    expect(ask(signer, {from: 'a@other.example'}).outcome).toBe('refused');
    const own = tables('* %\n', 'example.com example.com:s1:/etc/dkimkeys/k\n');
    expect(short(ask(await signerOf(own)))).toBe(SIGNED);
    expect(ask(await signerOf(own), {from: 'a@other.example'}).outcome).toBe('refused');
  });

  it('may be a pattern', async () => {
    const world = tables('*@example.com key\n', 'k* example.com:s1:/etc/dkimkeys/k\n');
    const conf = world.conf.replace('KeyTable file:', 'KeyTable refile:');
    expect(short(ask(await signerOf({...world, conf})))).toBe(SIGNED);
  });

  it('never shows a key that it holds', async () => {
    const der = KEYS.rsa.replace(/-----[^-]+-----|\n/g, '');
    const secret = der.slice(0, 12);
    const signer = await signerOf(tables('*@example.com key\n', `key example.com:s1:${der}\n`));
    expect(JSON.stringify([signer.rows, signer.unread, ask(signer)])).not.toContain(secret);
    for (const [list, label] of [
      [`csl:key=example.com:s1:${der}`, 'key'],
      [`csl:key=example.com:s1:${der}`, 'none'],
      [`key=example.com:s1:${der}`, 'key'],
      [`csl:key=example.com:s1:${der},bad`, 'bad'],
    ]) {
      for (const more of ['', 'SigningTable dsn:x://h/d']) {
        const inline = await signerOf({
          conf: `KeyTable ${list}\nSigningTable csl:example.com=${label}\n${more}`,
        });
        const all = JSON.stringify([inline.rows, inline.unread, ask(inline)]);
        expect(all, `${label} ${more}`).not.toContain(secret);
      }
    }
    const alone = await signerOf({conf: `KeyTable csl:key=example.com:s1:${der}`});
    expect(last(ask(alone))).toContain('KeyTable needs a SigningTable');
    expect(JSON.stringify(ask(alone))).not.toContain(secret);
  });

  const LOADED: readonly (readonly [
    what: string,
    change: NonNullable<World['change']>,
    seen: string,
    why: string,
  ])[] = [
    [
      '0640 root:opendkim',
      h => h.files.put('/etc/dkimkeys/k', KEYS.rsa, {mode: 0o640, uid: 0, gid: 110}),
      SIGNED,
      '',
    ],
    [
      'others read it',
      h => h.files.put('/etc/dkimkeys/k', KEYS.rsa, {...OWN, mode: 0o644}),
      'refused',
      'can be read or written by other users',
    ],
    [
      'postfix is in its group',
      h => {
        h.users.join('postfix', 'opendkim');
        h.files.put('/etc/dkimkeys/k', KEYS.rsa, {...OWN, mode: 0o640});
      },
      'refused',
      'which postfix is in',
    ],
    [
      'group mail',
      h => h.files.put('/etc/dkimkeys/k', KEYS.rsa, {mode: 0o640, uid: 104, gid: 8}),
      'refused',
      'which mail is in',
    ],
    [
      'owned by rspamd',
      h => h.files.put('/etc/dkimkeys/k', KEYS.rsa, {mode: 0o640, uid: 106, gid: 110}),
      'refused',
      'belongs to neither opendkim nor root',
    ],
    [
      'root:root 0600',
      h => h.files.put('/etc/dkimkeys/k', KEYS.rsa, {mode: 0o600, uid: 0, gid: 0}),
      'refused',
      "can't be read by opendkim",
    ],
    [
      'a directory of root',
      h => h.files.directory('/etc/dkimkeys', {mode: 0o700, uid: 0, gid: 0}),
      'refused',
      "can't enter",
    ],
    [
      'a directory that others write',
      h => h.files.directory('/etc/dkimkeys', {mode: 0o777, uid: 104, gid: 110}),
      'refused',
      'other users can write',
    ],
    [
      'a directory of another user',
      h => h.files.directory('/etc/dkimkeys', {mode: 0o755, uid: 105, gid: 110}),
      'refused',
      'belongs to neither',
    ],
    [
      'a link into a directory that others write',
      h => {
        h.files.directory('/tmp', {mode: 0o1777});
        h.files.put('/tmp/k', KEYS.rsa, OWN);
        h.files.symlink('/etc/dkimkeys/k', '/tmp/k');
      },
      'refused',
      '/tmp',
    ],
    ['empty', h => h.files.put('/etc/dkimkeys/k', '', OWN), 'refused', "OpenSSL can't read"],
    [
      'text before the key',
      h => h.files.put('/etc/dkimkeys/k', `# key\n${KEYS.rsa}`, OWN),
      'refused',
      "OpenSSL can't read",
    ],
    [
      '512 bits',
      h => h.files.put('/etc/dkimkeys/k', KEYS.short, OWN),
      'refused',
      'has 512 bits, and MinimumKeyBits is 1024',
    ],
    ['Ed25519', h => h.files.put('/etc/dkimkeys/k', KEYS.ed25519, OWN), 'refused', 'is not an RSA key'],
  ];
  it.each(LOADED)('with a key that is %s', async (_what, change, seen, why) => {
    const answer = ask(await signerOf({...tables('*@example.com key\n'), change}));
    expect(short(answer)).toBe(seen);
    expect(last(answer)).toContain(why);
  });

  it('may have an unsafe key where RequireSafeKeys is off, but not one that cannot be read', async () => {
    const world = tables('*@example.com key\n', KEY_TABLE, 'RequireSafeKeys no');
    const change = (attributes: object) => (host: Parameters<NonNullable<World['change']>>[0]) =>
      host.files.put('/etc/dkimkeys/k', KEYS.rsa, attributes);
    expect(short(ask(await signerOf({...world, change: change({...OWN, mode: 0o644})})))).toBe(SIGNED);
    expect(ask(await signerOf({...world, change: change({mode: 0o600})})).outcome).toBe('refused');
  });

  it('lets On-SignatureError and On-InternalError decide about a bad key', async () => {
    const world = (more: string, key: string): World => ({
      ...tables('*@example.com key\n', KEY_TABLE, more),
      change: host => host.files.put('/etc/dkimkeys/k', key, OWN),
    });
    expect(ask(await signerOf(world('On-SignatureError accept', KEYS.short))).outcome).toBe('unsigned');
    expect(ask(await signerOf(world('On-InternalError accept', KEYS.short))).outcome).toBe('refused');
    expect(ask(await signerOf(world('On-Default accept', KEYS.ed25519))).outcome).toBe('unsigned');
    expect(ask(await signerOf(world('On-Default accept\nOn-InternalError t', KEYS.ed25519))).outcome).toBe(
      'refused',
    );
    expect(ask(await signerOf(world('MinimumKeyBits 512', KEYS.short))).outcome).toBe('signed');
    expect(ask(await signerOf(world('SignatureAlgorithm ed25519-sha256', KEYS.ed25519))).outcome).toBe(
      'signed',
    );
  });
});

describe('a single key', () => {
  const single = (more: string): World => ({
    conf: `Domain example.com\nSelector s1\nKeyFile /etc/dkimkeys/k\n${more}`,
  });

  it('signs as each domain, and below them with SubDomains', async () => {
    expect(short(ask(await signerOf(single(''))))).toBe(SIGNED);
    const below = {from: 'a@x.sub.example.com'};
    expect(ask(await signerOf(single('')), below).outcome).toBe('unsigned');
    expect(short(ask(await signerOf(single('SubDomains yes')), below))).toBe(SIGNED);
    const several = await signerOf(single('Domain example.com, other.example'));
    expect(short(ask(several, {from: 'a@Other.example'}))).toBe('signed other.example/s1');
    expect(short(ask(await signerOf(single('Domain *')), {from: 'a@any.example'}))).toBe(
      'signed any.example/s1',
    );
    const world = single('Domain refile:/etc/opendkim/domains');
    const patterns = await signerOf({...world, files: {'/etc/opendkim/domains': '*.example\n'}});
    expect(short(ask(patterns, {from: 'a@any.example'}))).toBe('signed any.example/s1');
    expect(last(ask(patterns))).toBe("example.com isn't in Domain, so its mail isn't signed.");
  });

  it('loses to a key table', async () => {
    const world = tables(
      '*@other.example key\n',
      KEY_TABLE,
      'Domain example.com\nSelector s1\nKeyFile /etc/dkimkeys/k',
    );
    expect(ask(await signerOf(world)).outcome).toBe('unsigned');
  });

  it('is read as root, and must be safe', async () => {
    const change =
      (mode: number, uid: number): NonNullable<World['change']> =>
      host =>
        host.files.put('/etc/dkimkeys/k', KEYS.rsa, {mode, uid, gid: 0});
    expect(short(ask(await signerOf({...single(''), change: change(0o600, 0)})))).toBe(SIGNED);
    const unsafe = ask(await signerOf({...single(''), change: change(0o644, 0)}));
    expect(unsafe.outcome).toBe('unknown');
    expect(last(unsafe)).toContain('can be read or written by other users');
  });
});

describe('before and after the tables', () => {
  it('ExemptDomains, Mode and DontSignMailTo', async () => {
    const exempt = ask(await signerOf(signing('ExemptDomains Example.com')));
    expect([exempt.outcome, last(exempt)]).toEqual([
      'unsigned',
      'example.com is in ExemptDomains, so OpenDKIM ignores this mail.',
    ]);
    expect(ask(await signerOf(signing('ExemptDomains .example.com'))).outcome).toBe('signed');
    expect(ask(await signerOf(signing('Mode s'))).outcome).toBe('signed');
    expect(ask(await signerOf(signing('Mode vs'))).outcome).toBe('signed');
    const verifier = ask(await signerOf(signing('Mode v')));
    expect([verifier.outcome, last(verifier)]).toEqual([
      'unsigned',
      'OpenDKIM only verifies here, so it signs nothing.',
    ]);
    const spared = await signerOf(signing('DontSignMailTo list@example.net'));
    expect(ask(spared).outcome).toBe('signed');
    expect(ask(spared, {to: ['bob@example.net', 'List@example.net']}).outcome).toBe('unsigned');
  });

  it('a key that cannot be loaded stops mail of a verifier too', async () => {
    const world = tables('*@example.com key\n', 'key example.com:s1:/missing\n', 'Mode v');
    expect(ask(await signerOf(world)).outcome).toBe('refused');
  });

  it('SenderHeaders and SenderMacro choose the address', async () => {
    const mail: Mail = {from: 'a@other.example', sender: 'b@example.com'};
    expect(ask(await signerOf(signing('')), mail).outcome).toBe('unsigned');
    expect(ask(await signerOf(signing('SenderHeaders Sender,From')), mail).outcome).toBe('signed');
    expect(ask(await signerOf(signing('SenderHeaders From,Sender')), mail).outcome).toBe('unsigned');
    expect(ask(await signerOf(signing('SenderHeaders Sender')), {from: 'a@example.com'}).outcome).toBe(
      'signed',
    );
    const byMacro = await signerOf(signing('SenderMacro {mail_addr}'));
    expect(ask(byMacro, {...mail, macros: {'{mail_addr}': 'c@example.com'}}).outcome).toBe('signed');
    expect(ask(byMacro, {from: 'a@example.com'}).outcome).toBe('signed');
  });

  it('On-NoSignature and On-Default are for mail that is only verified', async () => {
    const outside = {address: '203.0.113.5'};
    const refusing = ask(await signerOf(signing('On-NoSignature reject')), outside);
    expect([refusing.outcome, last(refusing)]).toEqual([
      'refused',
      'OpenDKIM refuses mail without a signature.',
    ]);
    expect(ask(await signerOf(signing('On-NoSignature reject'))).outcome).toBe('signed');
    expect(ask(await signerOf(signing('On-NoSignature reject\nMode s')), outside).outcome).toBe('unsigned');
    expect(ask(await signerOf(signing('On-Default t')), {from: 'a@other.example'}).outcome).toBe('refused');
    expect(ask(await signerOf(signing('On-Default t\nOn-NoSignature a')), outside).outcome).toBe('unsigned');
  });

  it('mail without an address in From is not signed', async () => {
    const signer = await signerOf(signing(''));
    for (const from of ['', 'MAILER-DAEMON', '@example.com', 'a@']) {
      expect(ask(signer, {from}).outcome, from).toBe('unsigned');
    }
  });

  it('MTA is exact, a macro is too, and a no of MacroList takes a yes of MTA back', async () => {
    const address = '203.0.113.5';
    const mtas = await signerOf(signing('MTA ORIGINATING,MSA'));
    expect(ask(mtas, {address, macros: {'{daemon_name}': 'MSA'}}).outcome).toBe('signed');
    expect(ask(mtas, {address, macros: {'{daemon_name}': 'msa'}}).outcome).toBe('unsigned');
    const both = await signerOf(signing('MTA ORIGINATING\nMacroList tls_version=TLSv1.3'));
    const macros = {'{daemon_name}': 'ORIGINATING'};
    expect(ask(both, {address, macros}).outcome).toBe('signed');
    expect(ask(both, {address, macros: {...macros, '{tls_version}': 'TLSv1.2'}}).outcome).toBe('unsigned');
    const any = await signerOf(signing('MacroList tls_version,auth_author'));
    expect(ask(any, {address, macros: {'{tls_version}': 'TLSv1.2'}}).outcome).toBe('signed');
  });
});

describe('what is in effect', () => {
  it('the last of a name wins, includes are followed, and an option of the unit wins over both', async () => {
    const world: World = {
      ...signing(''),
      conf: `Mode v\nInclude /etc/opendkim/more.conf\n${PLAIN}`,
    };
    const files = {...world.files, '/etc/opendkim/more.conf': 'mode s # all\n'};
    expect(short(ask(await signerOf({...world, files})))).toBe(SIGNED);
    const change: World['change'] = host =>
      host.units.set('opendkim.service', {
        LoadState: 'loaded',
        ExecStart:
          '{ path=/usr/sbin/opendkim ; argv[]=/usr/sbin/opendkim -fb $MODE $OPTIONS ; ignore_errors=no ; }',
        // One line a file, as systemctl show has them; what the later one sets counts.
        EnvironmentFiles:
          '/etc/default/opendkim (ignore_errors=yes)\nEnvironmentFiles=/etc/default/local (ignore_errors=no)',
      });
    const withOptions = await signerOf({
      ...world,
      files: {
        ...files,
        '/etc/default/opendkim': 'MODE=v\nOPTIONS="-p inet:9999@localhost"\n',
        '/etc/default/local': 'OPTIONS="-p inet:8891@localhost"\n',
      },
      change,
    });
    const answer = ask(withOptions);
    expect(answer.outcome).toBe('unsigned');
    expect(answer.decisions.at(-1)).toMatchObject({
      name: 'Mode',
      value: 'v',
      source: {by: 'command', argv: ['systemctl', 'cat', 'opendkim.service']},
    });
    expect(withOptions.endpoints.map(({endpoint}) => endpoint)).toEqual([
      {kind: 'tcp', host: '127.0.0.1', port: 8891},
    ]);
  });

  it('what cannot be read makes an answer unknown only where it matters', async () => {
    const signer = await signerOf(signing('InternalHosts dsn:pgsql://u:secret@h/db/table=t?keycol=k'));
    expect(JSON.stringify(signer.unread)).not.toContain('secret');
    expect(signer.unread.map(({says}) => says)).toEqual([
      "InternalHosts is kept in a dsn source, which waxseal doesn't read.",
    ]);
    const unknown = ask(signer);
    expect([unknown.outcome, last(unknown)]).toEqual([
      'unknown',
      "InternalHosts is kept in a dsn source, which waxseal doesn't read.",
    ]);
    expect(JSON.stringify(unknown)).not.toContain('secret');
    expect(ask(signer, {macros: {'{auth_type}': 'PLAIN'}}).outcome).toBe('signed');
    expect(ask(signer, {from: 'a@other.example'}).outcome).toBe('unsigned');
    const database = {
      ...signing(''),
      conf: `KeyTable dsn:x://h/d\nSigningTable refile:/etc/opendkim/SigningTable`,
    };
    expect(ask(await signerOf(database)).outcome).toBe('unknown');
    expect(ask(await signerOf(database), {from: 'a@other.example'}).outcome).toBe('unsigned');
    expect(ask(await signerOf(signing('SetupPolicyScript /x.lua'))).outcome).toBe('unknown');
    expect(ask(await signerOf(signing('PeerList db:/x.db')), {address: '203.0.113.5'}).outcome).toBe(
      'unsigned',
    );
    expect(ask(await signerOf(signing('PeerList /x.db'))).outcome).toBe('unknown');
  });

  it('a configuration that OpenDKIM does not start with', async () => {
    const refused = [
      'InternalHosts ::1',
      'InternalHosts ::1,127.0.0.1',
      'InternalHosts file:/missing',
      'Mode x',
      'SignatureAlgorithm foo',
      'Canonicalization loose',
      'MTA refile:/etc/opendkim/SigningTable',
      'SigningTable file:/missing',
    ];
    for (const more of refused) {
      const answer = ask(await signerOf(signing(more)));
      expect(answer.outcome, more).toBe('unknown');
      expect(last(answer), more).toContain("OpenDKIM doesn't start");
    }
    for (const conf of [
      'KeyTable csl:k=example.com:s1:/etc/dkimkeys/k',
      'SigningTable csl:example.com=k',
      'Domain example.com',
      'Domain example.com\nSelector s1',
      'Domain example.com\nSelector s1\nKeyFile /missing',
      'KeyTable csl:k=example.com:s1:/etc/dkimkeys/k\nSigningTable csl:example.com=no:@%',
    ]) {
      const answer = ask(await signerOf({conf}));
      expect([answer.outcome, last(answer)], conf).toEqual([
        'unknown',
        expect.stringContaining("OpenDKIM doesn't start"),
      ]);
    }
  });

  it('each instance is a signer of its own', async () => {
    const change: World['change'] = host => {
      host.files.put('/etc/opendkim-out.conf', 'Domain out.example\nSelector s9\nKeyFile /etc/dkimkeys/k\n');
      for (const [pid, argv, unit] of [
        ['100', 'opendkim', 'opendkim.service'],
        ['101', 'opendkim', 'opendkim.service'],
        [
          '200',
          'opendkim -x /etc/opendkim-out.conf -u opendkim -p local:/run/out.sock',
          'opendkim@out.service',
        ],
        ['300', 'sshd', 'ssh.service'],
      ] as const) {
        host.files.put(`/proc/${pid}/comm`, `${argv.split(' ')[0]}\n`);
        host.files.put(`/proc/${pid}/cmdline`, `${argv.replaceAll(' ', '\0')}\0`);
        host.files.put(`/proc/${pid}/cgroup`, `0::/system.slice/${unit}\n`);
        const uid = pid === '101' ? 0 : 104;
        host.files.put(
          `/proc/${pid}/status`,
          `Name:\topendkim\nUid:\t${uid}\t${uid}\t${uid}\t${uid}\nGid:\t110\t110\t110\t110\n`,
        );
      }
    };
    const layout = {opendkim: {configFile: absolute(CONFIG), unit: 'opendkim.service'}};
    const found = await signersOf({...signing('Socket inet:8891@localhost'), change, layout});
    expect(found.map(({unit, isRunning}) => [unit, isRunning])).toEqual([
      ['opendkim.service', true],
      ['opendkim@out.service', true],
    ]);
    const [main, out] = found;
    // The parent of an AutoRestart, which is root, does not judge the keys.
    expect(main === undefined ? '' : short(ask(main))).toBe(SIGNED);
    expect(main?.rows.map(({domain}) => domain)).toEqual(['example.com']);
    expect(out?.endpoints[0]).toMatchObject({endpoint: {path: '/run/out.sock'}});
    expect(out === undefined ? '' : short(ask(out, {from: 'a@out.example'}))).toBe('signed out.example/s9');
  });
});
