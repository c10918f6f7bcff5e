import {readFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';
import {layouts} from '../../src/layouts/index.ts';
import {
  installCommand,
  isPackageManager,
  PACKAGE_MANAGERS,
  type PackageManager,
  type PackageManagerName,
} from '../../src/layouts/package-managers.ts';

const answer = (name: string): string =>
  readFileSync(path.join(import.meta.dirname, '../fixtures/package-managers', name), 'utf8');

const LONG = 'a-library-with-a-name-that-is-longer-than-its-column';

describe('what a package manager would install', () => {
  it.each<[PackageManagerName, string, readonly string[], readonly string[]]>([
    ['dnf', 'dnf-install.txt', ['opendkim', LONG, 'libopendkim'], []],
    ['dnf', 'dnf-install-again.txt', [], []],
    [
      'dnf',
      'dnf-install-removes.txt',
      ['sendmail-milter-rival'],
      ['libopendkim', 'opendkim', 'opendkim-tools'],
    ],
    ['dnf', 'dnf-install-replaces.txt', ['new-dkim'], ['old-dkim.noarch']],
    ['zypper', 'zypper-install.xml', [LONG, 'libopendkim', 'opendkim'], []],
    ['zypper', 'zypper-install-again.xml', [], []],
    ['apk', 'apk-install.txt', ['linux-firmware-none'], ['linux-firmware']],
  ])('%s: %s', (name, file, adds, removes) => {
    expect(PACKAGE_MANAGERS[name].parseInstall(answer(file))).toEqual({adds, removes});
  });

  it('apt', () => {
    const stdout = 'Inst opendkim (2.11.0 Debian:13 [amd64])\nRemv exim4 [4.96]\nConf opendkim (2.11.0)\n';
    expect(PACKAGE_MANAGERS.apt.parseInstall(stdout)).toEqual({adds: ['opendkim'], removes: ['exim4']});
  });
});

describe('what a package manager would remove', () => {
  it.each<[PackageManagerName, string, readonly string[]]>([
    ['dnf', 'dnf-remove.txt', ['libopendkim', 'opendkim', 'opendkim-tools']],
    ['zypper', 'zypper-remove.xml', ['libopendkim', 'opendkim', 'opendkim-tools']],
  ])('%s: %s', (name, file, names) => {
    expect(PACKAGE_MANAGERS[name].parseRemoval(answer(file))).toEqual(names);
  });

  it('apk, with what stays because others need it', () => {
    expect(PACKAGE_MANAGERS.apk.parseRemoval(answer('apk-remove-kept.txt'))).toEqual([
      ...['autoconf', 'm4', 'libatomic'],
      ...['libpng-dev', 'freetype-dev', 'icu-dev', 'libzip-dev', 'jpeg-dev', 'oniguruma-dev', 'libwebp-dev'],
    ]);
    expect(PACKAGE_MANAGERS.apk.parseRemoval('(1/1) Purging opendkim (2.10.3-r9)\nOK: 9 MiB\n')).toEqual([
      'opendkim',
    ]);
  });
});

describe('the commands of a package manager', () => {
  it('are told from another name of a journal', () => {
    expect(isPackageManager('zypper')).toBe(true);
    expect(isPackageManager('toString')).toBe(false);
    expect(isPackageManager(undefined)).toBe(false);
  });

  it.each(Object.entries(PACKAGE_MANAGERS))('%s takes names after its last option only', (_, entry) => {
    const manager: PackageManager = entry;
    const argvs = [manager.installArgv, manager.tryInstallArgv, manager.removeArgv, manager.tryRemovalArgv];
    for (const argv of argvs.map(make => make(['one', 'two'])))
      expect(argv.slice(-3)).toEqual(['--', 'one', 'two']);
  });

  it('are shown to a person as the host has them', () => {
    expect(
      layouts.map(({packageManager, packages}) => installCommand(packageManager, packages.opendkim)),
    ).toEqual([
      'apt-get install opendkim',
      'pacman -S opendkim',
      'dnf install opendkim',
      'apk add opendkim opendkim-utils',
      'zypper install opendkim',
    ]);
  });

  it('that end with 1 have answered where dnf was only asked', () => {
    const result = {status: 1, stdout: answer('dnf-install.txt'), stderr: '', ended: 'exit'} as const;
    expect(PACKAGE_MANAGERS.dnf.hasAnswered(result)).toBe(true);
    expect(
      PACKAGE_MANAGERS.dnf.hasAnswered({...result, stdout: 'Error: Unable to find a match: no-such\n'}),
    ).toBe(false);
  });
});
