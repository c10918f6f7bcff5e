/**
 * Faults at each boundary of a service on a real host: systemctl and postfix fail, or waxseal is killed, hung up on or
 * told to end right before or right after one of their calls, or somebody else changes a file meanwhile. A wrapper in
 * /usr/local/sbin, which comes first on PATH, does it at its Nth call; the program needs no hook for it.
 */
import {describe, expect, test} from 'vitest';
import {differences, exposedKeys, type Fingerprint, fingerprint} from './support/fingerprint.ts';
import type {Host} from './support/host.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {describeOutcome} from './support/process.ts';
import {releases} from './support/release.ts';
import {makeReady, waxseal, waxsealJson} from './support/waxseal.ts';
import {inWorld} from './support/world.ts';

const SETUP = ['setup', '--domain', 'example.com', '--yes', '--no-wait'] as const;
type Fault = 'fail' | 'KILL before' | 'KILL after' | 'TERM after' | 'HUP before';

/** Calls that change a service; the rest only look. */
const CHANGING = '*restart*|*reload*|*stop*|*start*';

/** Lays the wrappers; which call goes wrong, and how, is read from /run/lab at each call. */
async function wrap(host: Host): Promise<void> {
  for (const [name, real] of [
    ['systemctl', '/usr/bin/systemctl'],
    ['postfix', '/usr/sbin/postfix'],
  ] as const) {
    await host.write(
      `/usr/local/sbin/${name}`,
      `#!/bin/bash
case "$*" in is-active*|status*|show*|list*|check*|reset-failed*) exec ${real} "$@";; ${CHANGING}) ;; *) exec ${real} "$@";; esac
[ -e /run/lab/at ] || exec ${real} "$@"
count=$(( $(cat /run/lab/count 2>/dev/null || echo 0) + 1 ))
echo $count > /run/lab/count
echo "${name} $*" >> /run/lab/calls
[ "$count" = "$(cat /run/lab/at)" ] || exec ${real} "$@"
hit() { pkill "-$1" -f dist/waxseal.js; sleep 0.3; }
case "$(cat /run/lab/fault)" in
  fail) echo 'injected' >&2; exit 1;;
  'KILL before') hit KILL; exit 1;;
  'KILL after') ${real} "$@"; hit KILL; exit 0;;
  'TERM after') ${real} "$@"; status=$?; hit TERM; exit $status;;
  'HUP before') hit HUP; exec ${real} "$@";;
  edit) echo '# edited by somebody else' >> /etc/postfix/main.cf; exec ${real} "$@";;
esac
`,
    );
    await host.must(['chmod', '755', `/usr/local/sbin/${name}`]);
  }
}

async function arm(host: Host, at: number, fault: Fault | 'edit'): Promise<void> {
  await host.script(
    `rm -rf /run/lab; mkdir /run/lab; echo ${at} > /run/lab/at; printf '%s' '${fault}' > /run/lab/fault`,
  );
}
const disarm = (host: Host): Promise<string> => host.script('rm -rf /run/lab');

async function expectAsBefore(host: Host, before: Fingerprint, where: string): Promise<void> {
  expect(differences(before, await fingerprint(host), {allowState: true}), where).toEqual([]);
  expect(await exposedKeys(host), where).toEqual([]);
}

const EXPECTED: Readonly<Record<Fault, readonly (number | null)[]>> = {
  fail: [6],
  'KILL before': [null, 137],
  'KILL after': [null, 137],
  'TERM after': [143],
  'HUP before': [129, 130, 143],
};

/** Each takes twenty seconds: one that fails, one that kills and one that asks; all of them where it is asked for. */
function faultsAt(index: number): readonly Fault[] {
  if (process.env['WAXSEAL_LAB_CUTS'] === 'all') {
    return ['fail', 'KILL before', 'KILL after', 'TERM after', 'HUP before'];
  }
  return index % 2 === 0 ? ['fail', 'KILL after', 'TERM after'] : ['fail', 'KILL before', 'HUP before'];
}

const trixie = releases.filter(({suite}) => suite === 'trixie');

describe.each(trixie.length > 0 ? trixie : releases)('$name', release => {
  test('at every call that changes a service: the host is whole again, and the job can be done', () =>
    inWorld(release, async ({host, internet}) => {
      await wrap(host);
      const {selector} = await makeReady(host, internet);
      const before = await fingerprint(host);
      await arm(host, 0, 'fail');
      await waxsealJson(host, SETUP, 0);
      const calls = (await host.must(['cat', '/run/lab/calls'])).trim().split('\n');
      // The signer's restart and the reload of Postfix at least.
      expect(calls.length).toBeGreaterThanOrEqual(2);
      await disarm(host);
      expect((await waxseal(host, ['undo', '--yes'])).status).toBe(0);
      await expectAsBefore(host, before, 'undone');
      let tried = 0;
      for (const [index, call] of calls.entries()) {
        // `postfix reload` is what the unit runs itself, in the middle of the call before.
        if (!call.startsWith('systemctl')) continue;
        for (const fault of faultsAt(index)) {
          tried += 1;
          await arm(host, index + 1, fault);
          const outcome = await waxseal(host, SETUP);
          await disarm(host);
          const where = `${fault}: ${call}: ${describeOutcome(outcome)}`;
          expect(EXPECTED[fault], where).toContain(outcome.status);
          if (fault.startsWith('KILL')) {
            const back = await waxseal(host, ['undo', '--yes']);
            expect(back.status, `${where}: ${describeOutcome(back)}`).toBe(0);
          }
          await expectAsBefore(host, before, where);
        }
      }
      // A file changed by somebody else in the middle: their version is kept, the old state comes back.
      await waxsealJson(host, SETUP, 0);
      const captured = await send(host, internet, {from: 'alice@example.com', by: 'smtp'});
      expect(verdict(captured)).toBe(VALID('example.com', selector));
      console.log(`${tried} faults at ${calls.join(', ')}`);
    }));

  test('main.cf changed by somebody else while the plan is carried out: stopped, put back, and both versions are kept', () =>
    inWorld(release, async ({host, internet}) => {
      await wrap(host);
      await makeReady(host, internet);
      await arm(host, 1, 'edit');
      const outcome = await waxseal(host, SETUP);
      await disarm(host);
      expect(outcome.status, describeOutcome(outcome)).toBe(6);
      expect(outcome.stderr + outcome.stdout).toContain('/etc/postfix/main.cf was changed by somebody else');
      expect(await host.read('/etc/postfix/main.cf')).toContain('# edited by somebody else');
      await waxsealJson(host, SETUP, 0);
      await waxsealJson(host, ['undo', '--yes'], 0);
      expect(await host.read('/etc/postfix/main.cf')).toContain('# edited by somebody else');
    }));

  test('an edit after the set-up: undo refuses, offers a merge, and takes it', () =>
    inWorld(release, async ({host, internet}) => {
      await makeReady(host, internet);
      await waxsealJson(host, SETUP, 0);
      await host.script("sed -i 's/^Syslog[[:space:]].*/Syslog no/' /etc/opendkim.conf");
      const refused = await waxsealJson(host, ['undo', '--yes'], 6);
      expect(refused.error?.id).toBe('undo.edited');
      expect(refused.error?.hint).toContain('waxseal undo --merged');
      await waxsealJson(host, ['undo', '--yes', '--merged'], 0);
      const text = await host.read('/etc/opendkim.conf');
      expect(text).toMatch(/^Syslog no$/m);
      expect(text).not.toMatch(/^KeyTable/m);
      expect(await host.must(['systemctl', 'is-active', 'opendkim'])).toBe('active\n');
    }));
});
