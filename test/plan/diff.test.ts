import {execFileSync, spawnSync} from 'node:child_process';
import fs from 'node:fs';
import {applyPatch} from 'diff';
import {describe, expect, it} from 'vitest';
import {changeViews, makePlan, planDiff, textDiff} from '../../src/plan/index.ts';
import {fc} from '../support/fast-check.ts';
import {scratch} from '../system/scratch.ts';
import {scratchWorld} from './scratch-world.ts';
import {SECRET, setupPlan} from './world.ts';

// A machine for the tests needs Node and nothing else; where patch(1) is missing, a library stands in for it.
const hasPatch = spawnSync('patch', ['--version']).status === 0;

describe('textDiff', () => {
  it('is what patch(1) applies, for any two texts', () => {
    const {real} = scratch();
    const patched = (before: string, diff: string): string => {
      if (!hasPatch) return String(applyPatch(before, diff));
      fs.writeFileSync(real('/etc/x'), before);
      fs.writeFileSync(real('/etc/p'), diff);
      execFileSync('patch', ['-s', '--no-backup-if-mismatch', '-E', real('/etc/x'), real('/etc/p')]);
      return fs.existsSync(real('/etc/x')) ? fs.readFileSync(real('/etc/x'), 'utf8') : '';
    };
    const line = fc.constantFrom('a\n', 'b\n', 'c\n', '\td\n', '\n');
    const text = fc
      .tuple(fc.array(line, {maxLength: 14}), fc.constantFrom('', 'tail'))
      .map(([lines, tail]) => lines.join('') + tail);
    fc.assert(
      fc.property(text, text, (before, after) => {
        const diff = textDiff('x', before, after);
        if (before === after) expect(diff).toBe('');
        else expect(patched(before, diff)).toBe(after);
      }),
      {numRuns: 150},
    );
  });

  it('shows a new and a removed file against /dev/null', () => {
    expect(textDiff('/etc/a', undefined, 'x\ny\n')).toBe(
      '--- /dev/null\n+++ /etc/a\n@@ -0,0 +1,2 @@\n+x\n+y\n',
    );
    expect(textDiff('/etc/a', 'x', undefined)).toBe(
      '--- /etc/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\\ No newline at end of file\n',
    );
  });

  it('makes control characters harmless and keeps tabs', () => {
    const diff = textDiff('/etc/a', '', 'Socket\tx\u001b[2J\u202e\r\n');
    expect(diff).toContain('+Socket\tx\\x1b[2J\\u{202e}\\x0d\n');
    expect(diff).not.toMatch(/[\u001b\u202e\r]/);
  });

  it('shows no password, be its line changed or near', () => {
    const lines = [
      'InternalHosts dsn:pgsql://reader:s3cret@127.0.0.1/mail/table=hosts',
      'LDAPBindPassword\ts3cret',
      '  password = "s3cret";',
      "@lookup_sql_dsn = (['DBI:Pg:', 'amavis', 's3cret']);",
      'smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd',
    ];
    const before = lines.join('\n');
    const near = textDiff('/t', before, `${before}\nSyslog yes`);
    const changed = textDiff('/t', before, before.replaceAll('s3cret', 's3cret2'));
    expect(near + changed).not.toContain('s3cret');
    expect(near).toContain(' LDAPBindPassword\t(not shown)\n');
    expect(near).toContain('smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd');
    expect(changed).toContain('dsn:pgsql://reader:***@127.0.0.1');
  });

  it('takes linear time for tables of many domains', () => {
    const rows = (from: number, to: number): string =>
      Array.from({length: to - from}, (_, index) => `k${from + index} d${from + index}.example:s:/k\n`).join(
        '',
      );
    // Of the processor, not of the clock: other tests run beside this one.
    const seconds = (before: string, after: string): number => {
      const begun = process.cpuUsage();
      textDiff('/t', before, after);
      const {user, system} = process.cpuUsage(begun);
      return (user + system) / 1e6;
    };
    const tail = rows(100_000, 100_010);
    expect(seconds(rows(0, 10) + tail, rows(0, 50_010) + tail)).toBeLessThan(5);
    // The worst case, everything different, is cut off: without that it takes minutes.
    expect(seconds(rows(0, 20_000), rows(20_000, 40_000))).toBeLessThan(20);
  });
});

describe('changeViews', () => {
  it('shows a whole set-up, and no secret', async () => {
    const world = scratchWorld();
    const plan = await setupPlan(world.ports.files, world.ports);
    const text = planDiff(plan);
    await expect(text).toMatchFileSnapshot('../../snapshots/plan/setup-diff.txt');
    expect(text).not.toContain('PRIVATE KEY-----');
    expect(text).toMatch(/private key, SHA-256 [0-9a-f]{16}…, not shown/);
    expect(JSON.stringify(changeViews(plan))).not.toContain('Zm9v');
  });

  it('hides a private key that is in the text of a file', () => {
    const step = {
      kind: 'file' as const,
      id: 'f',
      why: '',
      path: '/etc/k' as never,
      before: {state: 'absent' as const},
      after: {content: {from: 'text' as const, text: SECRET}, owner: {user: 'r', group: 'r'}, mode: 0o600},
    };
    expect(changeViews({steps: [step]})[0]?.diff).toBe('+ private key, not shown\n');
  });
});

it('refuses a plan that writes one file twice', async () => {
  const world = scratchWorld();
  const plan = await setupPlan(world.ports.files, world.ports);
  const steps = [
    ...plan.steps,
    ...plan.steps.filter(step => step.id === 'file:key').map(step => ({...step, id: 'other'})),
  ];
  expect(() => makePlan({...plan, steps, ...world.ports})).toThrow('twice');
  expect(plan.id).toMatch(/^\d{8}T\d{6}Z-[0-9a-f]{4}$/);
});
