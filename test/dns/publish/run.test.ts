/** Publishers as real processes: a hook of our own, and stand-ins where the real programs are tried in the lab. */
import {chmod, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import {recordForms} from '../../../src/dns/forms.ts';
import {
  type PublishChoice,
  programsFor,
  publishRecord,
  type RecordChange,
} from '../../../src/dns/publish/index.ts';
import {updateScript} from '../../../src/dns/publish/programs.ts';
import {absolute} from '../../../src/domain/paths.ts';
import {createRealPorts} from '../../../src/system/real/index.ts';
import {domainOf, selectorOf} from '../../support/fake-operations.ts';
import {dnsName, NAME, VALUE} from '../world.ts';

const apex = dnsName('example.org');
const forms = recordForms({apex, name: NAME, value: VALUE});
const change: RecordChange = {
  action: 'add',
  domain: domainOf('example.org'),
  selector: selectorOf('202611'),
  name: NAME,
  zone: apex,
  relativeName: forms.relativeName,
  value: VALUE,
  quoted: forms.zoneFile.slice(forms.zoneFile.indexOf('"')),
  ttlSeconds: 3600,
  replaces: false,
  primary: dnsName('ns1.example.org'),
  servers: [
    {name: dnsName('ns2.example.org'), address: '192.0.2.2', port: 53},
    {name: dnsName('ns1.example.org'), address: '192.0.2.1', port: 53},
  ],
};

describe('what is run', () => {
  test('nsupdate: one request to the primary, the key by its file', () => {
    const [program, ...more] = programsFor(
      {by: 'nsupdate', tsigKey: absolute('/etc/bind/waxseal.key')},
      change,
    );
    expect(more).toEqual([]);
    expect(program?.argv).toEqual(['nsupdate', '-v', '-t', '20', '-k', '/etc/bind/waxseal.key']);
    expect(program?.input?.split('\n')).toEqual([
      'server 192.0.2.1 53',
      'zone example.org.',
      `update delete ${NAME}. TXT`,
      `update add ${NAME}. 3600 TXT ${change.quoted}`,
      'send',
      '',
    ]);
  });

  test('a hidden primary by its name, a chosen server by its address, nobody where nothing is known', () => {
    const hidden = {...change, servers: []};
    expect(updateScript({}, hidden)).toContain('server ns1.example.org.\n');
    expect(updateScript({server: {address: '2001:db8::1', port: 5353}}, hidden)).toContain(
      'server 2001:db8::1 5353\n',
    );
    expect(updateScript({}, {...hidden, primary: dnsName('')})).not.toContain('server');
  });

  test('removing takes away this record only', () => {
    const script = updateScript({}, {...change, action: 'remove'});
    expect(script).toContain(`update delete ${NAME}. TXT ${change.quoted}\n`);
    expect(script).not.toContain('update add');
  });

  test('a TTL that was chosen is the one that is entered', () => {
    expect(updateScript({ttlSeconds: 300}, change)).toContain(`update add ${NAME}. 300 TXT `);
  });

  test.each(['ddns', 'localzone'])(
    'lexicon: %s reads the text of a zone file, so it gets the strings',
    provider => {
      const [program] = programsFor({by: 'lexicon', provider}, change);
      expect(program?.argv).toContain(`--content=${change.quoted}`);
      const [removal] = programsFor({by: 'lexicon', provider}, {...change, action: 'remove'});
      const sought = provider === 'localzone' ? change.quoted.slice(1, -1) : change.quoted;
      expect(removal?.argv).toContain(`--content=${sought}`);
    },
  );

  test('lexicon: only its own variables go to it, and nothing secret is in its words', () => {
    const environment = {LEXICON_GANDI_AUTH_TOKEN: 's3cret-token', AWS_SECRET: 'other', PATH: '/x'};
    const programs = programsFor(
      {by: 'lexicon', provider: 'gandi'},
      {...change, replaces: true},
      environment,
    );
    expect(programs.map(({argv}) => argv.slice(3, 5))).toEqual([
      ['gandi', 'delete'],
      ['gandi', 'create'],
    ]);
    for (const {argv, environment: given} of programs) {
      expect(given).toEqual({LEXICON_GANDI_AUTH_TOKEN: 's3cret-token'});
      expect(argv.join(' ')).not.toContain('s3cret');
    }
  });
});

describe('a hook', () => {
  let directory: string;
  const ports = createRealPorts({});
  /** The ports of a host where the group of every file has these members. */
  const inGroup = (...members: readonly string[]): typeof ports => ({
    ...ports,
    users: {
      ...ports.users,
      groupById: async (gid: number) => ({gid, name: 'staff', members}),
      primaryMembers: async () => [],
    },
  });

  beforeEach(async () => {
    directory = await realpath(await mkdtemp(path.join(tmpdir(), 'waxseal-hook-')));
  });
  afterEach(() => rm(directory, {recursive: true, force: true}));

  async function hook(script: string, mode = 0o700): Promise<PublishChoice> {
    const file = path.join(directory, 'hook');
    await writeFile(file, `#!/bin/sh\n${script}\n`);
    await chmod(file, mode);
    return {by: 'hook', path: absolute(file)};
  }

  test('gets what to do as its argument and the record in its environment, and nothing else', async () => {
    const out = path.join(directory, 'out');
    const choice = await hook(
      `echo "$1" >${out}; env | sort >>${out}; printf '%s' "$WAXSEAL_RECORD_VALUE" >${out}.value`,
    );
    process.env['WAXSEAL_TEST_SECRET'] = 'of the caller';
    expect(await publishRecord(ports, choice, change)).toEqual({ok: true, value: true});
    delete process.env['WAXSEAL_TEST_SECRET'];
    const [action, ...variables] = (await readFile(out, 'utf8')).trimEnd().split('\n');
    expect(action).toBe('add');
    const names = variables
      .map(each => each.split('=')[0])
      .filter(name => !['PWD', '_', 'SHLVL', 'OLDPWD'].includes(name ?? ''));
    expect(names).toEqual([
      'LC_ALL',
      'PATH',
      'WAXSEAL_ACTION',
      'WAXSEAL_DOMAIN',
      'WAXSEAL_RECORD_NAME',
      'WAXSEAL_RECORD_RELATIVE_NAME',
      'WAXSEAL_RECORD_STRINGS',
      'WAXSEAL_RECORD_TTL',
      'WAXSEAL_RECORD_TYPE',
      'WAXSEAL_RECORD_VALUE',
      'WAXSEAL_SELECTOR',
      'WAXSEAL_ZONE',
    ]);
    expect(await readFile(`${out}.value`, 'utf8')).toBe(VALUE);
  });

  test('that fails is told with its last words, made harmless', async () => {
    const choice = await hook(`echo one; printf 'API said \\033[2Jno; token=abc123\\n' >&2; exit 7`);
    const result = await publishRecord(ports, choice, change);
    expect(result).toMatchObject({ok: false, problem: {id: 'publish.failed'}});
    const message = result.ok ? '' : result.problem.message;
    expect(message).toContain('exit 7): API said \\x1b[2Jno; token=(hidden)');
    expect(message).not.toContain('abc123');
  });

  test('that floods its output does not fill the memory or the message', async () => {
    const choice = await hook(`yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx | head -c 20000000 >&2; exit 1`);
    const result = await publishRecord(ports, choice, change);
    expect(result.ok ? 0 : result.problem.message.length).toBeLessThan(500);
  });

  test('that hangs is ended when nobody waits any more', async () => {
    const choice = await hook('sleep 600');
    const ending = new AbortController();
    const begun = Date.now();
    setTimeout(() => ending.abort(new Error('left')), 100);
    await expect(publishRecord(ports, choice, change, {signal: ending.signal})).rejects.toThrow('left');
    expect(Date.now() - begun).toBeLessThan(500_000);
  });

  test.each([
    ['is not executable', 0o600, 'publish.hook-missing'],
    ['can be changed by others', 0o777, 'publish.hook-unsafe'],
    ['can be changed by its group', 0o770, 'publish.hook-unsafe'],
  ])('that %s is not run', async (_what, mode, id) => {
    const choice = await hook(`touch ${directory}/ran`, mode);
    expect(await publishRecord(inGroup('alice'), choice, change)).toMatchObject({ok: false, problem: {id}});
    await expect(readFile(`${directory}/ran`)).rejects.toThrow();
  });

  test('that a group without members could change is run, as Debian has /usr/local', async () => {
    const choice = await hook('exit 0', 0o770);
    expect(await publishRecord(inGroup(), choice, change)).toEqual({ok: true, value: true});
  });

  test('in a directory that others can write is not run', async () => {
    const choice = await hook('exit 0');
    await chmod(directory, 0o777);
    expect(await publishRecord(ports, choice, change)).toMatchObject({
      ok: false,
      problem: {id: 'publish.hook-unsafe'},
    });
  });

  test('that somebody else could put another in the place of is not run, wherever on its way that is', async () => {
    const others = new Set<string>();
    const files: typeof ports.files = {
      ...ports.files,
      stat: async at => {
        const stat = await ports.files.stat(at);
        return stat !== undefined && others.has(at) ? {...stat, uid: 12_345} : stat;
      },
    };
    const choice = await hook(`touch ${directory}/ran`);
    const deep = path.join(directory, 'deep');
    await mkdir(deep);
    await symlink('../hook', path.join(deep, 'link'));
    const linked: PublishChoice = {by: 'hook', path: absolute(path.join(deep, 'link'))};
    const why = async (by: PublishChoice): Promise<string> => {
      const result = await publishRecord({...ports, files}, by, change);
      return result.ok ? 'ran' : `${result.problem.message} ${result.problem.hint}`;
    };
    others.add(directory);
    expect(await why(choice)).toContain(
      `, by ${directory}, and it would be run as root. Run: chown root ${directory}`,
    );
    others.clear();
    others.add(path.join(deep, 'link'));
    expect(await why(linked)).toContain(`Run: chown -h root ${deep}/link`);
    others.clear();
    await chmod(deep, 0o777);
    expect(await why(linked)).toContain(`Run: chmod go-w ${deep}`);
    await chmod(deep, 0o700);
    await chmod(directory, 0o777);
    expect(await why(linked), 'the directory of the link target').toContain(`Run: chmod go-w ${directory}`);
    await expect(readFile(`${directory}/ran`)).rejects.toThrow();
    await chmod(directory, 0o700);
    expect(await why(linked)).toBe('ran');
  });

  test('that is not there is said', async () => {
    const choice: PublishChoice = {by: 'hook', path: absolute(`${directory}/none`)};
    expect(await publishRecord(ports, choice, change)).toMatchObject({
      ok: false,
      problem: {id: 'publish.hook-missing'},
    });
  });

  test('a key that everybody can read is not used', async () => {
    const key = path.join(directory, 'tsig.key');
    await writeFile(key, 'key "a" { algorithm hmac-sha256; secret "AAAA"; };\n', {mode: 0o644});
    await chmod(key, 0o644);
    const choice: PublishChoice = {by: 'nsupdate', tsigKey: absolute(key)};
    expect(await publishRecord(ports, choice, change)).toMatchObject({
      ok: false,
      problem: {id: 'publish.key-readable'},
    });
    const missing: PublishChoice = {by: 'nsupdate', tsigKey: absolute(`${key}.none`)};
    expect(await publishRecord(ports, missing, change)).toMatchObject({
      ok: false,
      problem: {id: 'publish.key-missing'},
    });
  });

  test('a program that is not there is named with its package', async () => {
    const missing = {
      ...ports,
      commands: {run: async () => ({status: null, stdout: '', stderr: '', ended: 'missing' as const})},
    };
    const result = await publishRecord(missing, {by: 'lexicon', provider: 'gandi'}, change);
    expect(result).toMatchObject({ok: false, problem: {id: 'publish.program-missing'}});
    expect(result.ok ? '' : result.problem.hint).toContain('on Debian 12: the package lexicon');
  });
});
