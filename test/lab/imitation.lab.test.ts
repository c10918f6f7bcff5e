/**
 * The sandbox imitates postconf(1) and opendkim(8). Here both are asked the same about every host of test/fixtures/hosts,
 * the imitation and the programs of a real Debian; what differs is listed, with the reason.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, describe, expect, onTestFinished, test} from 'vitest';
import {createDemoCommands} from '../../src/demo/commands.ts';
import {Machine} from '../../src/demo/machine.ts';
import {Mailer} from '../../src/demo/mailer.ts';
import {absolute} from '../../src/domain/paths.ts';
import type {Argv, Commands} from '../../src/system/ports.ts';
import {createClock, createFiles, createOwnerLedger, createSockets} from '../../src/system/real/index.ts';
import {fixtureHost, fixtureNames} from '../support/fake-host.ts';
import {imageOf} from './support/image.ts';
import {inside, type Layered, lay, layered, type Ran} from './support/layered.ts';
import {releases} from './support/release.ts';

/** The imitation over a copy of a fixture's files. */
function imitation(root: string): Commands {
  const ledger = createOwnerLedger();
  const files = createFiles({root: absolute(root), owners: ledger});
  const machine = new Machine({root, files, ledger, clock: createClock()});
  return createDemoCommands(machine, new Mailer(machine, createSockets()));
}

/** Where the imitation answers otherwise, and why that is left so. */
const KNOWN: Readonly<Record<string, string>> = {
  'ldap-hosts: opendkim -n': 'asks a server, which is not there',
  'ldap-tables: opendkim -n': 'asks a server, which is not there',
  'mysql-tables: opendkim -n': 'wants a library for its database, which is not installed',
  'pgsql-tables: opendkim -n': 'wants a library for its database, which is not installed',
};

const sorted = (text: string): string =>
  text
    .split('\n')
    .map(line => line.trimEnd().replaceAll(/ {2,}/g, ' '))
    .filter(line => line !== '')
    .sort()
    .join('\n');

const postfixCommands = (version: number): readonly Argv[] => [
  ['postconf', '-n'],
  ['postconf', '-M'],
  ['postconf', '-P'],
  ['postconf', '-F'],
  [
    ...(['postconf', '-x', 'smtpd_milters', 'non_smtpd_milters', 'mydestination'] as const),
    // The sandbox is a Debian 13; the default was another one before.
    ...(version < 13 ? [] : ['milter_default_action']),
  ],
];

/**
 * What two answers have to have in common: status and lines, and what opendkim complains of. Of the fields of a service
 * the imitation has the one that is asked for.
 */
function answer(argv: Argv, {status, stdout, stderr}: Ran): string {
  const lines = argv[1] === '-F' ? stdout.replaceAll(/^(?!.*\/chroot = ).*\n/gm, '') : stdout;
  return [status, sorted(lines), ...(argv[0] === 'opendkim' ? [sorted(stderr)] : [])].join('\n');
}

function differing(real: string, played: string): string {
  const [ours, theirs] = [new Set(played.split('\n')), new Set(real.split('\n'))];
  const lines = [
    ...[...theirs].filter(line => !ours.has(line)).map(line => `only real: ${line}`),
    ...[...ours].filter(line => !theirs.has(line)).map(line => `only imitated: ${line}`),
  ];
  return lines.join(' | ');
}

describe.each(releases)('$suite', release => {
  let layers: Layered | undefined;
  beforeAll(() => {
    layers = layered(imageOf(release));
  });
  afterAll(() => layers?.drop());

  test('postconf and opendkim -n', async () => {
    const root = layers?.root ?? '';
    expect(root).not.toBe('');
    const found = new Map<string, string>();
    let asked = 0;
    for (const name of fixtureNames()) {
      const host = fixtureHost(name);
      const has = (file: string): boolean => host.files.nodes.get(file)?.kind === 'file';
      const config = ['/etc/opendkim.conf', '/etc/opendkim/opendkim.conf'].find(has);
      const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'waxseal-imitation-'));
      onTestFinished(() => fs.rmSync(scratch, {recursive: true, force: true}));
      const takeAway = lay(host, root);
      lay(host, scratch);
      // The daemon goes there before it reads anything.
      const base = /^BaseDirectory\s+(\/\S+)/im.exec(
        config === undefined ? '' : host.files.text(config),
      )?.[1];
      if (base !== undefined) fs.mkdirSync(path.join(root, base), {recursive: true});
      const played = imitation(scratch);
      const commands: readonly Argv[] = [
        ...(has('/etc/postfix/main.cf') && has('/etc/postfix/master.cf')
          ? postfixCommands(release.version)
          : []),
        ...(config === undefined ? [] : [['opendkim', '-n', '-x', config] as const]),
      ];
      for (const argv of commands) {
        const real = inside(root, argv);
        const imitated = await played.run(argv);
        asked += 1;
        const difference = differing(answer(argv, real), answer(argv, imitated as Ran));
        if (difference === '') continue;
        found.set(`${name}: ${argv.slice(0, 2).join(' ')}`, difference);
      }
      takeAway();
    }
    const lines = [...found].map(
      ([what, difference]) => `${what}: ${difference} (${KNOWN[what] ?? 'NOT KNOWN'})`,
    );
    console.log([`${asked} answers compared, ${found.size} differ`, ...lines].join('\n'));
    expect(asked).toBeGreaterThan(200);
    expect([...found.keys()].sort()).toEqual(Object.keys(KNOWN).sort());
  });
});
