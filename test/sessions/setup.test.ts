import {readFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {inspectKey} from '../../src/keys/index.ts';
import {hostTree, NOTHING_LEFT_OUT, openWorld, pemOf, type World} from '../demo/world.ts';

const checksOf = ({report}: {report: {checks: readonly {id: string; status: string}[]}}): readonly string[] =>
  report.checks.map(({id, status}) => `${id} ${status}`);

const PROOF = ['live.milter pass', 'live.socket-access pass', 'live.sendmail pass', 'live.smtp pass'];

const statesOf = async (world: World): Promise<readonly string[]> =>
  (await world.run(['status', '--json'])).report.domains.map(
    ({domain, selector, state}) => `${domain} ${selector} ${state}`,
  );

describe('setup by flags', () => {
  it('makes a key, ends with exit 3, and goes on with the same key once the record is there', async () => {
    const world = await openWorld();
    const before = await hostTree(world.sandbox);
    const first = await world.run(['setup', '--domain', 'example.org', '--yes', '--no-wait', '--json']);
    expect(first.exitCode).toBe(3);
    expect(first.report).toMatchObject({
      command: 'setup',
      result: 'pending',
      changed: false,
      error: {id: 'record.pending'},
      domains: [{domain: 'example.org', selector: '202611', algorithm: 'rsa', bits: 2048, state: 'pending'}],
    });
    expect(await hostTree(world.sandbox)).toEqual(before);

    world.publish(first.report);
    const second = await world.run(['setup', '--domain', 'example.org', '--yes', '--wait', '2m', '--json']);
    expect(second.err).toContain('Set up and tested: example.org');
    expect(second.exitCode).toBe(0);
    expect(second.report).toMatchObject({result: 'ok', changed: true, error: null});
    expect(second.report.domains[0]?.record).toEqual(first.report.domains[0]?.record);
    expect(second.report.domains[0]).toMatchObject({
      state: 'active',
      keyPath: '/etc/dkimkeys/example.org/202611.private',
    });
    expect(checksOf(second)).toEqual([
      'preflight.keys pass',
      'preflight.start pass',
      'preflight.signs pass',
      ...PROOF,
    ]);
    expect(JSON.stringify(second.report)).not.toContain('PRIVATE KEY');
  });

  it('changes nothing the second time and says so', async () => {
    const world = await openWorld();
    expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
    const before = await hostTree(world.sandbox, NOTHING_LEFT_OUT);
    for (const more of [[], ['--selector', '202611']]) {
      const again = await world.run(['setup', '--domain', 'example.org', '--yes', '--json', ...more]);
      expect(again.exitCode).toBe(0);
      expect(again.report).toMatchObject({result: 'ok', changed: false, changes: []});
      expect(again.err).toContain('Nothing had to be changed; the live test passed');
      expect(checksOf(again)).toEqual(PROOF);
      expect(await hostTree(world.sandbox, NOTHING_LEFT_OUT)).toEqual(before);
    }
  });

  it('undoes byte for byte, and sets up again with the same key', async () => {
    const world = await openWorld();
    const before = await hostTree(world.sandbox);
    expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
    const after = await hostTree(world.sandbox);
    expect(after).not.toEqual(before);

    const undone = await world.run(['undo', '--yes', '--json']);
    expect(undone.exitCode).toBe(0);
    expect(undone.report.changed).toBe(true);
    expect(await hostTree(world.sandbox)).toEqual(before);
    expect(await statesOf(world)).toEqual(['example.org 202611 ready']);

    const again = await world.run(['setup', '--domain', 'example.org', '--yes', '--json', '--wait', '1m']);
    expect(again.exitCode).toBe(0);
    expect(again.report).toMatchObject({changed: true, domains: [{selector: '202611', state: 'active'}]});
    expect(await hostTree(world.sandbox)).toEqual(after);
    expect(await statesOf(world)).toEqual(['example.org 202611 active']);
  });

  it('leaves nothing behind in a dry run', async () => {
    const world = await openWorld();
    const before = await hostTree(world.sandbox, NOTHING_LEFT_OUT);
    const {exitCode, report, out} = await world.run([
      'setup',
      '--domain',
      'example.org',
      '--dry-run',
      '--json',
    ]);
    expect(exitCode).toBe(0);
    expect(report.changed).toBe(false);
    expect(report.changes.map(({kind, target}) => `${kind} ${target}`)).toContain(
      'write /etc/opendkim/KeyTable',
    );
    expect(out).not.toContain('PRIVATE KEY');
    expect(await hostTree(world.sandbox, NOTHING_LEFT_OUT)).toEqual(before);
  });

  it('shows the plan of a kept setup in a dry run and keeps its key', async () => {
    const world = await openWorld();
    await world.run(['setup', '--domain', 'example.org', '--yes', '--no-wait', '--json']);
    const before = await hostTree(world.sandbox, NOTHING_LEFT_OUT);
    const dry = await world.run(['setup', '--domain', 'example.org', '--dry-run', '--json']);
    expect(dry.exitCode).toBe(0);
    expect(dry.report.changes.length).toBeGreaterThan(5);
    expect(await hostTree(world.sandbox, NOTHING_LEFT_OUT)).toEqual(before);
  });

  it('sets up two domains at once', async () => {
    const world = await openWorld();
    const run = await world.setUp('--domain', 'example.org', '--domain', 'mail.example.org');
    expect(run.err).toContain('Set up and tested: example.org, mail.example.org');
    expect(run.exitCode).toBe(0);
    expect(await statesOf(world)).toEqual(['example.org 202611 active', 'mail.example.org 202611 active']);
  });

  it('adds a second domain without touching the key of the first', async () => {
    const world = await openWorld();
    expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
    const run = await world.setUp('--domain', 'example.org', '--domain', 'mail.example.org');
    expect(run.exitCode).toBe(0);
    expect(await statesOf(world)).toEqual(['example.org 202611 active', 'mail.example.org 202611 active']);
  });

  it('finishes each of two setups that wait at the same time', async () => {
    const world = await openWorld();
    for (const domain of ['example.org', 'mail.example.org']) {
      const run = await world.run(['setup', '--domain', domain, '--yes', '--no-wait', '--json']);
      expect(run.exitCode).toBe(3);
      world.publish(run.report);
    }
    for (const domain of ['example.org', 'mail.example.org']) {
      const run = await world.run(['setup', '--domain', domain, '--yes', '--wait', '2m', '--json']);
      expect(run.exitCode, domain).toBe(0);
      expect(run.report.domains).toMatchObject([{domain, selector: '202611', state: 'active'}]);
    }
  });

  it('imports a key, and takes it up again though its file is gone', async () => {
    const world = await openWorld();
    const file = path.join(world.home, 'old.pem');
    const pem = pemOf({algorithm: 'rsa', bits: 3072});
    writeFileSync(file, pem);
    const first = await world.run([
      'setup',
      ...['--domain', 'example.org', '--key', 'old.pem', '--yes', '--no-wait', '--json'],
    ]);
    expect(first.exitCode).toBe(3);
    expect(first.report.domains[0]?.bits).toBe(3072);
    world.publish(first.report);
    const second = await world.run([
      'setup',
      ...['--domain', 'example.org', '--key', 'old.pem', '--yes', '--wait', '2m', '--json'],
    ]);
    expect(second.exitCode).toBe(0);
    const stored = await world.sandbox.ports.files.read(absolute('/etc/dkimkeys/example.org/202611.private'));
    expect(Buffer.from(stored ?? []).toString()).toBe(pem);
    // Whoever asks for no special key is content with the one that signs.
    const again = await world.run(['setup', '--domain', 'example.org', '--yes', '--json']);
    expect(again.exitCode).toBe(0);
    expect(again.report).toMatchObject({changed: false, domains: [{bits: 3072}]});
    // Whoever asks for another is told.
    const other = await world.run(['setup', '--domain', 'example.org', '--bits', '4096', '--yes', '--json']);
    expect(other.exitCode).toBe(2);
    expect(other.report.error).toMatchObject({id: 'key.exists'});
  });

  it('takes a selector whose record is there already, where it is of the very key that is imported', async () => {
    const world = await openWorld();
    const pem = pemOf({algorithm: 'rsa', bits: 2048});
    writeFileSync(path.join(world.home, 'old.pem'), pem);
    const described = inspectKey(pem);
    if (!described.ok) throw new Error(described.problem.message);
    const text = `v=DKIM1; h=sha256; n=moved; k=rsa; p = ${described.value.publicKey}`;
    const name = 's1._domainkey.example.org';
    const setUp = (...how: readonly string[]) =>
      world.run([
        'setup',
        ...['--domain', 'example.org', '--selector', 's1', '--key', 'old.pem', '--yes', '--json', ...how],
      ]);
    world.sandbox.dns.publish(name, 'v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A');
    expect((await setUp('--no-wait')).report.error?.id).toBe('selector.taken');
    world.sandbox.dns.withdraw(name);
    world.sandbox.dns.publish(name, text.match(/.{1,200}/g) ?? []);
    const run = await setUp('--wait', '2m');
    expect(run.exitCode, run.err).toBe(0);
    expect(run.report.domains).toMatchObject([{selector: 's1', state: 'active', record: {value: text}}]);
    expect((await setUp('--no-wait')).exitCode).toBe(0);
  });

  it('keeps the note of a record in a run that says nothing about it', async () => {
    const world = await openWorld();
    expect((await world.setUp('--domain', 'example.org', '--note', 'mail of the shop')).exitCode).toBe(0);
    const again = await world.run(['setup', '--domain', 'example.org', '--yes', '--no-wait', '--json']);
    expect(again.exitCode).toBe(0);
    expect(again.report.domains[0]?.record.value).toContain('n=mail');
  });

  it('takes the next selector where the first is taken in the DNS', async () => {
    const world = await openWorld();
    world.sandbox.dns.publish('202611._domainkey.example.org', 'v=DKIM1; p=somebody');
    const run = await world.setUp('--domain', 'example.org');
    expect(run.exitCode).toBe(0);
    expect(run.report.domains[0]?.selector).toBe('202611a');
  });

  it('refuses a selector that is given and taken, and touches nothing', async () => {
    const world = await openWorld();
    world.sandbox.dns.publish('mail._domainkey.example.org', 'v=DKIM1; p=somebody');
    const before = await hostTree(world.sandbox, NOTHING_LEFT_OUT);
    const run = await world.run([
      'setup',
      ...['--domain', 'example.org', '--selector', 'mail', '--yes', '--no-wait', '--json'],
    ]);
    expect(run.exitCode).toBe(2);
    expect(run.report.error?.id).toBe('selector.taken');
    expect(run.report.error?.hint).toContain('--selector');
    expect(await hostTree(world.sandbox, NOTHING_LEFT_OUT)).toEqual(before);
  });

  it('writes the record to --output also where it ends with exit 3', async () => {
    const world = await openWorld();
    const argv = ['setup', '--domain', 'example.org', '--yes', '--no-wait', '--output', 'record.txt'];
    expect((await world.run(argv)).exitCode).toBe(3);
    const text = readFileSync(path.join(world.home, 'record.txt'), 'utf8');
    expect(text).toMatch(/^202611\._domainkey\.example\.org\. 3600 IN TXT "v=DKIM1; /);
    // The same command again finds its own file there.
    const again = await world.run(argv);
    expect(again.exitCode).toBe(3);
    expect(again.err).not.toContain('record.txt');
    writeFileSync(path.join(world.home, 'record.txt'), 'mine\n');
    expect((await world.run(argv)).err).toContain('already, with another content');
    expect(readFileSync(path.join(world.home, 'record.txt'), 'utf8')).toBe('mine\n');
  });
});

describe('a key and its record', () => {
  it('never signs before the lagging server has the record', async () => {
    const world = await openWorld({lagMs: 6000});
    const first = await world.run(['setup', '--domain', 'example.org', '--yes', '--no-wait', '--json']);
    world.publish(first.report);
    const published = world.clock.now();
    const early = await world.run(['setup', '--domain', 'example.org', '--yes', '--no-wait', '--json']);
    expect(early.exitCode).toBe(3);
    expect(early.report.domains[0]?.servers.map(({status}) => status).toSorted()).toEqual([
      'absent',
      'absent',
      'matching',
    ]);
    const late = await world.run(['setup', '--domain', 'example.org', '--yes', '--wait', '2m', '--json']);
    expect(late.exitCode).toBe(0);
    const signed = world.sandbox.machine.lines.filter(({text}) =>
      text.includes('DKIM-Signature field added'),
    );
    expect(signed.length).toBeGreaterThan(2);
    for (const line of signed) expect(line.at.getTime() - published.getTime()).toBeGreaterThan(6000);
  });

  it('is not signed for where the record is another one', async () => {
    const world = await openWorld();
    const before = await hostTree(world.sandbox);
    const first = await world.run(['setup', '--domain', 'example.org', '--yes', '--no-wait', '--json']);
    const record = first.report.domains[0]?.record;
    world.sandbox.dns.publish(record?.name ?? '', (record?.value ?? '').replace(/p=..../, 'p=AAAA'));
    const run = await world.run(['setup', '--domain', 'example.org', '--yes', '--wait', '3s', '--json']);
    expect(run.exitCode).toBe(3);
    expect(await hostTree(world.sandbox)).toEqual(before);
  });
});
