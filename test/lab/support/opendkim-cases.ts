/**
 * Configurations of OpenDKIM, written by hand and made by chance, and messages to ask each of them about. `@` in a text
 * stands for the directory of the case.
 */
import {generateKeyPairSync} from 'node:crypto';

export interface CaseFile {
  readonly content: string;
  readonly mode?: string;
  /** As chown(1) takes it; root:root otherwise. */
  readonly owner?: string;
}

export interface SignerCase {
  readonly name: string;
  readonly conf: string;
  /** By name below the directory of the case. */
  readonly files: Readonly<Record<string, CaseFile>>;
}

export interface AskedMail {
  readonly from: string;
  readonly sender?: string;
  readonly host: string;
  readonly address: string;
  readonly authType?: string;
  readonly daemonName?: string;
  readonly recipients: readonly string[];
}

const pem = (bits: number, type: 'pkcs1' | 'pkcs8'): string =>
  generateKeyPairSync('rsa', {modulusLength: bits}).privateKey.export({type, format: 'pem'}).toString();

const RSA = pem(1024, 'pkcs8');
const PKCS1 = pem(2048, 'pkcs1');
const SHORT = pem(512, 'pkcs8');
const EDWARDS = generateKeyPairSync('ed25519').privateKey.export({type: 'pkcs8', format: 'pem'}).toString();
const body = (text: string): string => text.replace(/-----[^-]+-----|\n/g, '');

const OWN = {mode: '600', owner: 'opendkim:opendkim'} as const;
const key = (content: string, mode = '600', owner = 'opendkim:opendkim'): CaseFile => ({
  content,
  mode,
  owner,
});

/** In every case. */
const KEYS: Readonly<Record<string, CaseFile>> = {
  'keys/k': {content: RSA, ...OWN},
  'keys/k2': {content: PKCS1, ...OWN},
};
const KEY_TABLE = 'key example.com:s1:@/keys/k\ntwo other.example:s2:@/keys/k2\n';

function tables(
  name: string,
  signing: string,
  {
    keys = KEY_TABLE,
    more = '',
    type = 'refile',
    files = {},
  }: {
    readonly keys?: string;
    readonly more?: string;
    readonly type?: string;
    readonly files?: Readonly<Record<string, CaseFile>>;
  } = {},
): SignerCase {
  return {
    name,
    conf: `KeyTable file:@/KeyTable\nSigningTable ${type}:@/SigningTable\n${more}\n`,
    files: {...KEYS, KeyTable: {content: keys}, SigningTable: {content: signing}, ...files},
  };
}

const refile = (signing: string): SignerCase => tables(`refile ${JSON.stringify(signing)}`, `${signing}\n`);
const file = (signing: string): SignerCase =>
  tables(`file ${JSON.stringify(signing)}`, `${signing}\n`, {type: 'file'});
const option = (more: string, files: Readonly<Record<string, CaseFile>> = {}): SignerCase =>
  tables(`option ${JSON.stringify(more)}`, '*@example.com key\n', {more, files});
const keyRow = (row: string, files: Readonly<Record<string, CaseFile>> = {}): SignerCase =>
  tables(`key ${JSON.stringify(row.slice(0, 60))}`, '*@example.com key\n* key\n', {keys: `${row}\n`, files});
const keyFile = (name: string, content: CaseFile, more = ''): SignerCase =>
  tables(`key file ${name} ${more}`, '*@example.com key\n', {more, files: {'keys/k': content}});
const raw = (conf: string, files: Readonly<Record<string, CaseFile>> = {}): SignerCase => ({
  name: `conf ${JSON.stringify(conf.slice(0, 100))}`,
  conf: `${conf}\n`,
  files: {...KEYS, KeyTable: {content: KEY_TABLE}, SigningTable: {content: '*@example.com key\n'}, ...files},
});

const SINGLE = 'Domain example.com\nSelector s1\nKeyFile @/keys/k\n';

export const BY_HAND: readonly SignerCase[] = [
  ...[
    '*@example.com key',
    '*@example.com key\n*@*.example.com key',
    'example.com key',
    '* key',
    '*@EXAMPLE.com key',
    ' *@example.com key',
    '\t*@example.com key',
    'alice@* key',
    'a*e@example.com key',
    'alice+x@example.com key',
    '*@example.com key # office',
    '#*@example.com key',
    '*@example.com key\n.*@example\\.com key',
    '*@example.com key:@%',
    '*@example.com key:%',
    '*@example.com key:@sub.example.com',
    '*@example.com key:@other.example',
    '*@example.com key:x',
    '*@example.com %:key',
    '*@example.com %',
    '* two\n*@example.com key',
    '*@example.com key two',
    '*@example.com\tkey\r',
    '*@example.com ',
    '*@*.com two',
    '*.example.com two',
    '*alice* two',
    '**@example.com two',
    '*@sub*.example.com two',
  ].map(refile),
  ...[
    '*@example.com key',
    'example.com key',
    '.example.com key',
    '.com key',
    '  example.com key',
    'alice@example.com two\nexample.com key',
    'alice@.example.com key',
    'alice@* key',
    'ALICE@* key',
    '* key',
    'EXAMPLE.com key',
    '* two\nexample.com key',
    'example.com\tkey\r',
    'example.com key:@%',
    'example.com key:%',
    'example.com no\nother.example key:@%',
    'example.com',
    'example.com no',
    'other.example key:@%\nexample.com no:@%',
    'example.com %',
    'example.com %:@%',
  ].map(file),
  ...[
    'MultipleSignatures yes',
    'Mode s',
    'Mode v',
    'Mode vs',
    'Mode x',
    'Mode v\nMode s',
    'MTA ORIGINATING',
    'MTA originating',
    'MTA MSA, ORIGINATING',
    'MTA *',
    'MacroList daemon_name=ORIGINATING|MSA',
    'MacroList daemon_name',
    'MacroList auth_type=PLAIN',
    'MacroList auth_type=LOGIN|GSSAPI',
    'MacroList nothing=x,daemon_name=ORIGINATING',
    'MacroList daemon_name=ORIGINATING,auth_type=LOGIN',
    'MTA ORIGINATING\nMacroList auth_type=LOGIN',
    'MTA ORIGINATING\nMacroList daemon_name=x',
    'PeerList 127.0.0.1',
    'PeerList client.example',
    'PeerList .example',
    'PeerList 10.0.0.0/8',
    'ExternalIgnoreList 203.0.113.5',
    'ExemptDomains example.com',
    'ExemptDomains EXAMPLE.com',
    'ExemptDomains .example.com',
    'DontSignMailTo list@example.net',
    'DontSignMailTo LIST@example.net,bob@example.net',
    'SenderHeaders Sender,From',
    'SenderHeaders From,Sender',
    'SenderHeaders Sender',
    'SenderMacro {daemon_name}',
    'InternalHosts 10.0.0.0/8',
    'InternalHosts 10.0.0.1/8',
    'InternalHosts 127.0.0.1,localhost',
    'InternalHosts localhost',
    'InternalHosts .example',
    'InternalHosts CLIENT.example',
    'InternalHosts client.example,!10.1.1.1',
    'InternalHosts !client.example,10.0.0.0/8',
    'InternalHosts !10.1.0.0/16,10.0.0.0/8',
    'InternalHosts !10.0.0.0/8,10.1.1.1',
    'InternalHosts 0.0.0.0/0',
    'InternalHosts [10.1.1.1],[127.0.0.1]',
    'InternalHosts [10.1.1.0]/24',
    'InternalHosts 127.0.0.1,2001:db8::/32',
    'InternalHosts 127.0.0.1,2001:DB8::/32',
    'InternalHosts 127.0.0.1,2001:db8:0::/32',
    'InternalHosts 127.0.0.1,[2001:db8::]/32',
    'InternalHosts 127.0.0.1,::/0',
    'InternalHosts ::1',
    'InternalHosts *',
    'InternalHosts file:@/missing',
    'InternalHosts csl:::1',
    'RequireSafeKeys no',
    'SignatureAlgorithm rsa-sha1',
    'SignatureAlgorithm foo',
    'MinimumKeyBits 2048',
    'MinimumKeyBits 2048\nOn-SignatureError accept',
    'MinimumKeyBits 2048\nOn-Default tempfail',
    'MinimumKeyBits 2048\nOn-Default discard',
    'MinimumKeyBits 2048\nOn-Default accept\nOn-SignatureError reject',
    'MinimumKeyBits 0',
    'Domain example.com',
    'Domain example.com\nSelector s1\nKeyFile @/keys/k',
    'KeyTable file:@/missing',
    'SigningTable refile:@/missing',
  ].map(more => option(more)),
  ...[
    '10.1.*\n',
    '*\n',
    '!10.1.*\n10.*\n',
    ' 10.1.1.1\n',
    '*.example\n',
    'client.example\n',
    '10.0.0.0/8 office\n',
  ].map(text =>
    option(`InternalHosts refile:@/hosts # ${JSON.stringify(text).replaceAll('#', '')}`, {
      hosts: {content: text},
    }),
  ),
  ...['10.1.0.0/16\n', '  client.example   # here\n', '127.0.0.1\r\n10.1.1.1\r\n', '\n#\n'].map(text =>
    option(`InternalHosts @/hosts # ${JSON.stringify(text).replaceAll('#', '')}`, {hosts: {content: text}}),
  ),
  ...[
    'key Example.com:S1:@/keys/k',
    'key %:s1:@/keys/k',
    'key %:s1:@/keys/%/k',
    'key other.example:s1:@/keys/%/k',
    'key example.com s1 @/keys/k',
    'key example.com:s1',
    'key example.com::@/keys/k',
    'key :s1:@/keys/k',
    'key',
    '',
    'KEY example.com:s1:@/keys/k',
    'key example.com:s1:@/keys/missing',
    'key example.com:s1:@/keys',
    'key example.com:s1:keys/k',
    'key example.com:s1:@/keys/k\nkey example.com:s2:/missing',
    'key example.com:s1:@/keys/k # office',
    `key example.com:s1:${body(RSA)}`,
    `key example.com:s1:${body(PKCS1)}`,
    'key example.com:s1:@/keys/../keys/k',
  ].map(row =>
    keyRow(row, {
      'keys/example.com/k': {content: RSA, ...OWN},
      'keys/other.example/k': {content: RSA, ...OWN},
    }),
  ),
  keyFile('root:opendkim 640', key(RSA, '640', 'root:opendkim')),
  keyFile('644', key(RSA, '644')),
  keyFile('644', key(RSA, '644'), 'RequireSafeKeys no'),
  keyFile('group mail', key(RSA, '640', 'opendkim:mail')),
  keyFile('of postfix', key(RSA, '640', 'postfix:opendkim')),
  keyFile('root 600', key(RSA, '600', 'root:root')),
  keyFile('root 600', key(RSA, '600', 'root:root'), 'RequireSafeKeys no'),
  keyFile('empty', key('')),
  keyFile('text', key('no key\n')),
  keyFile('text before', key(`# key\n${RSA}`)),
  keyFile('text after', key(`${RSA}# key\n`)),
  keyFile('base64', key(body(PKCS1))),
  keyFile('CRLF', key(RSA.replaceAll('\n', '\r\n'))),
  keyFile('512 bits', key(SHORT)),
  keyFile('512 bits', key(SHORT), 'MinimumKeyBits 512'),
  keyFile('Ed25519', key(EDWARDS)),
  keyFile('Ed25519', key(EDWARDS), 'SignatureAlgorithm ed25519-sha256'),
  keyFile('Ed25519', key(EDWARDS), 'On-InternalError accept'),
  raw(SINGLE),
  raw(`${SINGLE}SubDomains yes`),
  raw(`${SINGLE}Domain example.com, other.example`),
  raw(`${SINGLE}Domain *`),
  raw(`${SINGLE}Domain refile:@/domains`, {domains: {content: '*.example.com\nexample.com\n'}}),
  raw(`${SINGLE}Domain file:@/domains`, {domains: {content: 'example.com ignored\n'}}),
  raw(`${SINGLE}Mode v`),
  raw('Domain example.com'),
  raw('Domain example.com\nSelector s1'),
  raw('Selector s1\nKeyFile @/keys/k'),
  raw('Domain example.com\nMode v'),
  raw(SINGLE, {'keys/k': key(RSA, '600', 'root:root')}),
  raw(SINGLE, {'keys/k': key(RSA, '644')}),
  raw(SINGLE, {'keys/k': key('no key')}),
  raw('KeyTable file:@/KeyTable'),
  raw('SigningTable refile:@/SigningTable'),
  raw('KeyTable refile:@/KeyTable\nSigningTable refile:@/SigningTable'),
  raw('KeyTable csl:key=example.com:s1:@/keys/k\nSigningTable example.com=key'),
  raw('KeyTable csl:key=example.com:s1:@/keys/k\nSigningTable csl:example.com=key:@%,*=no'),
  raw('KeyTable key=example.com:s1:@/keys/k\nSigningTable example.com=key'),
  raw('KeyTable @/KeyTable\nSigningTable @/SigningTable', {SigningTable: {content: 'example.com key\n'}}),
  raw('Include @/more\nSigningTable refile:@/SigningTable', {
    more: {content: 'KeyTable file:@/KeyTable\nMode v\n'},
  }),
  raw('Include @/missing'),
  raw('# nothing'),
];

export const MAILS: readonly AskedMail[] = [
  mail('alice@example.com'),
  mail('bob@example.com', {host: 'client.example', address: '10.1.1.1'}),
  mail('alice@sub.example.com'),
  mail('alice@other.example'),
  mail('Alice+x@EXAMPLE.com', {host: 'client.example', address: '10.1.1.1', authType: 'PLAIN'}),
  mail('alice@example.com', {host: 'outside.example', address: '203.0.113.5'}),
  mail('alice@example.com', {host: '[203.0.113.5]', address: '203.0.113.5', daemonName: 'ORIGINATING'}),
  mail('alice@example.com', {host: 'localhost', address: '203.0.113.5', authType: 'LOGIN'}),
  mail('alice@example.com', {host: 'v6.example', address: '2001:db8:7::1'}),
  mail('alice@example.com', {host: 'localhost', address: '::1'}),
  mail('alice@other.example', {sender: 'list@example.com'}),
  mail('alice@example.com', {recipients: ['bob@example.net', 'List@example.net']}),
  mail('alice@b.sub.example.com'),
  mail('mailer'),
];

function mail(from: string, more: Partial<AskedMail> = {}): AskedMail {
  return {from, host: 'localhost', address: '127.0.0.1', recipients: ['carol@example.net'], ...more};
}

/** A chance that is the same in each run (mulberry32). */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Tables, host lists and options put together by chance. */
export function byChance(count: number, seed: number): readonly SignerCase[] {
  const next = chance(seed);
  const one = <T>(of: readonly [T, ...T[]]): T => of[Math.floor(next() * of.length)] ?? of[0];
  const some = (of: readonly [string, ...string[]], most: number): readonly string[] =>
    Array.from({length: Math.floor(next() * (most + 1))}, () => one(of));
  const address = (): string =>
    `${one(['alice', 'bob', '*', 'a*', 'Alice+x'])}@${one(['example.com', '*.example.com', 'sub.example.com', '.example.com', 'other.example', '*', 'EXAMPLE.COM', '*.com'])}`;
  const exact = (): string =>
    one([
      address,
      address,
      () => one(['example.com', '.example.com', '.com', 'sub.example.com', 'other.example', '.example', '*']),
    ])();
  const label = (): string =>
    one([
      'key',
      'two',
      'any',
      'key',
      'two',
      'any',
      '%',
      'none',
      'bad',
      'key:@%',
      'two:@%',
      'any:@%',
      'key:%',
    ]);
  const keys = (): string =>
    [
      'key example.com:s1:@/keys/k',
      'two other.example:s2:@/keys/k2',
      'any %:s3:@/keys/k',
      'bad example.com:s4:@/keys/missing',
      'example.com example.com:s5:@/keys/k2',
      ...some(['key example.com:s6:@/keys/k2', 'none x:y', '# rows', ''], 2),
    ]
      .toSorted(() => next() - 0.5)
      .join('\n');
  const host = (): string =>
    `${one(['', '', '', '!'])}${one(['127.0.0.1', '10.0.0.0/8', '10.1.1.1', '10.1.0.0/16', 'client.example', '.example', 'localhost', '0.0.0.0/0', '[10.1.1.1]', '203.0.113.0/24', '[::1]', '2001:db8::/32', '::1'])}`;
  const options = (): readonly string[] => [
    ...(next() < 0.6 ? [`InternalHosts file:@/hosts`] : []),
    ...(next() < 0.15 ? [`PeerList csl:${host()},${host()}`] : []),
    ...(next() < 0.3 ? ['MultipleSignatures yes'] : []),
    ...(next() < 0.2 ? [`MTA ${one(['ORIGINATING', 'MSA', 'mail.example.com'])}`] : []),
    ...(next() < 0.2
      ? [
          `MacroList ${one(['daemon_name=ORIGINATING', 'auth_type=LOGIN', 'auth_type', 'daemon_name=x|ORIGINATING'])}`,
        ]
      : []),
    ...(next() < 0.15 ? [`Mode ${one(['s', 'v', 'sv'])}`] : []),
    ...(next() < 0.15 ? [`ExemptDomains ${one(['example.com', 'other.example', 'sub.example.com'])}`] : []),
    ...(next() < 0.15 ? [`SenderHeaders ${one(['Sender,From', 'From', 'Sender'])}`] : []),
    ...(next() < 0.15
      ? [`DontSignMailTo ${one(['bob@example.net', 'list@example.net', '*@example.net'])}`]
      : []),
    ...(next() < 0.1 ? [`MinimumKeyBits ${one(['1025', '2048', '512'])}`] : []),
    ...(next() < 0.1 ? [`On-Default ${one(['accept', 'tempfail', 'reject'])}`] : []),
  ];
  return Array.from({length: count}, (_, at): SignerCase => {
    const hosts = {
      hosts: {content: `${Array.from({length: 1 + Math.floor(next() * 4)}, host).join('\n')}\n`},
    };
    if (next() < 0.15) {
      const domains = some(['example.com', 'other.example', 'sub.example.com', '*', 'EXAMPLE.com'], 3);
      const below = next() < 0.5 ? 'SubDomains yes\n' : '';
      const conf = `Domain csl:${['x.example', ...domains].join(',')}\nSelector s1\nKeyFile @/keys/k\n${below}${options().join('\n')}`;
      return {...raw(conf, hosts), name: `chance ${at}`};
    }
    const type = one(['refile', 'file']);
    const rows = Array.from(
      {length: 1 + Math.floor(next() * 5)},
      () => `${type === 'refile' ? address() : exact()} ${label()}`,
    );
    return tables(`chance ${at}`, `${rows.join('\n')}\n`, {
      keys: `${keys()}\n`,
      type,
      more: options().join('\n'),
      files: hosts,
    });
  });
}
