import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {lookAtHost} from '../../src/services/look.ts';
import {readConfiguration} from '../../src/services/read-snapshot.ts';
import {planChange, planSigning} from '../../src/services/signing.ts';
import type {Step} from '../../src/services/step.ts';
import {carryOut, type FakeHost, fixtureHost, testKey} from '../support/fake-host.ts';
import {candidateOf, domain, planOn, value, type Wanted, wantedOn} from './wanted.ts';

const textOf = (steps: readonly Step[], path: string): string => {
  const step = steps.find(one => one.kind === 'file' && one.path === path);
  return step?.kind === 'file' && step.after.content.from === 'text' ? step.after.content.text : '';
};

async function problemOf(host: FakeHost, wanted: Wanted): Promise<string> {
  const {change} = await planOn(host, wanted);
  return change.ok ? 'none' : change.problem.id;
}

describe('planSigning', () => {
  it('says what is missing instead of planning', async () => {
    const host = fixtureHost('debian-13');
    const wanted = wantedOn(host, ['example.com']);
    const {facts, snapshot} = await planOn(host, wanted);
    const id = (change: ReturnType<typeof planSigning>): string => (change.ok ? 'none' : change.problem.id);
    expect(id(planSigning({...facts, signer: undefined}, snapshot, wanted))).toBe('opendkim.missing');
    expect(id(planSigning({...facts, mta: undefined}, snapshot, wanted))).toBe('host.no-mta');
    expect(id(planSigning({...facts, layout: undefined}, snapshot, wanted))).toBe('host.unsupported');
  });

  it('puts directories, keys, tables, configuration, check and restart before Postfix', async () => {
    const host = fixtureHost('debian-13');
    const {steps} = value((await planOn(host, wantedOn(host, ['example.com']))).change);
    expect(steps.map(step => step.id)).toEqual([
      'directory:/etc/opendkim',
      'directory:/etc/dkimkeys/example.com',
      'directory:/var/spool/postfix/opendkim',
      'file:/etc/dkimkeys/example.com/202611.private',
      'file:/etc/opendkim/KeyTable',
      'file:/etc/opendkim/SigningTable',
      'file:/etc/opendkim/TrustedHosts',
      'file:/etc/opendkim.conf',
      'check:opendkim',
      'service:opendkim.service',
      'file:/etc/postfix/main.cf',
      'check:postfix',
      'service:postfix.service',
    ]);
    const restart = steps.find(step => step.id === 'service:opendkim.service');
    expect(restart).toMatchObject({
      timeoutMs: 120_000,
      ready: {steadyMs: 2000, endpoint: {kind: 'unix', path: '/var/spool/postfix/opendkim/opendkim.sock'}},
    });
    expect(new Set(steps.map(step => step.id)).size).toBe(steps.length);
  });

  it('listens on a port where that is wanted, in both notations', async () => {
    const host = fixtureHost('debian-13');
    const wanted = wantedOn(host, ['example.com'], {socket: {inetPort: 8899}});
    const {steps, endpoint} = value((await planOn(host, wanted)).change);
    expect(endpoint).toEqual({kind: 'tcp', host: '127.0.0.1', port: 8899});
    expect(textOf(steps, '/etc/opendkim.conf')).toMatch(/^Socket\t\t\tinet:8899@localhost$/m);
    expect(textOf(steps, '/etc/postfix/main.cf')).toMatch(/^smtpd_milters = inet:127\.0\.0\.1:8899$/m);
    await carryOut(host, steps);
    expect(value((await planOn(host, wanted)).change).steps).toEqual([]);
    // Back to the socket: the entry of the port is replaced, not joined by another one.
    const back = value(
      (await planOn(host, {...wanted, settings: {...wanted.settings, socket: 'unix'}})).change,
    );
    expect(textOf(back.steps, '/etc/postfix/main.cf')).toMatch(
      /^smtpd_milters = unix:opendkim\/opendkim\.sock$/m,
    );
    await carryOut(host, back.steps);
    expect(
      value((await planOn(host, {...wanted, settings: {...wanted.settings, socket: 'unix'}})).change).steps,
    ).toEqual([]);
  });

  it('does not fight with a socket that the unit prescribes', async () => {
    const host = fixtureHost('drop-in');
    expect(await problemOf(host, wantedOn(host, ['example.com'], {socket: 'unix'}))).toBe(
      'opendkim.socket-override',
    );
    expect(await problemOf(host, wantedOn(host, ['example.com'], {socket: {inetPort: 12345}}))).toBe('none');
  });

  it('moves a wiki directory that Postfix cannot enter to the setgid form', async () => {
    const host = fixtureHost('tables-of-others');
    const group = host.users.groups.findIndex(entry => entry.name === 'opendkim');
    host.users.groups[group] = {name: 'opendkim', gid: 110, members: []};
    const {steps} = value((await planOn(host, wantedOn(host, ['example.com']))).change);
    expect(
      steps.find(step => step.kind === 'directory' && step.path === '/var/spool/postfix/opendkim'),
    ).toMatchObject({
      before: {state: 'present', mode: 0o750},
      owner: {user: 'opendkim', group: 'postfix'},
      mode: 0o2750,
    });
  });

  it('never overwrites a key', async () => {
    const host = fixtureHost('debian-13');
    host.files.put('/etc/dkimkeys/example.com/202611.private', 'another', {mode: 0o600, uid: 104, gid: 110});
    expect(await problemOf(host, wantedOn(host, ['example.com']))).toBe('key.exists');
    const other = fixtureHost('other-selector');
    const wanted = wantedOn(other, ['example.com'], {}, 'old');
    expect(await problemOf(other, wanted)).toBe('none');
    other.files.put('/etc/opendkim/keys/example.com/old.private', 'another', {
      mode: 0o600,
      uid: 104,
      gid: 110,
    });
    expect(await problemOf(other, wanted)).toBe('key.exists');
  });

  it('refuses a selector whose row names a key that is gone', async () => {
    const host = fixtureHost('other-selector');
    host.files.nodes.delete('/etc/opendkim/keys/example.com/old.private');
    expect(await problemOf(host, wantedOn(host, ['example.com'], {}, 'old'))).toBe('key.exists');
  });

  it('refuses the selector of a single key that moves, unless it is the same key', async () => {
    const host = fixtureHost('arch');
    const wanted = wantedOn(host, ['example.com'], {}, 'mail');
    host.files.put('/etc/opendkim/mail.private', testKey('mail'), {mode: 0o640, gid: 110});
    expect(await problemOf(host, wanted)).toBe('none');
    host.files.put('/etc/opendkim/mail.private', testKey('another'), {mode: 0o640, gid: 110});
    expect(await problemOf(host, wanted)).toBe('key.exists');
  });

  it('plans the one key once where it moves and is wanted', async () => {
    const host = fixtureHost('arch');
    const wanted = wantedOn(host, ['example.com'], {}, 'mail');
    host.files.put('/etc/opendkim/mail.private', testKey('mail'), {mode: 0o640, gid: 110});
    const {steps} = value((await planOn(host, wanted)).change);
    expect(steps.filter(step => step.id.endsWith('mail.private'))).toHaveLength(1);
    await carryOut(host, steps);
    expect(value((await planOn(host, wanted)).change).steps).toEqual([]);
  });

  it('refuses a label that belongs to somebody else, a domain named twice, odd answers', async () => {
    const host = fixtureHost('other-selector');
    host.files.put('/etc/opendkim/key.table', '202611._domainkey.example.com example.net:x:/k\n');
    expect(await problemOf(host, wantedOn(host, ['example.com']))).toBe('key.label-taken');
    const fresh = fixtureHost('debian-13');
    expect(await problemOf(fresh, wantedOn(fresh, ['example.com', 'example.com']))).toBe('domain.twice');
    expect(await problemOf(fresh, wantedOn(fresh, ['example.com'], {trustedHosts: ['10.0.0.1 # x']}))).toBe(
      'trusted-host.syntax',
    );
    expect(await problemOf(fresh, wantedOn(fresh, ['example.com'], {canonicalization: 'loose'}))).toBe(
      'canonicalization.syntax',
    );
  });

  it('keeps every octet of a file that is not UTF-8, and refuses what is no text', async () => {
    const host = fixtureHost('debian-13');
    const octets = Buffer.from([0x23, 0xe4, 0xff, 0x80, 0x0a]);
    host.files.put('/etc/opendkim.conf', octets);
    await carryOut(host, value((await planOn(host, wantedOn(host, ['example.com']))).change).steps);
    const after = await host.files.read(absolute('/etc/opendkim.conf'));
    expect(Buffer.from(after ?? []).subarray(0, octets.length)).toEqual(octets);
    host.files.put('/etc/opendkim.conf', Buffer.from('Syslog yes\n', 'utf16le'));
    expect(await problemOf(host, wantedOn(host, ['example.com']))).toBe('file.unreadable');
  });

  it('refuses a single-key form that tables cannot express', async () => {
    const host = fixtureHost('single-key');
    host.files.put('/etc/opendkim.conf', 'Domain *\nSelector a\nKeyFile /k\nSocket inet:8891@localhost\n');
    expect(await problemOf(host, wantedOn(host, ['example.com']))).toBe('opendkim.single-key-odd');
  });

  it('changes canonicalization only where it means something else', async () => {
    const host = fixtureHost('debian-13');
    const conf = async (canonicalization: string): Promise<string> =>
      textOf(
        value((await planOn(host, wantedOn(host, ['example.com'], {canonicalization}))).change).steps,
        '/etc/opendkim.conf',
      );
    expect(await conf('relaxed')).toMatch(/^Canonicalization\trelaxed\/simple$/m);
    expect(await conf('relaxed/relaxed')).toMatch(/^Canonicalization\trelaxed\/relaxed$/m);
  });

  it('adds trusted hosts, once', async () => {
    const host = fixtureHost('debian-13');
    const wanted = wantedOn(host, ['example.com'], {trustedHosts: ['192.0.2.0/24', '.example.com']});
    const {steps} = value((await planOn(host, wanted)).change);
    expect(textOf(steps, '/etc/opendkim/TrustedHosts')).toBe(
      '127.0.0.1\n::1\nlocalhost\n192.0.2.0/24\n.example.com\n',
    );
    await carryOut(host, steps);
    expect(value((await planOn(host, wanted)).change).steps).toEqual([]);
    const inline = fixtureHost('inline-tables');
    const more = value(
      (await planOn(inline, wantedOn(inline, ['example.com'], {trustedHosts: ['192.0.2.1']}))).change,
    );
    expect(textOf(more.steps, '/etc/opendkim.conf')).toMatch(
      /^InternalHosts 127\.0\.0\.1, ::1, 10\.0\.0\.0\/8, 192\.0\.2\.1$/m,
    );
  });

  it('leaves subdomains out where they are not wanted', async () => {
    const host = fixtureHost('debian-13');
    const {change} = await planOn(host, wantedOn(host, ['example.com'], {subdomains: false}));
    expect(candidateOf(value(change)).signingTable.text).toBe(
      '*@example.com 202611._domainkey.example.com\n',
    );
  });

  it('starts a stopped OpenDKIM although nothing else is to be done', async () => {
    const host = fixtureHost('debian-13');
    const wanted = wantedOn(host, ['example.com']);
    await carryOut(host, value((await planOn(host, wanted)).change).steps);
    host.units.set('opendkim.service', {...host.units.get('opendkim.service'), ActiveState: 'failed'});
    const {steps} = value((await planOn(host, wanted)).change);
    expect(steps.map(step => step.id)).toEqual(['check:opendkim', 'service:opendkim.service']);
    expect(steps.at(-1)).toMatchObject({wasActive: false});
  });

  it('names the user where neither file nor unit does', async () => {
    const host = fixtureHost('debian-13');
    host.files.put('/etc/opendkim.conf', 'Socket inet:8891@localhost\nPidFile /run/opendkim/opendkim.pid\n');
    const {steps} = value((await planOn(host, wantedOn(host, ['example.com']))).change);
    expect(textOf(steps, '/etc/opendkim.conf')).toMatch(/^UserID +opendkim$/m);
  });

  it('uses the init script and postfix reload without systemd', async () => {
    const host = fixtureHost('debian-13');
    host.files.nodes.delete('/run/systemd/system');
    host.files.put('/etc/init.d/opendkim', '', {mode: 0o755});
    const {steps} = value((await planOn(host, wantedOn(host, ['example.com']))).change);
    const argvs = steps.flatMap(step => (step.kind === 'service' ? [step.argv.join(' ')] : []));
    expect(argvs).toEqual(['service opendkim restart', 'postfix reload']);
  });

  it('keeps owner and mode of what it edits, and follows symlinks', async () => {
    const host = fixtureHost('hosting');
    host.files.put('/srv/mail/main.cf', host.files.text('/srv/mail/main.cf'), {mode: 0o640, uid: 0, gid: 8});
    const {steps} = value((await planOn(host, wantedOn(host, ['example.com']))).change);
    expect(steps.find(step => step.id === 'file:/srv/mail/main.cf')).toMatchObject({
      after: {owner: {user: 'root', group: 'mail'}, mode: 0o640},
    });
    await carryOut(host, steps);
    expect(host.files.nodes.get('/etc/postfix/main.cf')?.kind).toBe('symlink');
  });

  it('has no secret in the plan', async () => {
    const host = fixtureHost('arch');
    const {facts, snapshot, change} = await planOn(host, wantedOn(host, ['example.com']));
    expect(JSON.stringify([facts, snapshot, change])).not.toContain('PRIVATE KEY');
  });

  it('has a candidate that stands alone, with the staged key', async () => {
    const host = fixtureHost('included');
    const candidate = candidateOf(value((await planOn(host, wantedOn(host, ['example.com']))).change));
    expect(candidate.configText).not.toMatch(/^Include/m);
    expect(candidate.configText).toMatch(/^Mode sv$/m);
    expect(candidate.keyTable.text).toContain(':/etc/dkimkeys/example.com/202611.private');
    expect(candidate.keys).toEqual([
      {
        path: '/etc/dkimkeys/example.com/202611.private',
        from: '/var/lib/waxseal/staged/example.com.202611.pem',
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    ]);
  });
});

describe('planSigning for many domains', () => {
  /** What a plan for `count` domains costs: reads of the host, steps, octets of the tables. */
  async function work(count: number) {
    const host = fixtureHost('debian-13');
    const wanted = wantedOn(
      host,
      Array.from({length: count}, (_, at) => `d${String(at).padStart(5, '0')}.example.org`),
    );
    let reads = 0;
    const counted = {
      ...host,
      files: new Proxy(host.files, {
        get(files, name) {
          if (['read', 'stat', 'list', 'resolve'].includes(String(name))) reads += 1;
          const member: unknown = Reflect.get(files, name, files);
          return typeof member === 'function' ? member.bind(files) : member;
        },
      }),
    };
    const {change} = await planOn(counted, wanted);
    const {steps} = value(change);
    const {keyTable, signingTable} = candidateOf(value(change));
    return {
      host,
      wanted,
      steps,
      cost: [reads, steps.length, keyTable.text.length, signingTable.text.length],
    };
  }

  it('costs the same for each further domain', async () => {
    const [none, some, many] = [await work(100), await work(600), await work(1100)];
    const more = (from: readonly number[], to: readonly number[]) =>
      to.map((octets, at) => octets - (from[at] ?? 0));
    expect(more(some.cost, many.cost)).toEqual(more(none.cost, some.cost));
  });

  it('plans 10,000 at once, and nothing the second time', async () => {
    const {host, wanted, steps} = await work(10_000);
    expect(steps).toHaveLength(20_000 + 11);
    await carryOut(host, steps);
    expect(value((await planOn(host, wanted)).change).steps).toEqual([]);
  });
});

describe('an end of signing', () => {
  async function removal(host: FakeHost, names: readonly string[]) {
    const facts = await lookAtHost(host);
    return planChange(facts, await readConfiguration(host, facts), {stop: names.map(domain)});
  }

  it('takes the rows out and leaves key and other domains', async () => {
    const host = fixtureHost('tables-of-others');
    await carryOut(host, value((await planOn(host, wantedOn(host, ['example.com']))).change).steps);
    const {steps} = value(await removal(host, ['example.com']));
    expect(steps.map(step => step.id)).toEqual([
      'file:/etc/opendkim/signing.table',
      'file:/etc/opendkim/key.table',
      'check:opendkim',
      'service:opendkim.service',
    ]);
    await carryOut(host, steps);
    const untouched = fixtureHost('tables-of-others');
    for (const path of ['/etc/opendkim/signing.table', '/etc/opendkim/key.table']) {
      expect(host.files.text(path)).toBe(untouched.files.text(path));
    }
    expect(await host.files.stat(absolute('/etc/dkimkeys/example.com/202611.private'))).toBeDefined();
    expect(value(await removal(host, ['example.com'])).steps).toEqual([]);
  });

  it('keeps a key row that another domain still uses', async () => {
    const host = fixtureHost('other-selector');
    host.files.put(
      '/etc/opendkim/signing.table',
      '*@example.com k\n*@example.org shared\n*@example.net shared\n',
    );
    host.files.put('/etc/opendkim/key.table', 'k example.com:a:/k\nshared %:b:/k\n');
    const {steps} = value(await removal(host, ['example.org']));
    expect(textOf(steps, '/etc/opendkim/signing.table')).toBe('*@example.com k\n*@example.net shared\n');
    expect(steps.some(step => step.id === 'file:/etc/opendkim/key.table')).toBe(false);
  });

  const config = async (host: FakeHost, names: readonly string[]): Promise<string> =>
    textOf(value(await removal(host, names)).steps, '/etc/opendkim.conf');

  it('comments the single-key form out, or takes a name from its list', async () => {
    expect(await config(fixtureHost('single-key'), ['example.com'])).toMatch(
      /^#Domain\t+example\.com\n#Selector\t+2020 .*\n#KeyFile\t/m,
    );
    expect(value(await removal(fixtureHost('single-key'), ['example.net'])).steps).toEqual([]);
    const two = fixtureHost('single-key-two-domains');
    expect(await config(two, ['example.net'])).toMatch(/^Domain\t+example\.edu\nSelector\t/m);
    expect(await config(two, ['example.net', 'example.edu'])).toMatch(/^#Domain\t/m);
  });

  it('takes names out of a file of domains', async () => {
    const host = fixtureHost('single-key');
    host.files.put('/etc/opendkim.conf', 'Domain /etc/domains\nSelector a\nKeyFile /k\n');
    host.files.put('/etc/domains', 'example.net\nexample.com # ours\n');
    const {steps} = value(await removal(host, ['example.com']));
    expect(textOf(steps, '/etc/domains')).toBe('example.net\n');
    expect(textOf(steps, '/etc/opendkim.conf')).toBe('');
    const all = value(await removal(host, ['example.com', 'example.net'])).steps;
    expect(textOf(all, '/etc/opendkim.conf')).toBe('#Domain /etc/domains\n#Selector a\n#KeyFile /k\n');
  });

  it('leaves inline tables inline', async () => {
    const host = fixtureHost('debian-13');
    const conf = (keys: string, signing: string): void =>
      host.files.put(
        '/etc/opendkim.conf',
        `KeyTable csl:${keys} # k\nSigningTable ${signing}\nSocket inet:8891@localhost\n`,
      );
    conf('a=example.com:s:/k, b=example.net:s:/k', 'example.com=a, example.net=b');
    expect(await config(host, ['example.com'])).toBe(
      'KeyTable csl:b=example.net:s:/k # k\nSigningTable example.net=b\nSocket inet:8891@localhost\n',
    );
    expect(await config(host, ['example.com', 'example.net'])).toMatch(/^#KeyTable .*\n#SigningTable /);
  });
});

describe('one key for several domains', () => {
  it('is put in place once, named by each row, and serves a later domain', async () => {
    const host = fixtureHost('debian-13');
    const [first, second, third] = wantedOn(host, ['a.example', 'b.example', 'c.example']).sign;
    if (first === undefined || second === undefined || third === undefined) throw new TypeError('three');
    const shared = [first, {...second, key: first.key}].map(want => ({...want, shared: true}));
    const wanted = {...wantedOn(host, []), sign: shared};
    const change = value((await planOn(host, wanted)).change);
    const {steps} = change;
    const keys = steps.filter(step => step.id.endsWith('.private'));
    expect(keys.map(step => step.id)).toEqual(['file:/etc/dkimkeys/shared/202611.private']);
    expect(textOf(steps, '/etc/opendkim/KeyTable')).toBe(
      '202611._domainkey.a.example a.example:202611:/etc/dkimkeys/shared/202611.private\n' +
        '202611._domainkey.b.example b.example:202611:/etc/dkimkeys/shared/202611.private\n',
    );
    const {stagedPath: from, sha256} = first.key;
    expect(candidateOf(change).keys).toEqual([{path: '/etc/dkimkeys/shared/202611.private', from, sha256}]);
    await carryOut(host, steps);
    expect(value((await planOn(host, wanted)).change).steps).toEqual([]);
    const later = {...wanted, sign: [{...third, key: first.key, shared: true}]};
    const more = value((await planOn(host, later)).change).steps;
    expect(more.map(step => step.id).filter(id => id.startsWith('file:'))).toEqual([
      'file:/etc/opendkim/KeyTable',
      'file:/etc/opendkim/SigningTable',
    ]);
  });

  it('refuses two keys for one place', async () => {
    const host = fixtureHost('debian-13');
    const wanted = wantedOn(host, ['a.example', 'b.example']);
    const sign = wanted.sign.map((want, at) => ({
      ...want,
      shared: true,
      key: {...want.key, sha256: String(at)},
    }));
    expect(await problemOf(host, {...wanted, sign})).toBe('key.exists');
  });
});

describe('RequireSafeKeys', () => {
  it('refuses a way to the keys that OpenDKIM would not trust', async () => {
    const host = fixtureHost('debian-13');
    host.files.directory('/srv', {mode: 0o775, gid: 8});
    host.files.directory('/srv/dkim', {mode: 0o700, uid: 104, gid: 110});
    host.files.nodes.delete('/etc/dkimkeys');
    host.files.symlink('/etc/dkimkeys', '/srv/dkim');
    const wanted = wantedOn(host, ['example.com']);
    // Group mail has a user, if only as primary group.
    expect(await problemOf(host, wanted)).toBe('key.unsafe-directory');
    host.files.directory('/srv', {mode: 0o757});
    expect(await problemOf(host, wanted)).toBe('key.unsafe-directory');
    host.files.directory('/srv', {mode: 0o755, uid: 105});
    expect(await problemOf(host, wanted)).toBe('key.unsafe-directory');
    const before = host.files.text('/etc/opendkim.conf');
    host.files.put('/etc/opendkim.conf', `${before}RequireSafeKeys no\n`);
    expect(await problemOf(host, wanted)).toBe('none');
    host.files.put('/etc/opendkim.conf', before);
    host.files.directory('/srv', {mode: 0o755});
    expect(await problemOf(host, wanted)).toBe('none');
  });

  it('puts right what is its own', async () => {
    const host = fixtureHost('debian-13');
    host.files.directory('/etc/dkimkeys', {mode: 0o777});
    const {steps} = value((await planOn(host, wantedOn(host, ['example.com']))).change);
    expect(steps.find(step => step.id === 'directory:/etc/dkimkeys')).toMatchObject({mode: 0o700});
  });
});
