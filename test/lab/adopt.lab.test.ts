/**
 * Every fixture host of test/fixtures/hosts, planned and carried out, judged by the real programs: postconf(1) reads
 * the same overrides from main.cf and master.cf as the plan did and complains of nothing new; opendkim(8) takes the
 * configuration and finds the new key for a sender of the domain.
 */
import {execFileSync, spawnSync} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, onTestFinished, test} from 'vitest';
import {openDkimOf} from '../../src/services/opendkim/facts.ts';
import {planOn, wantedOn} from '../services/wanted.ts';
import {carryOut, type FakeHost, fixtureHost, fixtureNames} from '../support/fake-host.ts';
import {imageOf} from './support/image.ts';
import {releases} from './support/release.ts';

const PAST = 1_700_000_000;

const sh = (...argv: readonly [string, ...string[]]): string =>
  execFileSync(argv[0], argv.slice(1), {encoding: 'utf8'});

/** Writes the configuration of a fixture below `root`; it is gone again when the test ends. */
function lay(host: FakeHost, root: string): void {
  for (const [at, node] of host.files.nodes) {
    if (!/^\/(etc|home|srv)\//.test(at)) continue;
    const place = path.join(root, at);
    fs.mkdirSync(path.dirname(place), {recursive: true});
    if (node.kind !== 'directory') onTestFinished(() => fs.rmSync(place, {force: true}));
    if (node.kind === 'directory') fs.mkdirSync(place, {recursive: true});
    else {
      fs.rmSync(place, {force: true});
      if (node.kind === 'file') {
        fs.writeFileSync(place, node.content);
        // Postfix waits until a file is two seconds old before it reads it.
        fs.utimesSync(place, PAST, PAST);
      } else fs.symlinkSync(node.target, place);
    }
  }
}

/** The image with an empty layer above it. */
function layered(image: string): {readonly root: string; drop(): void} {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'waxseal-adopt-'));
  const [layer, root] = [path.join(base, 'layer'), path.join(base, 'root')];
  fs.mkdirSync(layer);
  fs.mkdirSync(root);
  sh('mount', '-t', 'tmpfs', 'waxseal', layer);
  fs.mkdirSync(path.join(layer, 'upper'));
  fs.mkdirSync(path.join(layer, 'work'));
  const options = `lowerdir=${image},upperdir=${layer}/upper,workdir=${layer}/work`;
  sh('mount', '-t', 'overlay', 'overlay', '-o', options, root);
  for (const gone of ['etc/opendkim', 'etc/opendkim.conf', 'etc/postfix/main.cf', 'etc/postfix/master.cf'])
    fs.rmSync(path.join(root, gone), {recursive: true, force: true});
  return {
    root,
    drop() {
      sh('umount', '--lazy', root);
      sh('umount', '--lazy', layer);
      fs.rmSync(base, {recursive: true, force: true});
    },
  };
}

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const inside = (root: string, argv: readonly string[], input = ''): Ran =>
  spawnSync('chroot', [root, ...argv], {encoding: 'utf8', input});

const sorted = (text: string): readonly string[] =>
  text
    .split('\n')
    .map(line => line.trimEnd())
    .filter(line => line !== '')
    .sort();

/** Complaints without the number of the line, which may move. */
const complaints = (ran: Ran): ReadonlySet<string> =>
  new Set(ran.stderr.split('\n').map(line => line.replace(/, line \d+/, '')));

const workable = fixtureNames().filter(name => {
  const {refused, blocked = []} = fixtureHost(name).manifest;
  return refused === undefined && blocked.length === 0;
});

describe.each(releases)('$suite', release => {
  let layers: ReturnType<typeof layered> | undefined;
  beforeAll(() => {
    layers = layered(imageOf(release));
  });
  afterAll(() => layers?.drop());

  test.each(workable)('%s', async name => {
    const host = fixtureHost(name);
    const wanted = wantedOn(host, ['example.com'], host.manifest.wanted ?? {});
    const root = layers?.root ?? '';
    expect(root).not.toBe('');
    lay(host, root);
    const before = inside(root, ['postconf', '-P']);
    const {facts, change} = await planOn(host, wanted);
    if (!change.ok) throw new Error(change.problem.message);
    await carryOut(host, change.value.steps);
    lay(host, root);

    const real = inside(root, ['postconf', '-P']);
    expect(real.status).toBe(0);
    const believed = await host.commands.run(['postconf', '-P']);
    expect(sorted(real.stdout)).toEqual(sorted(believed.stdout));
    for (const complaint of complaints(real)) expect(complaints(before)).toContain(complaint);

    const settings = openDkimOf(facts)?.settings ?? {};
    // Its server would have to be there to open the list.
    if (settings['internalhosts']?.startsWith('ldap:') === true) return;
    const base = settings['basedirectory'];
    if (base !== undefined) fs.mkdirSync(path.join(root, base), {recursive: true});
    const config = facts.signer?.configFile ?? '';
    expect(inside(root, ['opendkim', '-n', '-x', config])).toMatchObject({status: 0, stderr: ''});
    const table =
      inside(root, ['opendkim', '-x', config, '-e', 'SigningTable']).stdout.split('\n', 1)[0] ?? '';
    const query = table.startsWith('file:') ? 'example.com' : 'someone@example.com';
    const found = inside(root, ['opendkim', '-Q'], `${table}\n${query}/1\n`).stdout;
    // -Q tells the first row only; with several signatures the new key may be another.
    if (settings['multiplesignatures'] === undefined)
      expect(found).toContain('202611._domainkey.example.com');
  });
});
