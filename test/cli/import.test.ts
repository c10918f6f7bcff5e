/** `waxseal import`: an export file comes from another host, and is believed in nothing that can be looked at here. */
import {generateKeyPairSync} from 'node:crypto';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {openWorld, type Run, type World} from '../demo/world.ts';

const STAGED = absolute('/var/lib/waxseal/keys/example.org/mx2.pem');

/** A key as an export has it, with its private key. */
function exported(selector: string): {readonly key: Record<string, unknown>; readonly pem: string} {
  const pair = generateKeyPairSync('rsa', {modulusLength: 2048});
  const pem = pair.privateKey.export({type: 'pkcs8', format: 'pem'}).toString();
  const p = pair.publicKey.export({type: 'spki', format: 'der'}).toString('base64');
  const name = `${selector}._domainkey.example.org`;
  return {
    pem,
    key: {
      host: 'mx2.example.org',
      domain: 'example.org',
      selector,
      algorithm: 'rsa',
      state: 'active',
      record: {
        name,
        zone: 'example.org',
        relativeName: `${selector}._domainkey`,
        value: `v=DKIM1; k=rsa; p=${p}`,
      },
    },
  };
}

const one = exported('mx2');
const other = exported('mx2b');

async function importing(
  world: World,
  keys: readonly unknown[],
  secret: Readonly<Record<string, string>> = {},
  ...flags: readonly string[]
): Promise<Run> {
  const file = path.join(world.home, 'keys.json');
  const host = 'mx2.example.org';
  writeFileSync(file, JSON.stringify({waxseal: 'export', version: 1, host, keys, private: secret}));
  return await world.run(['import', file, '--json', ...flags]);
}

const record = one.key['record'] as Record<string, string>;
const stateText = async (world: World): Promise<string> =>
  Buffer.from(
    (await world.sandbox.ports.files.read(absolute('/var/lib/waxseal/state.json'))) ?? [],
  ).toString();

describe('a file that is not as an export is', () => {
  it.each([
    ['a record at another name', [{...one.key, record: {...record, name: '_dmarc.example.org'}}]],
    ['a record of another zone', [{...one.key, record: {...record, zone: 'example.net'}}]],
    ['another name for the panel', [{...one.key, record: {...record, relativeName: '\u001b[2J'}}]],
    ['the same key twice', [one.key, one.key]],
    ['a state that there is not', [{...one.key, state: 'signing'}]],
    ['a selector that is a path', [{...one.key, selector: '../../etc/passwd'}]],
    ['no list of keys', {}],
  ])('is refused: %s', async (_what, keys) => {
    const world = await openWorld();
    const run = await importing(world, keys as readonly unknown[], {[record['name'] ?? '']: one.pem});
    expect(run.exitCode).toBe(2);
    expect(run.report.error?.id).toBe('import.damaged');
    expect(run.out + run.err).not.toContain('\u001b');
    expect(await stateText(world)).toBe('');
    expect(await world.sandbox.ports.files.stat(STAGED)).toBeUndefined();
  });
});

it('knows every key as one of the host that the file is of, so that the next import replaces it', async () => {
  const world = await openWorld();
  expect((await importing(world, [{...one.key, host: 'elsewhere.example.net'}])).exitCode).toBe(0);
  expect((await importing(world, [other.key])).exitCode).toBe(0);
  const text = await stateText(world);
  expect(text).not.toContain('elsewhere.example.net');
  expect(JSON.parse(text).elsewhere).toEqual([other.key]);
});

it('takes all private keys or none, and a dry run finds out as well', async () => {
  const world = await openWorld();
  const secret = {
    'mx2._domainkey.example.org': one.pem,
    'mx2b._domainkey.example.org': other.pem,
  };
  for (const flags of [['--dry-run'], []]) {
    const run = await importing(world, [one.key, other.key], secret, ...flags);
    expect(run.report.error?.id).toBe('life.two-coming');
    expect(await world.sandbox.ports.files.stat(STAGED)).toBeUndefined();
  }
  const wrong = await importing(world, [one.key], {'mx2._domainkey.example.org': other.pem});
  expect(wrong.report.error?.id).toBe('key.self-test');
  const run = await importing(world, [one.key], secret);
  expect(run.exitCode, run.err).toBe(0);
  expect(run.out).not.toContain('PRIVATE');
  expect(await world.sandbox.ports.files.stat(STAGED)).toMatchObject({mode: 0o600, uid: 0});
});
