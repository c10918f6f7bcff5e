/** A user with a shell. */
import {describe, expect, test} from 'vitest';
import {inArena, VICTIMS, WAITING} from './support/arena.ts';
import {describeOutcome} from './support/process.ts';
import {withAttackers} from './support/release.ts';

const ROUNDS = 200;
const [first = ''] = WAITING;

/** The title of a terminal, a cleared screen, another direction of writing. */
const ESCAPES = '\u001b]0;owned\u0007\u001b[2J\u202ecod.exe';

describe.each(withAttackers)('$name', release => {
  test('files that root names change places with links in the home of a user', () =>
    inArena(release, '', async arena => {
      const record = ['record', '--domain', 'example.com', '--selector', 's1'];
      const names = ['out', 'log', 'in.eml', 'list'].map(each => `/home/alice/dir/${each}`);
      const attacks = [
        ['alice', 'exchange', VICTIMS.join(','), 'link,fifo,directory,up,hard,device', '0.02', ...names],
        ['alice', 'exchange', '/etc/victim.d,/root,/etc', 'link,fifo', '0.02', '/home/alice/dir'],
        ['alice', 'temporary', VICTIMS.join(','), 'as-is', '/home/alice/dir', '/home/alice'],
      ] as const;
      for (let turn = 0; turn < 6; turn += 1) {
        await arena.host.script('rm -rf /home/alice/dir /home/alice/zz*');
        await arena.script('alice', [
          'mkdir ~/dir',
          'printf "From: a@example.com\\n\\nx\\n" | tee ~/dir/in.eml >~/dir/out',
          'echo example.com >~/dir/list; touch ~/dir/log; chmod 600 ~/dir/*',
        ]);
        const attack = attacks[turn % attacks.length];
        if (attack === undefined) continue;
        await arena.under([attack], async () => {
          await arena.run([...record, '--output', '/home/alice/dir/out']);
          await arena.run([...record, '--output', '/home/alice/dir/new']);
          await arena.run(['status', '--log-file', '/home/alice/dir/log']);
          await arena.run(['export', '--output', '/home/alice/dir/export', '--yes']);
          await arena.run(['verify', '/home/alice/dir/in.eml'], {seconds: 60});
          await arena.run(['check', '--dns', '--domains-file', '/home/alice/dir/list'], {seconds: 60});
        });
      }
      await arena.close({name: 'files in the home of a user'});
      expect(arena.rounds('exchange exchanged')).toBeGreaterThanOrEqual(ROUNDS);
    }));

  test('control characters, programs in her home, processes with false names, mail in the queue', () =>
    inArena(release, '', async arena => {
      const {host} = arena;
      const alice = (line: string): Promise<string> => arena.script('alice', [line]);
      const quoted = `$'${ESCAPES.replaceAll('\u001b', '\\e').replaceAll('\u0007', '\\a').replaceAll('\u202e', '\\u202e')}'`;
      const named = `/home/alice/${ESCAPES}`;
      await alice(`mkdir -p ~/node_modules/{ink,react,yoga-layout,signal-exit,react-devtools-core,ws}
        for each in ~/node_modules/*; do echo 'require("fs").writeFileSync("/tmp/zz-was-run", "")' >$each/index.js; done
        echo '{"type":"commonjs"}' >~/package.json
        printf 'From: %s@example.com\\nSubject: %s\\nDKIM-Signature: v=1; d=%s; s=%s; b=%s\\n\\n%s\\n' ${quoted} ${quoted} ${quoted} ${quoted} ${quoted} ${quoted} >~/${quoted}
        cp ~/${quoted} ~/mail.eml`);
      const victims = [
        ['verify', named],
        ['verify', '/home/alice/mail.eml'],
        ['verify', `${named}-not-there`],
        ['import', named, '--yes'],
        ['status', '--log-file', `${named}/log`],
        ['status', '--config', named],
        ['record', '--domain', 'example.com', '--output', `${named}/x`],
        ['check', '--dns', '--domains-file', named],
        ['setup', '--domain', `${ESCAPES}.example.com`, '--yes', '--no-wait'],
        ['setup', '--domain', 'y.example.com', '--key', named, '--yes', '--no-wait'],
        ['explain', `${ESCAPES}@example.com`],
        ['undo', ESCAPES, '--yes'],
        ['rotate', '--advance', '--hook-dir', named],
      ];
      for (const argv of victims) {
        await arena.run(argv);
        arena.note('names with control characters');
      }
      // Messages of hers in the queue while the live test looks for its own there.
      const message = `printf 'From: alice@example.com\\nTo: x\\nSubject: waxseal %s\\nMessage-ID: <waxseal-probe@example.com>\\n\\nx\\n' ${quoted}`;
      await alice(
        `for n in $(seq 150); do ${message} | /usr/sbin/sendmail -i -f alice@example.com "waxseal-$n@[192.0.2.1]"; done`,
      );
      arena.note('messages', 150);
      await host.script("cat >/run/lab-attack/false <<'END'\nexec -a /usr/sbin/opendkim sleep 3000\nEND");
      const pretenders = [
        `(exec -a /usr/sbin/opendkim sleep 600) & (exec -a '/usr/bin/node /opt/waxseal/dist/waxseal.js' sleep 600) & (exec -a ${quoted} sleep 600) & (exec -a /usr/lib/postfix/sbin/master sleep 600) &`,
        `python3 -c 'import socket,time
s=[socket.socket() for _ in range(4)]
for each,port in zip(s,(8891,8892,12301,8893)):
    each.bind(("127.0.0.1",port)); each.listen()
time.sleep(600)' &`,
      ];
      const crowd = host.launch(
        [
          'setpriv',
          '--reuid=alice',
          '--regid=alice',
          '--init-groups',
          '--reset-env',
          '--',
          'bash',
          '-c',
          `${pretenders.join('\n')}\nwait`,
        ],
        {timeoutMs: 600_000},
      );
      const environment = {
        HOME: '/home/alice',
        NODE_PATH: '/home/alice/node_modules',
        DEV: 'true',
        XDG_CONFIG_HOME: '/home/alice',
      };
      for (const argv of [
        ['status'],
        ['check', '--no-input'],
        ['test'],
        ['setup', '--domain', first, '--selector', 's1', '--yes', '--no-wait'],
        ['undo', '--yes'],
      ]) {
        const outcome = await host.exec(
          ['env', '-C', '/home/alice', 'timeout', '-k', '5', '150', 'waxseal', ...argv, '--json'],
          {environment, timeoutMs: 170_000},
        );
        arena.note('commands in her home');
        if (![0, 3, 4].includes(outcome.status ?? -1))
          arena.problems.push(`${argv.join(' ')}: ${describeOutcome(outcome)}`);
      }
      if (
        (await host.exists('tmp/zz-was-run')) ||
        (await host.exec(['test', '-e', '/tmp/zz-was-run'])).status === 0
      ) {
        arena.problems.push('a program of alice was run by root');
      }
      await host.exec(['pkill', '-KILL', '-u', 'alice']);
      await crowd.finished;
      await host.must(['postsuper', '-d', 'ALL']);
      await arena.close({name: 'a user with a shell'});
    }));
});
