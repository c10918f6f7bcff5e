/**
 * Every fixture host of test/fixtures/hosts, planned and carried out, judged by the real programs: postconf(1) reads
 * the same overrides from main.cf and master.cf as the plan did and complains of nothing new; opendkim(8) takes the
 * configuration and finds the new key for a sender of the domain.
 */
import fs from 'node:fs';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, onTestFinished, test} from 'vitest';
import {openDkimOf} from '../../src/services/opendkim/facts.ts';
import {planOn, wantedOn} from '../services/wanted.ts';
import {carryOut, fixtureHost, fixtureNames} from '../support/fake-host.ts';
import {imageOf} from './support/image.ts';
import {inside, type Layered, lay, layered, type Ran} from './support/layered.ts';
import {releases} from './support/release.ts';

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
  let layers: Layered | undefined;
  beforeAll(() => {
    layers = layered(imageOf(release));
  });
  afterAll(() => layers?.drop());

  test.each(workable)('%s', async name => {
    const host = fixtureHost(name);
    const wanted = wantedOn(host, ['example.com'], host.manifest.wanted ?? {});
    const root = layers?.root ?? '';
    expect(root).not.toBe('');
    onTestFinished(lay(host, root));
    const before = inside(root, ['postconf', '-P']);
    const {facts, change} = await planOn(host, wanted);
    if (!change.ok) throw new Error(change.problem.message);
    await carryOut(host, change.value.steps);
    onTestFinished(lay(host, root));

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
