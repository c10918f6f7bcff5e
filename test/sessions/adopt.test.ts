/** What is taken up as a key of OpenDKIM's, and what a table that others can write merely names. */
import {expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {openWorld, type World} from '../demo/world.ts';

const STATE = absolute('/var/lib/waxseal/state.json');
const KEY_TABLE = absolute('/etc/opendkim/KeyTable');
const OPENDKIM = {uid: 104, gid: 110};

async function edit(
  world: World,
  path: typeof STATE,
  how: (text: string) => string,
  owner = {},
): Promise<void> {
  const {files} = world.sandbox.ports;
  const found = await files.inspect(path);
  if (found === undefined) throw new Error(`no ${path}`);
  const {mode, uid, gid} = found.stat;
  const text = how(Buffer.from(found.content).toString('utf8'));
  await files.replace(path, Buffer.from(text), {mode, uid, gid, ...owner});
}

const known = async (world: World): Promise<readonly string[]> =>
  (await world.run(['status', '--json'])).report.domains.flatMap(({domain, selector, state}) =>
    state === 'by-hand' ? [] : `${selector} ${domain}`,
  );

/** A host that signs for example.org, of which waxseal knows nothing. */
async function handMade(): Promise<World> {
  const world = await openWorld();
  const made = await world.setUp('--domain', 'example.org');
  expect(made.exitCode, made.err).toBe(0);
  await edit(world, STATE, text => JSON.stringify({...JSON.parse(text), keys: []}));
  return world;
}

it('takes up a key that OpenDKIM can read', async () => {
  const world = await handMade();
  const run = await world.run(['rotate', '--domain', 'example.org', '--yes', '--no-wait', '--json']);
  expect(run.exitCode, run.err).toBe(3);
  expect(await known(world)).toContain('202611 example.org');
});

it('adopts without a rotation, and lets go again', async () => {
  const world = await handMade();
  const {files} = world.sandbox.ports;
  const tables = async (): Promise<readonly string[]> =>
    await Promise.all(
      ['/etc/opendkim/KeyTable', '/etc/opendkim/SigningTable', '/etc/opendkim.conf'].map(async path =>
        Buffer.from((await files.read(absolute(path))) ?? []).toString('utf8'),
      ),
    );
  const before = await tables();
  const status = async () => (await world.run(['status', '--json'])).report.domains;
  expect(await status()).toMatchObject([
    {
      ...{domain: 'example.org', selector: '202611', state: 'by-hand', algorithm: 'rsa', bits: 2048},
      nextStep: 'Adopt it, so that waxseal rotates it: sudo waxseal adopt --domain example.org',
    },
  ]);
  const dry = await world.run(['adopt', '--dry-run']);
  expect(dry.out).toContain('Would be adopted: 202611._domainkey.example.org');
  expect(await status()).toMatchObject([{state: 'by-hand'}]);
  const run = await world.run(['adopt', '--domain', 'example.org', '--json']);
  expect(run.exitCode, run.err).toBe(0);
  expect(run.report).toMatchObject({changed: true, domains: [{selector: '202611', state: 'active'}]});
  expect(await status()).toMatchObject([{domain: 'example.org', selector: '202611', state: 'active'}]);
  expect((await world.run(['adopt', '--json'])).report).toMatchObject({changed: false, domains: []});
  const back = await world.run(['adopt', '--release', '--domain', 'example.org', '--json']);
  expect(back.exitCode, back.err).toBe(0);
  expect(back.report.changed).toBe(true);
  expect(await status()).toMatchObject([{state: 'by-hand'}]);
  expect(await tables()).toEqual(before);
});

it('forgets no key of a domain for which it has made one, and adopts none that is not there', async () => {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  const released = await world.run(['adopt', '--release', '--domain', 'example.org', '--json']);
  expect(released.exitCode).toBe(2);
  expect(released.report.error?.id).toBe('adopt.in-use');
  expect(await known(world)).toEqual(['202611 example.org']);
  const none = await world.run(['adopt', '--domain', 'example.net', '--json']);
  expect(none.exitCode).toBe(2);
  expect(none.report.error?.id).toBe('domain.unknown');
});

it('prints the record of a key made by hand, as text and as JSON', async () => {
  const world = await handMade();
  const named = ['record', '--domain', 'example.org'];
  for (const argv of [['record'], named, [...named, '--selector', '202611']]) {
    const text = await world.run(argv);
    expect(text.exitCode, text.err).toBe(0);
    const {domains} = (await world.run([...argv, '--json'])).report;
    expect(domains).toMatchObject([{domain: 'example.org', selector: '202611', state: 'by-hand'}]);
    expect(text.out).toContain('Name:   202611._domainkey.example.org');
    expect(text.out).toContain(`Value:  ${domains[0]?.record.value}`);
  }
  expect((await world.run(['record', '--domain', 'example.net'])).exitCode).toBe(2);
  expect((await world.run([...named, '--selector', 'other', '--json'])).report.error?.id).toBe('record.none');
});

it('prints records of its own keys and of those made by hand together', async () => {
  const world = await openWorld();
  const made = await world.setUp('--domain', 'example.org', '--domain', 'news.example.org');
  expect(made.exitCode, made.err).toBe(0);
  await edit(world, STATE, text => {
    const state = JSON.parse(text) as {readonly keys: readonly {readonly domain: string}[]};
    return JSON.stringify({...state, keys: state.keys.filter(({domain}) => domain !== 'example.org')});
  });
  const both = ['record', '--domain', 'example.org', '--domain', 'news.example.org'];
  for (const argv of [['record'], both]) {
    const {domains} = (await world.run([...argv, '--json'])).report;
    expect(domains.map(({domain, state}) => `${domain} ${state}`).toSorted()).toEqual([
      'example.org by-hand',
      'news.example.org active',
    ]);
    expect((await world.run(argv)).out.match(/^Name: /gm)).toHaveLength(2);
  }
});

it('shows the state of a domain that only a pattern covers', async () => {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  const run = await world.run(['status', '--domain', 'deep.sub.example.org']);
  expect(run.exitCode, run.err).toBe(0);
  expect(run.out).toContain('deep.sub.example.org  has no key of its own');
  expect(run.out).toContain('signs its mail with 202611 of example.org by the row "*@*.example.org"');
  const argv = ['status', '--domain', 'deep.sub.example.org', '--domain', 'example.org', '--json'];
  const {domains, checks, exitCode} = (await world.run(argv)).report;
  expect(exitCode).toBe(0);
  expect(domains.map(({domain}) => domain)).toEqual(['example.org']);
  expect(checks).toMatchObject([
    {
      id: 'status.covered',
      title: 'deep.sub.example.org has no key of its own',
      status: 'pass',
      evidence: expect.stringContaining('by the row "*@*.example.org"'),
    },
  ]);
  expect((await world.run(['status', '--domain', 'example.net'])).exitCode).toBe(2);
});

it('tests the mail of a domain that only a pattern covers by the key that signs it', async () => {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  const {report, err} = await world.run(['test', '--domain', 'deep.sub.example.org', '--json']);
  expect(report.exitCode, err).toBe(0);
  for (const id of ['live.milter', 'live.sendmail', 'live.smtp']) {
    expect(report.checks.find(check => check.id === id)).toMatchObject({
      status: 'pass',
      evidence: expect.stringContaining('one signature, d=example.org s=202611,'),
    });
  }
  const other = async () => (await world.run(['test', '--domain', 'example.net', '--json'])).report;
  expect(await other()).toMatchObject({exitCode: 4, error: {id: 'signer.not-signed'}});
  const table = absolute('/etc/opendkim/SigningTable');
  const [label] =
    /\S+$/m.exec(Buffer.from((await world.sandbox.ports.files.read(table)) ?? []).toString()) ?? [];
  await edit(world, table, text => `${text}* ${label}\n`);
  // The running signer has the old table: what is missing is said of the sender.
  expect((await other()).checks[0]).toMatchObject({
    status: 'fail',
    cause: expect.stringContaining('matches postmaster@example.net,'),
    fix: expect.stringContaining('"*@example.net 202611._domainkey.example.org"'),
  });
  await world.sandbox.ports.commands.run(['systemctl', 'restart', 'opendkim.service']);
  expect((await other()).checks.slice(0, 1)).toMatchObject([{id: 'live.milter', status: 'pass'}]);
  // One row for everybody alone: without --domain the domains of the keys are tested.
  await edit(world, table, () => `* ${label}\n`);
  await world.sandbox.ports.commands.run(['systemctl', 'restart', 'opendkim.service']);
  const all = await world.run(['test', '--json']);
  expect(all.report.checks.map(({id, status}) => `${id} ${status}`)).toContain('live.sendmail pass');
  expect(all.exitCode, all.err).toBe(0);
});

it('takes up no key of root that a table names which others can write', async () => {
  const world = await handMade();
  const {files} = world.sandbox.ports;
  const ours = await files.read(absolute('/etc/dkimkeys/example.org/202611.private'));
  if (ours === undefined) throw new Error('no key');
  const tls = absolute('/etc/ssl/tls.key');
  await files.makeDirectory(absolute('/etc/ssl'), {mode: 0o755, uid: 0, gid: 0});
  await files.create(tls, ours, {mode: 0o600, uid: 0, gid: 0});
  const rows = (text: string): string => text.replace('/etc/dkimkeys/example.org/202611.private', tls);
  await edit(world, KEY_TABLE, rows, OPENDKIM);
  const run = await world.run(['rotate', '--domain', 'example.org', '--yes', '--no-wait']);
  expect(run.out + run.err).toContain(`${tls} can't be read by opendkim, as whom OpenDKIM signs`);
  expect(await known(world)).not.toContain('202611 example.org');
});

it('says when a key was last proven, also from notes that have no date of a test', async () => {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  const provenAt = async () => (await world.run(['status', '--json'])).report.domains[0]?.provenAt;
  const switched = await provenAt();
  expect(Date.parse(switched ?? '')).not.toBeNaN();
  expect(Buffer.from((await world.sandbox.ports.files.read(STATE)) ?? []).toString()).not.toContain(
    'provenAt',
  );
  world.clock.advance(3 * 86_400_000);
  expect((await world.run(['status'])).out).toContain('Last proven 3 days ago');
  expect((await world.run(['test'])).exitCode).toBe(0);
  expect((await world.run(['status'])).out).toContain('Last proven today');
  expect((await provenAt()) ?? '').not.toBe(switched);
  await edit(world, STATE, text => JSON.stringify({...JSON.parse(text), keys: []}));
  expect((await world.run(['adopt'])).exitCode).toBe(0);
  expect((await world.run(['status'])).out).toContain('Never proven by a live test. Run: sudo waxseal test');
});
