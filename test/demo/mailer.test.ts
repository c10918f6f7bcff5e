/** The sandbox's Postfix: dialogue, queue and what it makes of a milter that is missing (FACTS 3). */
import {describe, expect, it, onTestFinished} from 'vitest';
import {openSandbox, type Sandbox} from '../../src/demo/sandbox.ts';
import {absolute} from '../../src/domain/paths.ts';
import type {Argv} from '../../src/system/ports.ts';
import {hastyClock, testParts} from './world.ts';

async function open(mainCf = '', masterCf?: (text: string) => string): Promise<Sandbox> {
  const sandbox = await openSandbox(testParts(hastyClock()));
  onTestFinished(() => sandbox.close());
  const edit = async (path: string, change: (text: string) => string): Promise<void> => {
    const text = (await sandbox.machine.text(absolute(path))) ?? '';
    await sandbox.ports.files.replace(absolute(path), Buffer.from(change(text)), {
      mode: 0o644,
      uid: 0,
      gid: 0,
    });
  };
  await edit('/etc/postfix/main.cf', text => `${text}${mainCf}\n`);
  if (masterCf !== undefined) await edit('/etc/postfix/master.cf', masterCf);
  return sandbox;
}

const run = (sandbox: Sandbox, ...argv: Argv) => sandbox.ports.commands.run(argv);

/** One SMTP session: sends each line after the reply to the one before; the first line of every reply. */
async function smtp(sandbox: Sandbox, lines: readonly string[]): Promise<readonly string[]> {
  const stream = await sandbox.ports.sockets.connect({kind: 'tcp', host: '127.0.0.1', port: 25}, 1000);
  const left = [...lines];
  const replies: string[] = [];
  await new Promise<void>(resolve => {
    let text = '';
    stream.on('error', () => resolve()).on('close', () => resolve());
    stream.on('data', chunk => {
      text += String(chunk);
      const last = text.split('\r\n').at(-2);
      if (!text.endsWith('\r\n') || last === undefined || /^\d{3}-/.test(last)) return;
      replies.push(text.split('\r\n')[0] ?? '');
      text = '';
      const next = left.shift();
      if (next === undefined) stream.destroy();
      else stream.write(`${next}\r\n`);
    });
  });
  return replies;
}

const MESSAGE = ['EHLO me', 'MAIL FROM:<a@example.org>', 'RCPT TO:<b@example.net>', 'DATA'];
const DATA = 'From: a@example.org\r\n\r\n..one\r\ntwo\r\n.';

const sendmail = (sandbox: Sandbox) =>
  sandbox.ports.commands.run(['sendmail', '-f', 'a@example.org', '--', 'b@example.net'], {
    input: Buffer.from('From: a@example.org\nSubject: x\n\nhello\n'),
  });

const queued = async (sandbox: Sandbox): Promise<readonly string[]> =>
  (await run(sandbox, 'postqueue', '-j')).stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => (JSON.parse(line) as {queue_name: string}).queue_name);

describe('SMTP', () => {
  it('takes a message, dots and all, and keeps it in the queue', async () => {
    const sandbox = await open();
    const replies = await smtp(sandbox, [...MESSAGE, DATA, 'QUIT']);
    expect(replies.map(reply => reply.slice(0, 3))).toEqual([
      '220',
      '250',
      '250',
      '250',
      '354',
      '250',
      '221',
    ]);
    const id = /queued as (\w+)/.exec(replies[5] ?? '')?.[1] ?? '';
    const text = (await run(sandbox, 'postcat', '-qbh', id)).stdout;
    expect(text).toMatch(/^From: a@example\.org\nMessage-Id: <\S+>\n\n\.one\ntwo\n$/);
    expect(await queued(sandbox)).toEqual(['deferred']);
    const removed = await run(sandbox, 'postsuper', '-d', id);
    expect(removed).toMatchObject({
      status: 0,
      stdout: '',
      stderr: expect.stringContaining('Deleted: 1 message'),
    });
    expect(await queued(sandbox)).toEqual([]);
    expect((await run(sandbox, 'postcat', '-qbh', id)).status).toBe(1);
    expect((await run(sandbox, 'postsuper', '-d', id)).stderr).toBe('');
  });

  it.each([
    [['RCPT TO:<b@example.net>'], '503'],
    [['DATA'], '503'],
    [['MAIL nonsense'], '501'],
    [['MAIL FROM:<a@example.org>', 'RSET', 'RCPT TO:<b@example.net>'], '503'],
    [['VRFY a'], '502'],
    [['NOOP'], '250'],
  ])('answers %j with %s', async (lines, code) => {
    const replies = await smtp(await open(), lines);
    expect(replies.at(-1)?.slice(0, 3)).toBe(code);
  });

  it.each([
    ['inet:8891@localhost', 'fatal: 8891@localhost: garbage after numerical service'],
    ['{ unix:opendkim/opendkim.sock', "missing '}'"],
  ])('is dead with smtpd_milters = %s, though postfix check finds nothing', async (milters, line) => {
    const sandbox = await open(`smtpd_milters = ${milters}`);
    expect((await run(sandbox, 'postfix', 'check')).status).toBe(0);
    expect(await smtp(sandbox, ['EHLO me'])).toEqual([]);
    expect(sandbox.machine.lines.map(({text}) => text).join('\n')).toContain(line);
  });
});

describe('a milter that cannot be reached', () => {
  const milters = 'smtpd_milters = unix:opendkim/none.sock\nnon_smtpd_milters = $smtpd_milters\n';

  it.each([
    ['', '421 4.7.1', 'maildrop'],
    ['milter_default_action = accept', '250 2.0.0', 'deferred'],
    ['milter_default_action = tempfail', '451 4.7.1', 'maildrop'],
    ['milter_default_action = quarantine', '250 2.0.0', 'hold'],
    ['milter_default_action = nonsense', '451 4.3.5', 'maildrop'],
  ])('with %j answers %s, and mail of sendmail is in %s', async (action, reply, queue) => {
    const sandbox = await open(`${milters}${action}`);
    const replies = await smtp(sandbox, [...MESSAGE, DATA]);
    expect(replies.at(-1)).toContain(reply);
    for (const each of [...sandbox.mailer.queue.keys(), ...sandbox.mailer.held.keys()]) {
      await run(sandbox, 'postsuper', '-d', each);
    }
    expect((await sendmail(sandbox)).status).toBe(0);
    expect(await queued(sandbox)).toEqual([queue]);
    const log = sandbox.machine.lines.map(({text}) => text).join('\n');
    expect(log).toContain(
      'warning: connect to Milter service unix:opendkim/none.sock: No such file or directory',
    );
    if (queue === 'maildrop') expect(log).toContain('milter-reject: END-OF-MESSAGE');
  });

  it('obeys the action of the entry itself before the general one', async () => {
    const sandbox = await open(
      'smtpd_milters = { unix:opendkim/none.sock, default_action=accept }\nmilter_default_action = tempfail',
    );
    expect((await smtp(sandbox, [...MESSAGE, DATA])).at(-1)).toContain('250 2.0.0');
  });

  it('sees an absolute path below its chroot, and as it stands without one', async () => {
    const main = 'smtpd_milters = unix:/run/opendkim/opendkim.sock\nmilter_default_action = tempfail';
    const chrooted = await open(main);
    expect((await smtp(chrooted, [...MESSAGE, DATA])).at(-1)).toContain('451');
    expect(chrooted.machine.lines.at(-2)?.text).toContain('No such file or directory');
    const free = await open(main, text => text.replace(/^(smtp +inet.*) y /m, '$1 n '));
    await smtp(free, [...MESSAGE, DATA]);
    // The directory of the socket is closed to Postfix, but it is found.
    expect(free.machine.lines.at(-2)?.text).toContain('Permission denied');
  });

  it('is not asked where the service has milters of its own, or none', async () => {
    const own = await open(milters, text => text.replace(/^(smtp +inet.*)$/m, '$1\n  -o smtpd_milters='));
    expect((await smtp(own, [...MESSAGE, DATA])).at(-1)).toContain('250 2.0.0');
    const none = await open(milters, text =>
      text.replace(/^(smtp +inet.*)$/m, '$1\n  -o receive_override_options=no_milters'),
    );
    expect((await smtp(none, [...MESSAGE, DATA])).at(-1)).toContain('250 2.0.0');
  });
});
