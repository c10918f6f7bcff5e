/** The programs of the sandbox answer in the forms that the real ones have (FACTS 3.2). */
import {describe, expect, it, onTestFinished} from 'vitest';
import {openSandbox, type Sandbox} from '../../src/demo/sandbox.ts';
import {showUnits} from '../../src/services/systemd.ts';
import type {Argv, CommandResult} from '../../src/system/ports.ts';
import {hastyClock, testParts} from './world.ts';

async function open(): Promise<{sandbox: Sandbox; run(...argv: Argv): Promise<CommandResult>}> {
  const sandbox = await openSandbox(testParts(hastyClock()));
  onTestFinished(() => sandbox.close());
  return {sandbox, run: (...argv) => sandbox.ports.commands.run(argv)};
}

describe('postconf', () => {
  it('tells explicit, effective, expanded and default values', async () => {
    const {run} = await open();
    const explicit = (await run('postconf', '-n')).stdout;
    expect(explicit).toContain('myhostname = mail.example.org\n');
    expect(explicit).not.toContain('milter_protocol');
    expect((await run('postconf', '-h', 'milter_protocol')).stdout).toBe('6\n');
    expect((await run('postconf', '-d', 'milter_default_action')).stdout).toBe(
      'milter_default_action = shutdown\n',
    );
    expect((await run('postconf', 'mydestination')).stdout).toContain('$myhostname');
    expect((await run('postconf', '-xh', 'mydestination')).stdout).toBe(
      'mail.example.org, example.org, localhost.example.org, localhost\n',
    );
    expect((await run('postconf', '-c', '/etc/postfix', '-h', 'mail_version')).stdout).toBe('3.10.13\n');
  });

  it('warns of a name it does not know, with exit 0', async () => {
    const {run} = await open();
    expect(await run('postconf', '-h', 'no_such_name')).toMatchObject({
      status: 0,
      stdout: '',
      stderr: 'postconf: warning: no_such_name: unknown parameter\n',
    });
  });

  it('tells services, their options and their chroot', async () => {
    const {run} = await open();
    expect((await run('postconf', '-M', 'smtp/inet')).stdout).toBe('smtp inet n - y - - smtpd\n');
    expect((await run('postconf', '-P')).stdout).toContain('submission/inet/smtpd_sasl_auth_enable = yes\n');
    expect((await run('postconf', '-F', 'smtp/inet/chroot', 'cleanup/unix/chroot')).stdout).toBe(
      'smtp/inet/chroot = y\ncleanup/unix/chroot = y\n',
    );
  });
});

describe('systemctl', () => {
  it('shows several units, one paragraph each', async () => {
    const {sandbox} = await open();
    const units = await showUnits(
      sandbox.ports.commands,
      ['postfix', 'opendkim.service', 'rspamd'],
      ['LoadState', 'ActiveState', 'PIDFile'],
    );
    expect(units).toEqual([
      {LoadState: 'loaded', ActiveState: 'active', PIDFile: ''},
      {LoadState: 'loaded', ActiveState: 'active', PIDFile: '/run/opendkim/opendkim.pid'},
      {LoadState: 'not-found', ActiveState: 'inactive', PIDFile: ''},
    ]);
  });

  it.each([
    [['is-active', 'opendkim'], 0],
    [['is-active', 'nothing'], 4],
    [['restart', 'nothing'], 5],
    [['restart', 'opendkim.service'], 0],
    [['reload', 'postfix.service'], 0],
    [['reset-failed', 'opendkim'], 0],
    [['dance', 'opendkim'], 1],
  ] as const)('%j ends with %i', async (argv, status) => {
    const {run} = await open();
    expect((await run('systemctl', ...argv)).status).toBe(status);
  });

  it('knows a stopped signer', async () => {
    const {run} = await open();
    await run('systemctl', 'stop', 'opendkim');
    expect(await run('systemctl', 'is-active', 'opendkim')).toMatchObject({status: 3, stdout: 'inactive\n'});
    expect((await run('systemctl', 'reload', 'opendkim')).status).toBe(1);
    expect((await run('systemctl', 'show', 'opendkim', '-p', 'ActiveState', '--value')).stdout).toBe(
      'inactive\n',
    );
  });
});

describe('the rest', () => {
  it('has no other programs', async () => {
    const {run} = await open();
    expect(await run('rspamadm', 'configtest')).toMatchObject({ended: 'missing', status: null});
  });

  it('journalctl obeys its filters', async () => {
    const {sandbox, run} = await open();
    const {machine} = sandbox;
    machine.lines.length = 0;
    machine.lines.push(
      {at: new Date(1000), identifier: 'opendkim', text: 'old'},
      {at: new Date(5000), identifier: 'opendkim', text: 'new'},
      {at: new Date(6000), identifier: 'postfix/smtpd', text: 'other'},
      {at: new Date(7000), identifier: 'opendkim', text: 'last'},
    );
    expect((await run('journalctl', '-t', 'opendkim', '--since', '@5')).stdout).toBe('new\nlast\n');
    expect((await run('journalctl', '-t', 'opendkim', '-n', '1')).stdout).toBe('last\n');
    expect((await run('journalctl', '-t', 'opendkim', '-t', 'postfix/smtpd', '--since', '@6')).stdout).toBe(
      'other\nlast\n',
    );
  });

  it('kill ends what runs, once', async () => {
    const {run, sandbox} = await open();
    const [pid = 0] = [...sandbox.machine.processes.keys()].slice(-1);
    expect((await run('kill', '-0', String(pid))).status).toBe(0);
    expect((await run('kill', String(pid))).status).toBe(0);
    expect((await run('kill', String(pid))).status).toBe(1);
  });
});
