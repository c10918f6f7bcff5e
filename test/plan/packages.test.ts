import {readFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';
import {foreseeInstall, installPackages, needing, removeBrought} from '../../src/plan/packages.ts';
import type {Argv, CommandResult, Commands} from '../../src/system/ports.ts';

const answer = (name: string): string =>
  readFileSync(path.join(import.meta.dirname, '../fixtures/package-managers', name), 'utf8');

/** Commands that answer by the longest begin of their line that is known; every line is kept. */
function fake(
  answers: Readonly<Record<string, Partial<CommandResult>>>,
): Pick<Commands, 'run'> & {readonly lines: string[]} {
  const lines: string[] = [];
  return {
    lines,
    async run(argv: Argv) {
      const line = argv.join(' ');
      lines.push(line);
      const known = Object.keys(answers)
        .filter(begin => line.startsWith(begin))
        .sort((one, other) => other.length - one.length)[0];
      if (known === undefined) throw new Error(`not foreseen: ${line}`);
      return {status: 0, stdout: '', stderr: '', ended: 'exit', ...answers[known]};
    },
  };
}

describe('with dnf', () => {
  const asked = {status: 1, stdout: answer('dnf-install.txt')};

  it('foresees what a declined installation shows', async () => {
    const commands = fake({'dnf install --assumeno': asked});
    expect(await foreseeInstall(commands, 'dnf', ['opendkim'])).toContain('libopendkim');
    expect(commands.lines).toHaveLength(1);
  });

  it('refreshes once where it finds no package, and says so where that did not help', async () => {
    const commands = fake({
      'dnf install --assumeno': {status: 1, stderr: 'Error: Unable to find a match: opendkim'},
      'dnf makecache': {},
    });
    await expect(foreseeInstall(commands, 'dnf', ['opendkim'])).rejects.toThrow(/Unable to find a match/);
    expect(commands.lines.map(line => line.split(' ')[1])).toEqual(['install', 'makecache', 'install']);
  });

  it('installs nothing that would remove a package of the host', async () => {
    const commands = fake({'dnf install': {status: 1, stdout: answer('dnf-install-removes.txt')}});
    await expect(foreseeInstall(commands, 'dnf', ['sendmail-milter-rival'])).rejects.toThrow(
      'would remove libopendkim, opendkim, opendkim-tools',
    );
  });
});

describe.each([
  ['zypper', 'zypper --non-interactive install', 'rpm -qa'],
  ['apk', 'apk add', 'apk info'],
  ['pacman', 'pacman -S', 'pacman -Qq'],
] as const)('with %s', (name, install, list) => {
  it('installs, and looks whether it is there afterwards', async () => {
    const there = fake({[install]: {}, [list]: {stdout: 'libmilter\nopendkim\n'}});
    await installPackages(there, name, ['opendkim']);
    const absent = fake({[install]: {}, [list]: {stdout: 'libmilter\n'}});
    await expect(installPackages(absent, name, ['opendkim'])).rejects.toThrow('opendkim is not installed');
  });
});

describe('removal', () => {
  it('names what needs the packages of the run', async () => {
    const zypper = fake({'zypper --non-interactive --xmlout remove': {stdout: answer('zypper-remove.xml')}});
    expect(await needing(zypper, 'zypper', ['libopendkim', 'opendkim'])).toEqual(['opendkim-tools']);
    const dnf = fake({'dnf remove --assumeno': {status: 1, stdout: answer('dnf-remove.txt')}});
    expect(await needing(dnf, 'dnf', ['libopendkim'])).toEqual(['opendkim', 'opendkim-tools']);
  });

  it('takes away what the run brought and nothing that was there before it', async () => {
    const apk = fake({
      'apk info': {stdout: 'musl\nlibmilter\nopendkim\nother\n'},
      'apk del --simulate': {
        stdout: '(1/2) Purging opendkim (2.10.3-r9)\n(2/2) Purging libmilter (1.0.2-r8)\n',
      },
      'apk del --': {},
    });
    await removeBrought(apk, 'apk', {before: ['musl'], adds: ['opendkim', 'libmilter']});
    expect(apk.lines.at(-1)).toBe('apk del -- libmilter opendkim');
  });
});
