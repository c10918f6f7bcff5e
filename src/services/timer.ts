/** The timer that advances rotations: systemd units, or a line for cron where there is no systemd. */
import {type AbsolutePath, absolute, parentOf} from '../domain/paths.ts';
import type {HostFacts} from './facts.ts';
import {directoryStep, entryOf, ROOT, textStep} from './files.ts';
import {COMMAND_MS, READY_MS} from './limits.ts';
import {serviceStep} from './manager.ts';
import {mtaOf, SIGNER} from './registry.ts';
import type {ConfigurationSnapshot} from './snapshot.ts';
import type {ServiceStep, Step} from './step.ts';

export const TIMER_UNIT_NAME = 'waxseal-rotate.timer';

export const TIMER_FILES = {
  service: absolute('/etc/systemd/system/waxseal-rotate.service'),
  timer: absolute('/etc/systemd/system/waxseal-rotate.timer'),
  // A link below timers.target.wants would be an enabling that no plan knows; a drop-in is a file as any other.
  wanted: absolute('/etc/systemd/system/timers.target.d/waxseal.conf'),
  cron: absolute('/etc/cron.d/waxseal'),
} as const;

/** What the units are made for. */
export interface TimerJob {
  /** Runs waxseal, as an argument vector. */
  readonly program: readonly string[];
  /** Real directories where a rotation has to write; those that the unit lets it write to anyway do not matter. */
  readonly writes: readonly AbsolutePath[];
  readonly isActive: boolean;
}

/** Steps that install it; none where it is there already. */
export function planTimer(
  facts: Pick<HostFacts, 'serviceManager'>,
  snapshot: ConfigurationSnapshot,
  {program, writes, isActive}: TimerJob,
): readonly Step[] {
  const file = (path: AbsolutePath, text: string, why: string) =>
    textStep(snapshot, path, text, why, {owner: ROOT, mode: 0o644});
  if (facts.serviceManager !== 'systemd') {
    return file(TIMER_FILES.cron, cronLine(program), 'Let cron advance rotations every hour');
  }
  const directory = parentOf(TIMER_FILES.wanted);
  const units: readonly Step[] = [
    ...file(TIMER_FILES.service, serviceUnit(program, writes), 'Say what the timer runs'),
    ...file(TIMER_FILES.timer, TIMER_UNIT, 'Advance rotations every hour'),
    ...(entryOf(snapshot, directory).stat === undefined
      ? directoryStep(
          snapshot,
          directory,
          ROOT,
          0o755,
          'Make the place for what the timers of this host include',
        )
      : []),
    ...file(TIMER_FILES.wanted, WANTED, 'Start the timer at each boot'),
  ];
  return units.length === 0 && isActive ? [] : [...units, READ_UNITS, start(isActive)];
}

/** The same command reads the units again when they are taken away. */
const READ_UNITS: ServiceStep = {
  kind: 'service',
  id: 'service:systemd',
  why: 'Let systemd read its units again',
  unit: 'systemd',
  action: 'reload',
  argv: ['systemctl', 'daemon-reload'],
  timeoutMs: COMMAND_MS,
  ready: {withinMs: READY_MS, steadyMs: 0},
  wasActive: false,
  stopArgv: ['systemctl', 'daemon-reload'],
};

const start = (wasActive: boolean): ServiceStep =>
  serviceStep('systemd', {
    unit: TIMER_UNIT_NAME,
    why: 'Start the timer',
    action: 'restart',
    steadyMs: 0,
    wasActive,
  });

const WANTED = `# Made by waxseal rotate --install-timer; waxseal undo takes it away.
[Unit]
Wants=waxseal-rotate.timer
`;

const TIMER_UNIT = `# Made by waxseal rotate --install-timer; waxseal undo takes it away.
[Unit]
Description=Advance DKIM key rotations

[Timer]
OnCalendar=hourly
RandomizedDelaySec=30m
Persistent=true
`;

/** An argument of ExecStart= in quotes; % and $ stand for themselves (systemd.service(5)). */
const quoted = (word: string): string =>
  `"${word.replaceAll(/["\\]/g, '\\$&').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`;

/**
 * Where a rotation writes on this host: tables, private keys, the queue of a change. `ports` of the caller resolve links,
 * since the unit lets write to what a link leads to.
 */
export const rotationPlaces = (facts: HostFacts): readonly AbsolutePath[] => [
  ...new Set([...SIGNER.places(facts), ...(mtaOf(facts)?.places(facts) ?? [])]),
];

const WRITABLE = ['/etc', '/var/lib/waxseal', '/run'];
/** What a list of paths of systemd takes without quotes and specifiers. */
const PLAIN_PATH = /^\/[A-Za-z0-9_./+@:-]+$/;

/** Places of this host that are elsewhere. A hyphen leaves out what is not there. */
const furtherPlaces = (writes: readonly AbsolutePath[]): readonly string[] =>
  [...new Set(writes)]
    .filter(
      path => PLAIN_PATH.test(path) && !WRITABLE.some(each => path === each || path.startsWith(`${each}/`)),
    )
    .sort()
    .map(path => ` -${path}`);

const serviceUnit = (
  program: readonly string[],
  writes: readonly AbsolutePath[],
): string => `# Made by waxseal rotate --install-timer; waxseal undo takes it away.
[Unit]
Description=Advance DKIM key rotations
Wants=network-online.target
After=network-online.target nss-lookup.target

[Service]
Type=oneshot
ExecStart=${program.map(quoted).join(' ')} rotate --advance --no-input
# 3: a record is waited for; 4: a person must act, which the journal and the mail say; 8: another run is at work.
SuccessExitStatus=3 8
TimeoutStartSec=15min
Nice=10

UMask=0077
NoNewPrivileges=yes
# What services need, and chroot, which a hook or a mail program may use.
SystemCallFilter=@system-service chroot
SystemCallErrorNumber=EPERM
KeyringMode=private
ProtectSystem=strict
ReadWritePaths=/etc -/var/lib/waxseal -/run${furtherPlaces(writes).join('')}
StateDirectory=waxseal
StateDirectoryMode=0711
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SYS_CHROOT
`;

/** A word for sh(1), which cron uses; a percent sign ends a line of crontab(5). */
const shellWord = (word: string): string =>
  /^[A-Za-z0-9_./:@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`.replaceAll('%', '\\%');

const cronLine = (
  program: readonly string[],
): string => `# Made by waxseal rotate --install-timer; waxseal undo takes it away.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
17 * * * * root ${program.map(shellWord).join(' ')} rotate --advance --no-input --quiet
`;
