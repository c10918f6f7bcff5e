/**
 * A key is known by its material: while a row of any signer uses it, its private key is neither destroyed nor published,
 * whatever the rows and records look like. Its record is kept as long as a row signs as its domain, or may.
 */
import {existsSync, renameSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';
import {type AbsolutePath, absolute} from '../../src/domain/paths.ts';
import type {Report} from '../../src/flow/report.ts';
import {openWorld, pemOf, type World} from '../demo/world.ts';

const DAY = 86_400_000;
const RETIRED = absolute('/var/lib/waxseal/retired');
const STATE = absolute('/var/lib/waxseal/state.json');
const KEY_TABLE = absolute('/etc/opendkim/KeyTable');
const SIGNING_TABLE = absolute('/etc/opendkim/SigningTable');
const OLD = absolute('/etc/dkimkeys/example.org/202611.private');
const SECOND = absolute('/etc/dkimkeys/mail.example.org/202611.private');

const textOf = async (world: World, path: AbsolutePath): Promise<string> =>
  Buffer.from((await world.sandbox.ports.files.read(path)) ?? []).toString('utf8');

async function edit(world: World, path: AbsolutePath, how: (text: string) => string): Promise<void> {
  const {files} = world.sandbox.ports;
  const stat = await files.stat(path);
  if (stat === undefined) throw new TypeError(path);
  const text = how(await textOf(world, path));
  await files.replace(path, new TextEncoder().encode(text), {mode: stat.mode, uid: stat.uid, gid: stat.gid});
}

const own = (report: Report): Report['domains'] =>
  report.domains.filter(each => each.domain === 'example.org');
const stateOf = (report: Report): string =>
  own(report).find(({selector}) => selector === '202611')?.state ?? 'removed';

/** Does in the DNS what a person is asked for. */
function obey(world: World, report: Report): void {
  const {dns} = world.sandbox;
  for (const {record, state, nextStep} of own(report)) {
    if (state === 'pending' && nextStep.startsWith('Publish')) dns.publish(record.name, record.strings);
    if (state === 'retiring' && nextStep.startsWith('Revoke')) {
      dns.withdraw(record.name);
      dns.publish(record.name, 'v=DKIM1; k=rsa; p=');
    }
    if (state === 'revoked' && nextStep.startsWith('Delete')) dns.withdraw(record.name);
  }
}

const advance = (world: World, ...flags: string[]) =>
  world.run(['rotate', '--advance', '--json', '--domain', 'example.org', ...flags]);

/** Runs with days between, and obeys, until `isReached`. */
async function until(
  world: World,
  isReached: (report: Report) => boolean,
  ...flags: string[]
): Promise<Report> {
  for (let count = 0; count < 30; count += 1) {
    const {report} = await advance(world, ...flags);
    if (isReached(report)) return report;
    obey(world, report);
    await world.clock.sleep(1800);
    world.clock.advance(3 * DAY);
  }
  throw new Error('never reached');
}

const nextStepOf = (report: Report): string =>
  own(report).find(({selector}) => selector === '202611')?.nextStep ?? '';

async function shared(): Promise<World> {
  const world = await openWorld();
  const first = await world.setUp('--domain', 'example.org', '--domain', 'mail.example.org', '--shared-key');
  expect(first.exitCode, first.err + first.out).toBe(0);
  return world;
}

/**
 * The record of the old key is needed by no signature of the other domain, and goes in its time; its private key is
 * neither published nor destroyed, and who uses it is said, with file and line.
 */
async function privateKeyStays(world: World, row: RegExp): Promise<void> {
  const {files} = world.sandbox.ports;
  world.clock.advance(181 * DAY);
  const isGone = (report: Report): boolean => nextStepOf(report).includes('its private key stays');
  const gone = await until(world, isGone, '--publish-retired');
  expect(stateOf(gone)).toBe('revoked');
  for (let count = 0; count < 2; count += 1) {
    world.clock.advance(40 * DAY);
    const {report} = await advance(world, '--publish-retired');
    expect(stateOf(report)).toBe('revoked');
    expect(nextStepOf(report)).toMatch(row);
    expect(nextStepOf(report)).toContain('waxseal rotate --domain mail.example.org');
  }
  expect(await files.list(RETIRED)).toBeUndefined();
  expect(await files.stat(OLD)).toBeDefined();
}

async function stillSigned(world: World): Promise<void> {
  const explained = await world.run(['explain', 'a@mail.example.org']);
  expect(explained.out).toContain('signed by selector 202611 for mail.example.org');
}

const MAIL_ROW =
  /still signs with this key: \*@mail\.example\.org .*\(\/etc\/opendkim\/SigningTable line \d+\)/;

describe('a key that another domain signs with', () => {
  it('by a copy, of a domain that waxseal does not know', async () => {
    const world = await shared();
    await edit(world, STATE, text => {
      const state = JSON.parse(text);
      const keys = state.keys.filter(({domain}: {domain: string}) => domain === 'example.org');
      return JSON.stringify({...state, keys});
    });
    await privateKeyStays(world, MAIL_ROW);
    await stillSigned(world);
  });

  it('with a record that its owner wrote with blanks', async () => {
    const world = await shared();
    await edit(world, STATE, text => text.replaceAll('p=MII', 'p = MII'));
    for (const {record} of (await world.run(['status', '--json'])).report.domains) {
      world.sandbox.dns.withdraw(record.name);
      world.sandbox.dns.publish(record.name, record.strings);
    }
    await privateKeyStays(world, MAIL_ROW);
    await stillSigned(world);
  });

  it('by a symbolic link', async () => {
    const world = await shared();
    const {commands} = world.sandbox.ports;
    const link = absolute('/etc/dkimkeys/mail.example.org/link.private');
    symlinkSync(OLD, world.real(link));
    for (const path of [KEY_TABLE, STATE]) await edit(world, path, text => text.replace(SECOND, link));
    await commands.run(['systemctl', 'restart', 'opendkim']);
    // The signer of the sandbox takes no link; that of a real host does.
    await privateKeyStays(world, MAIL_ROW);
  });
});

it('a row whose key cannot be read keeps the record, whatever domain it signs as', async () => {
  const world = await shared();
  world.clock.advance(181 * DAY);
  await until(world, report => stateOf(report) === 'retiring');
  rmSync(world.real(SECOND));
  world.clock.advance(60 * DAY);
  const {report} = await advance(world);
  expect(stateOf(report)).toBe('retiring');
  expect(nextStepOf(report)).toMatch(
    /^Keep the record .*may still sign with this key: .*\(\/etc\/opendkim\/KeyTable line \d+\)/,
  );
});

it('a row that stays on the old key keeps its record; its time begins when the row has left it', async () => {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  world.clock.advance(181 * DAY);
  await until(world, report => stateOf(report) === 'retiring');
  await edit(world, SIGNING_TABLE, text => `joe@example.org 202611._domainkey.example.org\n${text}`);
  world.clock.advance(60 * DAY);
  const kept = (await advance(world)).report;
  expect(stateOf(kept)).toBe('retiring');
  expect(nextStepOf(kept)).toContain(
    'joe@example.org 202611._domainkey.example.org (/etc/opendkim/SigningTable line 1)',
  );
  expect(nextStepOf(kept)).not.toContain('Revoke');
  await edit(world, SIGNING_TABLE, text => text.split('\n').slice(1).join('\n'));
  world.clock.advance(DAY);
  // It signed a day ago, as far as is known.
  expect(nextStepOf((await advance(world)).report)).toMatch(/^Keep .*in|^Keep .*way/);
  world.clock.advance(8 * DAY);
  expect(nextStepOf((await advance(world)).report)).toMatch(/^Keep|^Revoke/);
  world.clock.advance(2 * DAY);
  expect(nextStepOf((await advance(world)).report)).toMatch(/^Revoke/);
});

it("a file that is not the key of the record is neither published nor destroyed: the host's own keys stay its own", async () => {
  const world = await openWorld();
  const {files} = world.sandbox.ports;
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  const secret = absolute('/etc/tls-root.key');
  const pem = pemOf({algorithm: 'rsa', bits: 2048});
  await files.create(secret, Buffer.from(pem), {mode: 0o600, uid: 0, gid: 0});
  world.clock.advance(181 * DAY);
  await until(world, report => stateOf(report) === 'revoked', '--publish-retired');
  // What the account of the signer can do in its own directory.
  renameSync(world.real(OLD), world.real('/etc/dkimkeys/example.org/mine'));
  symlinkSync(secret, world.real(OLD));
  rmSync(world.real('/var/lib/waxseal/keys/example.org/202611.pem'));
  let said = '';
  for (let count = 0; count < 20 && said === ''; count += 1) {
    const run = await advance(world, '--publish-retired');
    obey(world, run.report);
    if (stateOf(run.report) === 'removed') said = 'removed';
    world.clock.advance(3 * DAY);
    await world.clock.sleep(1800);
  }
  expect(said).toBe('removed');
  expect((await files.list(RETIRED)) ?? []).toEqual([]);
  expect(await textOf(world, secret)).toBe(pem);
  const {keys} = JSON.parse(await textOf(world, STATE));
  const old = keys.find(({selector}: {selector: string}) => selector === '202611');
  expect(old.log.at(-1).evidence).toMatchObject({kind: 'record-gone', key: 'kept'});
});

describe('export --with-keys', () => {
  it('says for whom else a key signs', async () => {
    const world = await shared();
    const run = await world.run([
      'export',
      '--with-keys',
      '--domain',
      'example.org',
      '--output',
      'keys.json',
    ]);
    expect(run.exitCode, run.err).toBe(0);
    expect(run.out).toMatch(
      /The key of 202611\._domainkey\.example\.org also signs for: mail\.example\.org \(\/etc\/opendkim\/SigningTable line \d+\)/,
    );
  });

  it('gives out the key of the record only, whatever has its name', async () => {
    const world = await openWorld();
    expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
    writeFileSync(world.real('/etc/tls-root.key'), pemOf({algorithm: 'rsa', bits: 2048}), {mode: 0o600});
    renameSync(world.real(OLD), world.real('/etc/dkimkeys/example.org/mine'));
    symlinkSync('/etc/tls-root.key', world.real(OLD));
    const run = await world.run(['export', '--with-keys', '--json', '--output', 'keys.json']);
    expect(run.exitCode).toBe(5);
    expect(run.report.error).toMatchObject({id: 'export.not-the-key'});
    expect(existsSync(path.join(world.home, 'keys.json'))).toBe(false);
  });
});
