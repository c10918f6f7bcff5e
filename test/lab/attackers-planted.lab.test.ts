/**
 * Things that should not be there, in every place where waxseal reads or writes and somebody else may write: links, hard
 * links, pipes, sockets, directories, devices, files of a wrong size, owner or content.
 */
import {describe, expect, test} from 'vitest';
import {
  type Account,
  type Arena,
  ENDING,
  inArena,
  OF_ANOTHER_HOST,
  TABLES_OF_THE_SIGNER,
  WAITING,
} from './support/arena.ts';
import {withAttackers} from './support/release.ts';

const ROUNDS = 200;
const KEYS = '/etc/dkimkeys';
const SOCKETS = '/var/spool/postfix/opendkim';
const [first = '', second = ''] = WAITING;
const [e1 = '', e2 = '', e3 = '', e4 = ''] = ENDING;

/** Ids of messages: short, long, and odd. */
const NAMES = ['0123456789AB', '4ZZ', '3Pb2C04Zz1zY', 'F'] as const;

/** systemd opens the file of its PIDFile= by itself, and hangs on a pipe there: an attack on systemd, not on waxseal. */
const PID_FILE = '/run/opendkim/opendkim.pid';

/** Where the account of the signer may put something; `KeyTable` and its like only where the tables belong to it. */
const PLACES: readonly string[] = [
  '/etc/opendkim/KeyTable',
  '/etc/opendkim/SigningTable',
  '/etc/opendkim/TrustedHosts',
  '/etc/opendkim/.KeyTable.waxseal',
  `${KEYS}/${first}`,
  `${KEYS}/${second}`,
  `${KEYS}/${e1}`,
  `${KEYS}/${e2}/s1.private`,
  `${KEYS}/${e2}/s2.private`,
  `${KEYS}/${e3}/s1.private`,
  `${KEYS}/${e4}/s2.private`,
  `${KEYS}/example.com/s1.private`,
  `${KEYS}/example.com/s2.private`,
  PID_FILE,
  `${SOCKETS}/opendkim.sock`,
  `${SOCKETS}/opendkim.pid`,
  `${SOCKETS}/zz`,
];

const KINDS = [
  'link',
  'hard',
  'fifo',
  'socket',
  'directory',
  'dangling',
  'loop',
  'up',
  'device',
  'tty',
  'proc',
  'octets',
  'empty',
  'open',
  'setuid',
] as const;

const COMMANDS: readonly (readonly string[])[] = [
  ['setup', '--domain', first, '--selector', 's1', '--yes', '--no-wait'],
  ['check', '--no-input'],
  ['timer'],
  ['status'],
  ['undo', '--yes'],
  ['export', '--with-keys', '--output', '/root/out.json', '--yes'],
  ['remove', '--domain', e3, '--yes'],
  ['rotate', '--domain', e4, '--selector', 's3', '--yes', '--no-wait'],
  ['import', '/root/export.json', '--yes'],
  ['rotate', '--advance'],
  ['record', '--domain', 'example.com', '--selector', 's1'],
  ['explain', 'someone@example.com'],
];

/** The same numbers in each run; which of them meet is chance, and both are counted. */
function* numbers(): Generator<number, never> {
  let seed = 20_261_129;
  for (;;) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    yield seed >> 8;
  }
}

/** Where the daemon cannot answer, waxseal waits for minutes; what it does meanwhile is seen well before. */
const WAITS = {seconds: 90, mayWait: true} as const;

const perform = (arena: Arena, argv: readonly string[]): Promise<unknown> =>
  argv[0] === 'timer' ? arena.timer() : arena.run(argv, WAITS);

const OWN_KEY = `${KEYS}/example.com/s1.private`;
const AT = '/at';

/** Whether the path is that of a message, which is read whole. */
const isMessage = (argv: readonly string[]): boolean =>
  argv[0] === 'verify' || argv.includes('--message') || (argv[0] === 'sign' && argv.at(-2) === OWN_KEY);

/** Arguments with a path in them: what root may well name in a directory of somebody else. */
const NAMED: readonly (readonly [what: 'reads' | 'writes', argv: (at: string) => readonly string[]])[] = [
  ['writes', at => ['status', '--log-file', at]],
  ['writes', at => ['record', '--domain', 'example.com', '--selector', 's1', '--output', at]],
  ['writes', at => ['export', '--output', at, '--yes']],
  ['writes', at => ['export', '--with-keys', '--output', at, '--yes']],
  ['reads', at => ['import', at, '--yes']],
  ['reads', at => ['verify', at]],
  ['reads', at => ['explain', 'someone@example.com', '--message', at]],
  ['reads', at => ['sign', '--domain', 'example.com', '--selector', 's1', '--key', at]],
  ['reads', at => ['sign', '--domain', 'example.com', '--selector', 's1', '--key', OWN_KEY, at]],
  ['reads', at => ['check', '--dns', '--domains-file', at]],
  ['reads', at => ['status', '--config', at]],
  [
    'reads',
    at => ['setup', '--domain', 'z.example.com', '--selector', 'k', '--key', at, '--yes', '--no-wait'],
  ],
  ['reads', at => ['rotate', '--advance', '--hook-dir', at]],
  [
    'reads',
    at => ['setup', '--domain', second, '--publish', 'nsupdate', '--tsig-key', at, '--yes', '--no-wait'],
  ],
];

describe.each(withAttackers)('$name', release => {
  test('in place of the state, the journals and the copies: refused, with the file named and a way out', () =>
    inArena(release, '', async arena => {
      const {host} = arena;
      const state = '/var/lib/waxseal/state.json';
      const run = (await host.script('ls -d /var/lib/waxseal/runs/* | tail -1')).trim();
      await host.script('echo {} >/root/other.json');
      const damages: readonly (readonly [what: string, damage: string])[] = [
        ['truncated', `truncate -s 200 ${state}`],
        ['empty', `: >${state}`],
        [
          'of a later version',
          `sed -i 's/"version": *[0-9]*/"version": 99/; s/"schemaVersion": *[0-9]*/"schemaVersion": 99/' ${state}`,
        ],
        ['without a version', `echo '{}' >${state}`],
        ['random', `head -c 500 /dev/urandom >${state}`],
        ['a directory', `rm ${state}; mkdir ${state}`],
        ['a link', `mv ${state} /root/state.json; ln -s /root/state.json ${state}`],
        ['a pipe', `rm ${state}; mkfifo ${state}`],
        ['a journal of random octets', `head -c 200 /dev/urandom >${run}/journal.jsonl`],
        ['a journal torn at its first line', `truncate -s 20 ${run}/journal.jsonl`],
        ['a journal with rubbish in the middle', `sed -i '2s/.*/rubbish/' ${run}/journal.jsonl`],
      ];
      for (const [what, damage] of damages) {
        await host.script(damage);
        const ended = await arena.run(['setup', '--domain', first, '--selector', 's1', '--yes', '--no-wait']);
        if (![5, 7].includes(ended.status ?? 0) || !/\/var\/lib\/waxseal\//.test(ended.outcome.stdout)) {
          arena.problems.push(`${what}: ${ended.status} ${ended.id} ${ended.outcome.stdout.slice(-300)}`);
        }
        arena.note('things damaged');
        await arena.restore();
        await host.script('rm -f /root/state.json');
      }
      await host.script('rm -f /root/other.json');
      await arena.close({name: 'damaged notes of its own'});
    }));
});

describe.each(withAttackers)('$name', release => {
  test('in place of tables, keys, sockets and pid files, by the account of the signer', () =>
    inArena(
      release,
      `${TABLES_OF_THE_SIGNER}\nwaxseal export --with-keys --output /root/export.json --yes\n${OF_ANOTHER_HOST}`,
      async arena => {
        const number = numbers();
        for (let turn = 0; turn < 20; turn += 1) {
          const things = Array.from({length: 24}, () => {
            const kind = KINDS[number.next().value % KINDS.length] ?? 'link';
            // One place in four: where everything is wrong, the first refusal would hide what comes after it.
            return [kind, PLACES[number.next().value % PLACES.length] ?? ''] as const;
          })
            .filter(([, at], index, all) => all.findIndex(each => each[1] === at) === index)
            .filter(([kind, at]) => kind !== 'fifo' || at !== PID_FILE);
          // A refusal at a table hides what would happen behind it: every other time the tables are in order.
          const chosen =
            turn % 2 === 0 ? things.filter(([, at]) => !at.startsWith('/etc/opendkim')) : things.slice(0, 16);
          const commands = [0, 1].map(step => COMMANDS[(2 * turn + step) % COMMANDS.length] ?? []);
          // Or the timer's installation would be the last change, and that be undone.
          if (commands.some(([command]) => command === 'undo')) {
            await perform(arena, ['setup', '--domain', second, '--selector', 's1', '--yes', '--no-wait']);
          }
          await arena.plant('opendkim', turn % 4 === 0 ? '/etc/victim.d' : '/etc/root-secret', chosen);
          for (const command of commands) await perform(arena, command);
          await arena.restore();
        }
        await arena.host.script('rm -f /root/out.json');
        await arena.close({name: 'planted by the account of the signer', except: [/^\/run\/opendkim/]});
        expect(arena.rounds('things planted')).toBeGreaterThanOrEqual(ROUNDS);
      },
    ));

  test('in the queue and among the sockets of Postfix, by its account', () =>
    inArena(release, '', async arena => {
      const queue = ['hold', 'deferred', 'incoming', 'active', 'bounce', 'defer', 'corrupt', 'trace'];
      const places = [
        ...queue.flatMap(each => NAMES.map(name => `/var/spool/postfix/${each}/${name}`)),
        ...['showq', 'cleanup', 'pickup', 'qmgr'].map(each => `/var/spool/postfix/public/${each}`),
        ...['rewrite', 'proxymap', 'error'].map(each => `/var/spool/postfix/private/${each}`),
        '/var/lib/postfix/master.lock',
        '/var/lib/postfix/prng_exch',
      ];
      const onQueue = [
        ['test', '--domain', 'example.com'],
        ['setup', '--domain', first, '--selector', 's1', '--yes', '--no-wait'],
      ];
      // A live test waits five minutes for each message that a Postfix without its sockets does not take.
      const onSockets = [
        ['check', '--no-input'],
        ['rotate', '--advance'],
      ];
      const inQueue = NAMES.length * queue.length;
      const [hands, sockets] = [places.slice(0, inQueue), places.slice(inQueue)];
      for (let turn = 0; turn < 8; turn += 1) {
        // Without its sockets Postfix takes no message at all: every other time only the queue is bent.
        const chosen = turn % 2 === 0 ? hands : [...hands, ...sockets];
        const kind = (at: number): string => KINDS[(turn * 5 + at) % KINDS.length] ?? 'link';
        await arena.plant(
          'postfix',
          '/etc/root-secret',
          chosen.map((place, at) => [kind(at), place] as const),
        );
        const commands = turn % 2 === 0 ? onQueue : onSockets;
        await perform(arena, commands[(turn >> 1) % commands.length] ?? []);
        await arena.host.script(
          `for each in ${chosen.join(' ')}; do rm -rf $each; [ ! -e $each.zz ] || mv $each.zz $each; done; postfix stop >/dev/null 2>&1 || true; postfix start >/dev/null 2>&1`,
        );
        await arena.restore();
      }
      await arena.host.script(`systemctl restart ${arena.host.release.postfixUnit}`);
      await arena.close({name: 'planted by the account of Postfix'});
      expect(arena.rounds('things planted')).toBeGreaterThanOrEqual(ROUNDS);
    }));

  test('where root names a path in /tmp or in the home of a user', () =>
    inArena(release, '', async arena => {
      const {host} = arena;
      let at = 0;
      for (const [what, argv] of NAMED) {
        const account: Account = 'alice';
        for (const kind of [...KINDS, 'huge'] as const) {
          // To read a message of a terabyte takes what it takes.
          if (kind === 'huge' && isMessage(argv(AT))) continue;
          at += 1;
          const place = `${at % 2 === 0 ? '/tmp' : '/home/alice'}/zz${at}`;
          const done = await arena.plant(account, '/etc/root-secret', [[kind, place]]);
          if (done.length === 0) continue;
          const before = await host.exec(['stat', '-c', '%U %i %s %Y', place]);
          await arena.run(argv(place), {seconds: 60});
          const after = await host.exec(['stat', '-c', '%U %i %s %Y', place]);
          // A file that belongs to her is hers to read: nothing of root's is written into it.
          if (what === 'writes' && before.stdout !== after.stdout && after.stdout.startsWith('alice')) {
            arena.problems.push(`${argv(place).join(' ')}: wrote into a file of alice (${kind})`);
          }
        }
        await arena.restore();
      }
      await host.script('rm -rf /tmp/zz* /home/alice/zz*');
      await arena.close({name: 'planted by a user where root names a path'});
      expect(arena.rounds('things planted')).toBeGreaterThanOrEqual(ROUNDS);
    }));
});
