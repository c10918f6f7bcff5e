/** A false daemon on the socket of the signer: whatever it answers, or does not answer, a command ends. */
import {describe, expect, test} from 'vitest';
import {inArena, WAITING} from './support/arena.ts';
import {withAttackers} from './support/release.ts';

const ROUNDS = 200;
const [first = ''] = WAITING;
const SOCKET = '/var/spool/postfix/opendkim/opendkim.sock';
/** One conversation may take five minutes (src/milter/client.ts); so long a daemon that works may take, too. */
const TALK_S = 330;
/** A service is waited for five minutes, on the way in and on the way back. */
const CHANGE_S = 660;

describe.each(withAttackers)('$name', release => {
  test('a false daemon on the socket: every command ends, with a finding or an error that has a name', () =>
    inArena(release, '', async arena => {
      for (const mode of ['flood', 'many', 'esc', 'big', 'drip', 'mute', 'shut'] as const) {
        await arena.under([['opendkim', 'milter', SOCKET, mode]], async () => {
          await Promise.all([
            arena.run(['test', '--domain', 'example.com'], {seconds: TALK_S}),
            arena.run(['check', '--no-input'], {seconds: TALK_S}),
          ]);
          if (mode === 'shut') {
            await arena.run(['setup', '--domain', first, '--selector', 's1', '--yes', '--no-wait'], {
              seconds: CHANGE_S,
            });
          }
        });
        await arena.host.exec(['rm', '-f', SOCKET]);
        await arena.restore();
      }
      await arena.close({name: 'a false daemon'});
      expect(arena.rounds('milter answers')).toBeGreaterThanOrEqual(ROUNDS);
    }));
});
