/**
 * Pristine images, one a release, built once and only ever read afterwards: every host is an overlay on top.
 * The file name carries a digest of the recipe, so a change here builds anew and an old image is never taken for it.
 */
import {createHash} from 'node:crypto';
import {access, chmod, mkdir, readdir, readFile, rename, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {imageDirectory} from './places.ts';
import {describeOutcome, must, run} from './process.ts';
import type {Release} from './release.ts';

/** tmux is there for the wizard: an administrator's terminal, with the program in the host's own namespaces. */
const PACKAGES = [
  'systemd-sysv',
  'dbus',
  'iproute2',
  'procps',
  'passwd',
  'sudo',
  'ca-certificates',
  'postfix',
  'opendkim',
  'opendkim-tools',
  'tmux',
];

/** Answers that an administrator gives while the packages are installed. */
const PRESEED = [
  'postfix postfix/main_mailer_type select Internet Site',
  'postfix postfix/mailname string example.com',
].join('\n');

/** Where the image keeps the signer's packages, for hosts that have to install it: they reach no other source. */
export const PACKAGE_DIRECTORY = '/srv/packages';
const KEPT_PACKAGES = ['opendkim', 'opendkim-tools'];

/** Nothing in a mail host needs these to send mail, and each costs time at boot or works at a moment of its own. */
const MASKED = [
  'systemd-networkd.service',
  'systemd-timesyncd.service',
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
  'logrotate.timer',
  'systemd-tmpfiles-clean.timer',
  'getty.target',
  'console-getty.service',
  'ldconfig.service',
  'systemd-journal-catalog-update.service',
  'systemd-update-utmp.service',
];

const HOSTS = [
  '127.0.0.1 localhost',
  '::1 localhost ip6-localhost ip6-loopback',
  '10.53.2.1 mail.example.com mail',
  '',
].join('\n');

const LAUNCHER = '#!/bin/sh\nexec node /opt/waxseal/dist/waxseal.js "$@"\n';

/** A key for the machine that is the same in each boot, or the first boot counts as a factory reset and takes longer. */
const MACHINE_ID = '5d7c9b1f4e6a4c0d8f2b3a1907e6c5d4\n';

const packagesOf = (release: Release): readonly string[] => [
  ...PACKAGES,
  ...(release.ownNode ? ['nodejs'] : []),
  ...(release.more?.packages ?? []),
];

/** What the names of all its images begin with; no two kinds share it. */
const kindOf = ({suite, more}: Release): string => (more === undefined ? suite : `${suite}+${more.name}`);

function digest(release: Release): string {
  const recipe = JSON.stringify([
    4,
    packagesOf(release),
    KEPT_PACKAGES,
    PRESEED,
    MASKED,
    HOSTS,
    LAUNCHER,
    MACHINE_ID,
  ]);
  return createHash('sha256').update(recipe).digest('hex').slice(0, 12);
}

export const imageOf = (release: Release): string =>
  path.join(imageDirectory, `${kindOf(release)}-${digest(release)}`);

/** Builds the image unless it is there. Takes about half a minute the first time. */
export async function buildImage(release: Release): Promise<void> {
  const image = imageOf(release);
  if (await exists(image)) return;
  await mkdir(imageDirectory, {recursive: true});
  const draft = `${image}.${process.pid}`;
  const outcome = await run(
    [
      'mmdebstrap',
      '--quiet',
      '--variant=minbase',
      `--include=${packagesOf(release).join(',')}`,
      // debconf is part of the essential set: its database can be filled before any package asks.
      `--essential-hook=printf '%s\\n' "$LAB_PRESEED" | chroot "$1" debconf-set-selections`,
      `--customize-hook=mkdir -p "$1${PACKAGE_DIRECTORY}"`,
      `--customize-hook=chroot "$1" sh -c 'cd ${PACKAGE_DIRECTORY} && apt-get download -q ${KEPT_PACKAGES.join(' ')}'`,
      release.suite,
      draft,
    ],
    {
      timeoutMs: 15 * 60_000,
      environment: {
        PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
        LC_ALL: 'C.UTF-8',
        LAB_PRESEED: PRESEED,
        ...proxySettings(),
      },
    },
  );
  if (outcome.status !== 0) {
    await rm(draft, {recursive: true, force: true});
    throw new Error(`${release.name} could not be installed into ${image}: ${describeOutcome(outcome)}`);
  }
  await furnish(release, draft);
  // A finished image appears under its name in one step: an interrupted build is never mistaken for one.
  await rename(draft, image).catch(async (error: unknown) => {
    // Another run of the lab has built the same one meanwhile.
    await rm(draft, {recursive: true, force: true});
    if (!(await exists(image))) throw error;
  });
  await removeOld(release);
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

/** A machine may reach its packages only by a proxy that is named in the environment. */
function proxySettings(): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const name of ['http_proxy', 'https_proxy', 'no_proxy']) {
    const value = process.env[name];
    if (value !== undefined) settings[name] = value;
  }
  return settings;
}

/** What an administrator would have set on the host before DKIM comes up: names, resolver, a mail domain. */
async function furnish(release: Release, root: string): Promise<void> {
  const put = (name: string, text: string): Promise<void> => writeFile(path.join(root, name), text);
  await put('etc/hostname', 'mail\n');
  await put('etc/hosts', HOSTS);
  await put('etc/mailname', 'example.com\n');
  await put('etc/resolv.conf', 'nameserver 10.53.0.53\n');
  await chmod(path.join(root, 'etc/resolv.conf'), 0o644);
  await put('etc/machine-id', MACHINE_ID);
  const units = path.join(root, 'etc/systemd/system');
  for (const unit of MASKED) {
    await rm(path.join(units, unit), {force: true});
    await run(['ln', '-s', '/dev/null', path.join(units, unit)]);
  }
  const main = path.join(root, 'etc/postfix/main.cf');
  const configuration = await readFile(main, 'utf8');
  // The package takes the name of the machine that built the image; an administrator answers with the host's own.
  await writeFile(
    main,
    configuration
      .replace(/^myhostname = .*$/m, 'myhostname = mail.example.com')
      .replace(/^mydestination = .*$/m, 'mydestination = $myhostname, example.com, localhost'),
  );
  await put('usr/local/bin/waxseal', LAUNCHER);
  await chmod(path.join(root, 'usr/local/bin/waxseal'), 0o755);
  await mkdir(path.join(root, 'opt/waxseal'), {recursive: true});
  await indexPackages(path.join(root, PACKAGE_DIRECTORY));
  // A place to mount Node on; mounting needs a file to be there.
  if (!release.ownNode) await put('usr/local/bin/node', '');
}

async function removeOld(release: Release): Promise<void> {
  const current = path.basename(imageOf(release));
  for (const name of await readdir(imageDirectory)) {
    // A draft of the current one may be another run's work in progress.
    if (name.startsWith(`${kindOf(release)}-`) && !name.startsWith(current)) {
      await rm(path.join(imageDirectory, name), {recursive: true, force: true});
    }
  }
}

/** What apt reads of a directory of packages: the control fields of each, its size and digest. */
async function indexPackages(directory: string): Promise<void> {
  const entries: string[] = [];
  for (const name of (await readdir(directory)).filter(name => name.endsWith('.deb')).sort()) {
    const content = await readFile(path.join(directory, name));
    const fields = await must(['dpkg-deb', '--field', path.join(directory, name)]);
    const digest = createHash('sha256').update(content).digest('hex');
    entries.push(`${fields.trimEnd()}\nFilename: ./${name}\nSize: ${content.length}\nSHA256: ${digest}\n`);
  }
  await writeFile(path.join(directory, 'Packages'), entries.join('\n'));
}
