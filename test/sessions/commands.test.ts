import {readFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';
import {hostTree, openWorld, pemOf, type World} from '../demo/world.ts';
import {violations} from '../support/json-schema.ts';
import {reportSchema} from '../support/report-schema.ts';

const ready = async (): Promise<World> => {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  return world;
};

const domainsOf = async (world: World): Promise<readonly string[]> =>
  (await world.run(['status', '--json'])).report.domains.map(({selector, state}) => `${selector} ${state}`);

describe('rotate', () => {
  it('lets a new selector sign and retires the old one, which stays published', async () => {
    const world = await ready();
    const first = await world.run(['rotate', '--yes', '--no-wait', '--json']);
    expect(first.exitCode, first.err).toBe(3);
    expect(first.report).toMatchObject({
      command: 'rotate',
      domains: [{selector: '202611a', state: 'pending'}],
    });
    expect(await domainsOf(world)).toEqual(['202611 active', '202611a pending']);
    // The old key signs on while the new one waits.
    expect((await world.run(['test', '--json'])).exitCode).toBe(0);

    world.publish(first.report);
    // Seen by every server, but caches may still remember that nothing was there: not in two minutes.
    const early = await world.run(['rotate', '--yes', '--wait', '2m', '--json']);
    expect(early.exitCode, early.err).toBe(3);
    expect(await domainsOf(world)).toEqual(['202611 active', '202611a ready']);
    world.clock.advance(11 * 60_000);
    const second = await world.run(['rotate', '--yes', '--wait', '2m', '--json']);
    expect(second.exitCode, second.err).toBe(0);
    expect(await domainsOf(world)).toEqual(['202611 retiring', '202611a active']);
    const explained = await world.run(['explain', 'alice@example.org']);
    expect(explained.out).toContain('signed by selector 202611a for example.org');

    const undone = await world.run(['undo', '--yes']);
    expect(undone.exitCode, undone.err).toBe(0);
    expect(await domainsOf(world)).toEqual(['202611 active', '202611a ready']);
    expect((await world.run(['explain', 'alice@example.org'])).out).toContain('selector 202611 for');
  });

  it('is undone to the last though a newer key is on its way already', async () => {
    const world = await ready();
    world.publish((await world.run(['rotate', '--yes', '--no-wait', '--json'])).report);
    expect((await world.run(['rotate', '--yes', '--wait', '2m', '--json'])).exitCode).toBe(3);
    world.clock.advance(11 * 60_000);
    expect((await world.run(['rotate', '--yes', '--wait', '2m', '--json'])).exitCode).toBe(0);
    expect((await world.run(['rotate', '--yes', '--no-wait', '--json'])).exitCode).toBe(3);
    const undone = await world.run(['undo', '--yes', '--json']);
    expect(undone.exitCode, undone.err).toBe(0);
    expect(undone.err).not.toContain('warning');
    expect(await domainsOf(world)).toEqual(['202611 active', '202611a retiring', '202611b pending']);
  });

  it('needs a key that signs', async () => {
    const world = await openWorld();
    const run = await world.run(['rotate', '--yes', '--json']);
    expect(run.exitCode).toBe(2);
    expect(run.report.error?.id).toBe('rotate.none');
  });
});

describe('remove', () => {
  it('shows, then stops signing, proves it, and keeps the record in its notes', async () => {
    const world = await ready();
    const before = await hostTree(world.sandbox);
    const dry = await world.run(['remove', '--domain', 'example.org', '--dry-run', '--json']);
    expect(dry.exitCode).toBe(0);
    expect(dry.report.changes.length).toBeGreaterThan(1);
    expect(await hostTree(world.sandbox)).toEqual(before);

    const run = await world.run(['remove', '--domain', 'example.org', '--yes', '--json']);
    expect(run.exitCode, run.err).toBe(0);
    expect(run.report).toMatchObject({changed: true, checks: [{id: 'remove.unsigned', status: 'pass'}]});
    expect(await domainsOf(world)).toEqual(['202611 retiring']);
    const explained = await world.run(['explain', 'alice@example.org', '--json']);
    expect(explained.exitCode).toBe(4);

    const again = await world.run(['remove', '--domain', 'example.org', '--yes']);
    expect(again.out).toContain('Nothing to remove');
    expect((await world.run(['undo', '--yes'])).exitCode).toBe(0);
    expect(await hostTree(world.sandbox)).toEqual(before);
    expect(await domainsOf(world)).toEqual(['202611 active']);
  });

  it('asks on a terminal and takes an ended input for a no', async () => {
    const world = await ready();
    const before = await hostTree(world.sandbox);
    for (const input of ['n\n', '']) {
      const run = await world.run(['remove', '--domain', 'example.org'], {terminal: true, input});
      expect(run.exitCode).toBe(9);
    }
    expect(await hostTree(world.sandbox)).toEqual(before);
    const run = await world.run(['remove', '--domain', 'example.org'], {terminal: true, input: 'yes\n'});
    expect(run.exitCode, run.err).toBe(0);
  });

  it('needs a domain, and somebody who agrees', async () => {
    const world = await ready();
    expect((await world.run(['remove'])).err).toContain('--domain is missing');
    const run = await world.run(['remove', '--domain', 'example.org', '--json']);
    expect(run.exitCode).toBe(2);
    expect(run.report.error?.hint).toContain('--yes');
  });
});

describe('undo', () => {
  it('lists, shows and names what it cannot undo', async () => {
    const world = await ready();
    const list = await world.run(['undo', '--list']);
    expect(list.out).toMatch(/^\S+ {2}2026-11-21T\S+ {2}DKIM for example\.org\b.*\n$/);
    const run = list.out.split(' ')[0] ?? '';
    expect((await world.run(['undo', '--dry-run', run])).out).toContain('/etc/opendkim.conf');
    expect((await world.run(['undo', '--id', 'nonsense'])).exitCode).toBe(2);
    const {files} = world.sandbox.ports;
    const conf = '/etc/opendkim/KeyTable' as Parameters<typeof files.read>[0];
    const text = Buffer.from((await files.read(conf)) ?? []).toString();
    await files.replace(conf, Buffer.from(`${text}# mine\n`), {mode: 0o644, uid: 0, gid: 0});
    const refused = await world.run(['undo', '--yes', '--json']);
    expect(refused.exitCode).toBe(6);
    expect(refused.report.error?.message).toContain('/etc/opendkim/KeyTable');
    expect(Buffer.from((await files.read(conf)) ?? []).toString()).toContain('# mine');
  });

  it('has nothing to do on a fresh host', async () => {
    const world = await openWorld();
    expect((await world.run(['undo'])).out).toBe('Nothing to undo.\n');
  });
});

describe('what only looks', () => {
  it('status, record, check, test and explain tell of a host that is set up', async () => {
    const world = await ready();
    const before = await hostTree(world.sandbox, /(?!)/);
    expect((await world.run(['status'])).out).toMatch(/^example\.org {2}202611 {2}rsa 2048 {2}active\n/);
    expect((await world.run(['status', '--verbose'])).out).toContain('pending -> ready  servers-agree');
    const record = await world.run(['record', '--format', 'zone']);
    expect(record.out).toMatch(/^202611\._domainkey\.example\.org\. 3600 IN TXT "v=DKIM1/);
    const batch = await world.run(['record', '--format', 'route53']);
    expect(JSON.parse(batch.out).Changes[0].ResourceRecordSet.Name).toBe('202611._domainkey.example.org.');
    const alias = await world.run(['record', '--format', 'cname', '--target', 'keys.example.net']);
    expect(alias.out).toContain(
      '202611._domainkey.example.org. 3600 IN CNAME 202611.example.org.keys.example.net.\n',
    );
    expect((await world.run(['record', '--format', 'cname'])).err).toContain('--target');
    expect((await world.run(['record', '--selector', 'other'])).exitCode).toBe(2);
    const check = await world.run(['check', '--json']);
    expect(check.exitCode, check.out).toBe(0);
    expect(check.report.checks.map(({id, status}) => `${id} ${status}`)).toEqual([
      'host pass',
      'mail.signed pass',
      'mail.socket pass',
      'host.key-in-use pass',
      'dns.record pass',
      'live.milter pass',
    ]);
    const records = await world.run(['check', '--dns']);
    expect(records.exitCode, records.out).toBe(0);
    expect(records.out).toMatch(
      /^ok {4}Record 202611\._domainkey\.example\.org: \d of \d name servers\n\nAdvice beside DKIM:\n/,
    );
    expect(records.out).toMatch(/\n1 of 1 right, 0 wrong/);
    expect(records.out).toContain('DMARC of example.org, stage p=reject');
    expect(check.report.advice.map(({id}) => id)).toContain('dmarc.stage-none');
    expect(check.report.advice.filter(({status}) => status === 'fail')).toEqual([]);
    const wrong = await world.run([
      'check',
      '--dns',
      '--domain',
      'example.org',
      '--selector',
      'none',
      '--json',
    ]);
    expect(wrong.exitCode).toBe(4);
    expect(wrong.report.checks).toMatchObject([{id: 'dns.record', status: 'fail'}]);
    expect(violations(reportSchema, wrong.report)).toEqual([]);
    expect((await world.run(['check', '--dns', '--domain', 'example.net'])).err).toContain('--selector');
    const test = await world.run(['test', '--json']);
    expect(test.exitCode, test.out).toBe(0);
    expect(test.report.checks).toHaveLength(4);
    const explain = await world.run(['explain', 'Alice@Example.ORG']);
    expect(explain.exitCode).toBe(0);
    expect(explain.out).toContain('by the row "*@example.org"');
    expect(explain.out).toContain('with the key /etc/dkimkeys/example.org/202611.private');
    // A test that passed is noted, and nothing else.
    const after = Object.entries(await hostTree(world.sandbox, /(?!)/)).map(
      ([path, text]) => [path, text.replace(/\n *"provenAt": "[^"]*",/, '')] as const,
    );
    expect(Object.fromEntries(after)).toEqual(before);
    expect(world.sandbox.mailer.queue.size).toBe(0);
  });

  it.each([
    [['explain', 'alice@example.org', '--client', '192.0.2.7'], 4, 'not signed'],
    [['explain', 'alice@example.org', '--client', '192.0.2.7', '--authenticated'], 0, 'signed by selector'],
    [['explain', 'alice@example.net'], 4, 'not signed'],
    [['explain', 'alice'], 2, 'is not a mail address'],
    [['explain'], 2, 'The address is missing'],
    [['explain', 'a@example.org', '--client', '300.1.1.1'], 2, 'is not an IP address'],
    [['explain', 'a@example.org', 'b@example.org'], 2, 'one word too many'],
    [['test', '--domain', 'example.net'], 4, 'is not signed on this host'],
    [['check', '--domain', 'example.net'], 4, 'is not signed on this host'],
    [['status', '--domain', 'example.net'], 2, 'has no key for example.net'],
  ] as const)('%j ends with exit %i', async (argv, exitCode, words) => {
    const world = await ready();
    const run = await world.run(argv);
    expect(run.exitCode, run.out + run.err).toBe(exitCode);
    expect(run.out + run.err).toContain(words);
  });

  it('check finds a key that lost its row and a record that is gone', async () => {
    const world = await ready();
    world.sandbox.dns.withdraw('202611._domainkey.example.org');
    const {files} = world.sandbox.ports;
    const table = '/etc/opendkim/SigningTable' as Parameters<typeof files.read>[0];
    await files.replace(table, Buffer.from('*@example.net nothing\n'), {mode: 0o644, uid: 0, gid: 0});
    world.clock.advance(60_000);
    const run = await world.run(['check', '--json']);
    expect(run.exitCode).toBe(4);
    const failed = run.report.checks.filter(({status}) => status === 'fail');
    expect(failed.map(({id}) => id)).toContain('host.key-in-use');
    expect(failed.map(({title}) => title)).toContain('Record 202611._domainkey.example.org');
    for (const {cause, fix} of failed) expect(`${cause}${fix}`).not.toBe('');
  });

  it('check warns on a host where nothing is signed', async () => {
    const world = await openWorld();
    const run = await world.run(['check', '--json']);
    expect(run.exitCode).toBe(4);
    expect(run.report.checks.at(-1)).toMatchObject({id: 'host.signs-nothing', status: 'warn'});
  });
});

describe('without root', () => {
  it.each([
    ['setup', '--domain', 'example.org', '--yes'],
    ['rotate', '--yes'],
    ['remove', '--domain', 'example.org', '--yes'],
    ['undo', '--yes'],
    ['undo', '--list'],
    ['test'],
    ['check'],
    ['explain', 'a@example.org'],
  ])('%s ends with exit 5 and asks for sudo', async (...argv) => {
    const world = await openWorld();
    const before = await hostTree(world.sandbox, /(?!)/);
    const run = await world.run([...argv, '--json'], {privileged: false});
    expect(run.exitCode).toBe(5);
    expect(run.report.error?.id).toBe('host.not-root');
    expect(run.report.error?.hint).toContain('sudo');
    expect(run.report.command).toBe(argv[0]);
    expect(await hostTree(world.sandbox, /(?!)/)).toEqual(before);
  });
});

describe('sign and verify', () => {
  const message = 'From: a@example.org\nTo: b@example.net\nSubject: hello\n\nbody\n';

  it('sign what verify takes, with LF and CRLF', async () => {
    const world = await openWorld();
    writeFileSync(path.join(world.home, 'key.pem'), pemOf({algorithm: 'rsa', bits: 2048}));
    const argv = ['sign', '--key', 'key.pem', '--domain', 'example.org', '--selector', 's1'];
    const [lf, crlf] = [message, message.replaceAll('\n', '\r\n')].map(input => world.run(argv, {input}));
    const signed = (await lf)?.out ?? '';
    expect((await crlf)?.out.replace(/^DKIM-Signature: (?:.*\r\n[ \t])*.*\r\n/, '')).toBe(
      message.replaceAll('\n', '\r\n'),
    );
    const {createPrivateKey, createPublicKey} = await import('node:crypto');
    const der = createPublicKey(createPrivateKey(readFileSync(path.join(world.home, 'key.pem'))));
    const record = `v=DKIM1; p=${der.export({type: 'spki', format: 'der'}).toString('base64')}`;
    const verify = (input: string) => world.run(['verify', '--record', record, '--json'], {input});
    expect((await verify(signed)).report).toMatchObject({result: 'ok', exitCode: 0, command: 'verify'});
    expect((await verify(signed.replaceAll('\r\n', '\n'))).exitCode).toBe(0);
    for (const file of ['-', '/dev/stdin']) {
      const run = await world.run(['verify', '--record', record, file], {input: signed});
      expect(run.exitCode).toBe(0);
    }
    const broken = await verify(signed.replace('body', 'b0dy'));
    expect(broken.exitCode).toBe(4);
    expect(broken.report.checks[0]?.cause).toContain('bh');
    expect((await verify(message)).report.checks[0]?.evidence).toBe('no DKIM-Signature field');
  });

  it('give the signature alone as JSON, and keep the first line of an mbox first', async () => {
    const world = await openWorld();
    writeFileSync(path.join(world.home, 'key.pem'), pemOf({algorithm: 'ed25519'}));
    const argv = ['sign', '--key', 'key.pem', '--domain', 'example.org', '--selector', 's1'];
    const {report, exitCode} = await world.run([...argv, '--json'], {input: message});
    expect(exitCode).toBe(0);
    expect(report).toMatchObject({command: 'sign', result: 'ok', checks: [{id: 'sign.signature'}]});
    const field = report.checks[0]?.evidence ?? '';
    expect(field).toMatch(/^DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed\/relaxed;/);
    const line = 'From a@example.org Mon Jan  1 00:00:00 2024';
    const {out} = await world.run(argv, {input: `${line}\n${message}`});
    const [first, ...rest] = out.split(/\r\n(?![ \t])/);
    expect(first).toBe(line);
    expect(rest[0]).toMatch(/^DKIM-Signature: v=1;/);
    expect(rest.slice(1).join('\n')).toBe(message);
  });

  it('tells what passed but nobody signed, and what was hashed', async () => {
    const world = await openWorld();
    writeFileSync(path.join(world.home, 'key.pem'), pemOf({algorithm: 'rsa', bits: 2048}));
    const {createPrivateKey, createPublicKey} = await import('node:crypto');
    const key = createPrivateKey(readFileSync(path.join(world.home, 'key.pem')));
    const record = `v=DKIM1; t=y; p=${createPublicKey(key).export({type: 'spki', format: 'der'}).toString('base64')}`;
    const {signMessageSync} = await import('../../src/dkim/index.ts');
    const {parseDomain, parseSelector} = await import('../../src/domain/names.ts');
    const [domain, selector] = [parseDomain('example.org'), parseSelector('s1')];
    if (!domain.ok || !selector.ok) throw new TypeError('no names');
    const mail = `${message.replaceAll('\n', '\r\n')}${'more\r\n'.repeat(1000)}`;
    const field = signMessageSync(Buffer.from(mail), {
      domain: domain.value,
      selector: selector.value,
      key,
      oversign: [],
      bodyLength: 'whole',
    });
    const input = `From: b@example.org\r\n${field}\r\n${mail}added\r\n`;
    const argv = ['verify', '--record', record, '--explain'];
    const {out, exitCode} = await world.run(argv, {input});
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^pass {2}d=example.org s=s1 a=rsa-sha256\n {6}The signature is good\./);
    expect(out).toContain('      note: l= leaves 7 octets unsigned. (RFC 6376 §8.2)\n');
    expect(out).toContain('      note: The message has 2 From fields. (RFC 6376 §8.15)\n');
    expect(out).toContain('      note: The key is published as a test (t=y). (RFC 6376 §3.6.1)\n');
    expect(out).toContain('      body hash input (6006 octets)');
    expect(out).toContain('      (only the first 4096 octets are shown)\n');
    const {checks} = (await world.run([...argv, '--json'], {input})).report;
    expect(checks.map(({id, status}) => `${id} ${status}`)).toEqual([
      'verify.signature warn',
      'verify.header-input skip',
      'verify.body-input skip',
    ]);
    expect(checks[0]?.cause).toContain('note.from-twice');
    const [, length, base64] = /^(\d+) octets, .* base64 (\S+)$/.exec(checks[1]?.evidence ?? '') ?? [];
    const signed = Buffer.from(base64 ?? '', 'base64').toString('latin1');
    expect(signed).toMatch(/^from:a@example\.org\r\n.*; b=$/s);
    expect(signed.length).toBe(Number(length));
    expect(out).toContain(`header hash input (${length} octets, SHA-256 `);
  });

  it.each([
    [['sign', '--domain', 'example.org', '--selector', 's'], '--key is missing'],
    [['sign', '--key', 'none.pem', '--domain', 'example.org', '--selector', 's'], 'no file none.pem'],
    [['verify', 'none.eml'], 'no file none.eml'],
    [['verify', '/dev/fd/63'], 'Give a pipe on standard input instead.'],
    [['verify', 'one.eml', 'two.eml'], 'one word too many'],
  ] as const)('%j is refused with exit 2', async (argv, words) => {
    const world = await openWorld();
    const run = await world.run(argv, {input: message});
    expect(run.exitCode).toBe(2);
    expect(run.err).toContain(words);
  });
});

describe('flags of every command', () => {
  it.each([
    [['setup', '--signer', 'rspamd'], '--signer rspamd'],
    [['setup', '--mta', 'sendmail'], '--mta sendmail'],
    [['setup', '--tables', 'pgsql'], '--tables pgsql'],
    [['setup', '--color', 'pink'], '--color pink'],
    [['setup', '--wait', '1m', '--no-wait'], 'exclude each other'],
    [['setup', '--wait', 'soon'], 'is not a duration'],
    [['setup', '--domain', 'ex ample', '--yes'], 'is not a mail domain'],
    [['setup', '--domain', 'example.org', '--selector', '-x', '--yes'], 'selector'],
    [['setup', '--domain', 'example.org', '--bits', '1024', '--yes'], '--bits'],
    [['setup', '--resolver', 'nobody'], 'address of a resolver'],
    [['status', '--config', 'missing.conf'], 'no file missing.conf'],
    [['status', 'more'], 'one word too many'],
    [[], 'no terminal'],
  ] as const)('%j ends with exit 2 and one clear sentence', async (argv, words) => {
    const world = await openWorld();
    const run = await world.run([...argv]);
    expect(run.exitCode, run.err).toBe(2);
    expect(run.err).toContain(words);
    expect(run.err).not.toMatch(/\n {4}at /);
    const json = await world.run([...argv, '--json']);
    expect(json.report.command).toBe(argv[0] ?? 'setup');
    expect(violations(reportSchema, json.report)).toEqual([]);
  });

  it.each([
    [['--json', 'stauts'], 'stauts'],
    [['--json', '--domain', 'example.org', 'rotate', '--bogus'], 'rotate'],
    [['--json', '--bogus'], 'setup'],
  ] as const)('%j names the command that was asked for: %s', async (argv, command) => {
    const world = await openWorld();
    expect((await world.run(argv)).report).toMatchObject({command, exitCode: 2, result: 'failed'});
  });

  it('--log-file keeps what was said, private to its owner; --quiet says nothing on the way', async () => {
    const world = await openWorld();
    const run = await world.run([
      'setup',
      ...['--domain', 'example.org', '--yes', '--no-wait', '--quiet', '--log-file', 'run.log'],
    ]);
    expect(run.exitCode).toBe(3);
    expect(run.out).toBe('');
    expect(run.err).toMatch(/^pending: /);
    await expect
      .poll(() => readFileSync(path.join(world.home, 'run.log'), 'utf8'))
      .toContain('ended with exit code 3');
    const log = readFileSync(path.join(world.home, 'run.log'), 'utf8');
    expect(log).toContain('Key made and tested: example.org');
    expect(log).not.toContain('PRIVATE KEY');
  });

  it('--config gives flags that the command line overrides', async () => {
    const world = await openWorld();
    writeFileSync(
      path.join(world.home, 'w.conf'),
      'domain = example.org\nselector = fromfile\nyes\nno-wait\n',
    );
    const run = await world.run(['setup', '--config', 'w.conf', '--selector', 'mine', '--json']);
    expect(run.exitCode, run.err).toBe(3);
    expect(run.report.domains).toMatchObject([{domain: 'example.org', selector: 'mine'}]);
  });

  it('--verbose tells which commands are run', async () => {
    const world = await openWorld();
    const run = await world.run(['check', '--verbose']);
    expect(run.err).toContain('run: postconf -n -> 0');
  });

  it('--domains-file adds domains', async () => {
    const world = await openWorld();
    writeFileSync(path.join(world.home, 'list'), '# ours\nexample.org\n mail.example.org # too\n');
    const run = await world.run(['setup', '--domains-file', 'list', '--yes', '--no-wait', '--json']);
    expect(run.report.domains.map(({domain}) => domain)).toEqual(['example.org', 'mail.example.org']);
  });
});
