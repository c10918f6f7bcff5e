import {describe, expect, it} from 'vitest';
import {
  findServiceManager,
  isRunning,
  logCommand,
  managerOf,
  type ServiceManagerName,
  serviceCommand,
  serviceStep,
} from '../../src/services/manager.ts';
import {fixtureHost} from '../support/fake-host.ts';

const ALL: readonly ServiceManagerName[] = ['systemd', 'openrc', 'sysv'];

const request = {
  unit: 'opendkim.service',
  why: 'why',
  action: 'restart',
  wasActive: true,
  steadyMs: 2000,
} as const;

describe('findServiceManager', () => {
  it('knows systemd and OpenRC by what each leaves in /run while it runs', async () => {
    const host = fixtureHost('debian-13');
    host.files.directory('/run/openrc');
    expect(await findServiceManager(host.files)).toBe('systemd');
    host.files.nodes.delete('/run/systemd/system');
    expect(await findServiceManager(host.files)).toBe('openrc');
    host.files.nodes.delete('/run/openrc');
    expect(await findServiceManager(host.files)).toBe('sysv');
  });
});

describe('serviceStep', () => {
  it('restarts by the manager, asks it where it can answer, and knows how undo stops the unit', () => {
    expect(ALL.map(manager => serviceStep(manager, request))).toMatchObject([
      {
        id: 'service:opendkim.service',
        argv: ['systemctl', 'restart', 'opendkim.service'],
        ready: {activeArgv: ['systemctl', 'is-active', '--quiet', 'opendkim.service'], steadyMs: 2000},
      },
      {
        argv: ['rc-service', 'opendkim', 'restart'],
        ready: {activeArgv: ['rc-service', 'opendkim', 'status']},
        stopArgv: ['rc-service', 'opendkim', 'stop'],
      },
      {argv: ['service', 'opendkim', 'restart'], stopArgv: ['service', 'opendkim', 'stop']},
    ]);
    expect(serviceStep('sysv', request).ready.activeArgv).toBeUndefined();
    expect(serviceStep('systemd', request).stopArgv).toBeUndefined();
  });

  it('restarts where only systemd knows whether a unit has a reload', () => {
    const reload = {...request, action: 'reload', verb: 'reload-or-restart'} as const;
    expect(ALL.map(manager => serviceStep(manager, reload).argv[manager === 'systemd' ? 1 : 2])).toEqual([
      'reload-or-restart',
      'restart',
      'restart',
    ]);
    expect(serviceStep('systemd', {...request, action: 'reload'}).argv[1]).toBe('reload');
  });

  it('is known again by its command, with the commands that show the unit to a person', () => {
    for (const manager of ALL) expect(managerOf(serviceStep(manager, request).argv)).toBe(manager);
    expect(managerOf(['/bin/systemctl', 'restart', 'x'])).toBe('systemd');
    expect(managerOf(['postfix', 'reload'])).toBeUndefined();
    expect(ALL.map(manager => serviceCommand(manager, 'status', 'opendkim.service'))).toEqual([
      'systemctl status opendkim.service',
      'rc-service opendkim status',
      'service opendkim status',
    ]);
    expect(logCommand('systemd', 'opendkim.service')).toBe('journalctl -u opendkim.service -n 50');
  });
});

describe('isRunning', () => {
  it('says no where the manager cannot say', async () => {
    const said: string[] = [];
    const commands = {
      async run(argv: readonly string[]) {
        said.push(argv.join(' '));
        return {status: 0, stdout: '', stderr: '', ended: 'exit'} as const;
      },
    };
    expect(await isRunning(commands, 'openrc', 'opendkim')).toBe(true);
    expect(await isRunning(commands, 'sysv', 'opendkim')).toBe(false);
    expect(said).toEqual(['rc-service opendkim status']);
  });
});
