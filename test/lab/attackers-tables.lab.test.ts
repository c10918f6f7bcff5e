/**
 * The signer's account against root: tables and keys that belong to it change under the hands of waxseal, at the moment
 * that hurts and at random moments.
 */
import {describe, expect, test} from 'vitest';
import {
  type Arena,
  ENDING,
  inArena,
  OF_ANOTHER_HOST,
  TABLES_OF_THE_SIGNER,
  VICTIMS,
  WAITING,
} from './support/arena.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {withAttackers} from './support/release.ts';

/** How many rounds of an attack there have to be at least. */
const ROUNDS = 200;
const TARGETS = VICTIMS.join(',');
const TABLES = '/etc/opendkim';
const KEYS = '/etc/dkimkeys';
const [first = '', second = '', third = ''] = WAITING;
const [ending = ''] = ENDING;

const setUp = (domain: string): readonly string[] => [
  'setup',
  '--domain',
  domain,
  '--selector',
  's1',
  '--yes',
  '--no-wait',
];

/** The next key of the first domain has been seen everywhere, and its time has come: the scheduler lets it sign. */
const NEXT_IS_DUE =
  'waxseal rotate --domain example.com --selector s2 --yes --no-wait >/dev/null 2>&1 || [ $? = 3 ]; sleep 4.5';

/** With nobody at work against it the host signs: what was done under attack has left nothing that stands in the way. */
async function expectSigned(arena: Arena): Promise<void> {
  await arena.restore();
  const ended = await arena.run(setUp(first));
  expect(ended.status, ended.outcome.stdout + ended.outcome.stderr).toBe(0);
  const message = await send(arena.host, arena.internet, {from: `a@${first}`, by: 'sendmail'});
  expect(verdict(message)).toBe(VALID(first, 's1'));
}

describe.each(withAttackers)('$name, against the account of the signer', release => {
  test('new files beside the tables are swapped for links to files of root', () =>
    inArena(release, `${TABLES_OF_THE_SIGNER}\n${NEXT_IS_DUE}`, async arena => {
      const attack = ['opendkim', 'temporary', TARGETS, 'open', TABLES] as const;
      for (let turn = 0; turn < 2; turn += 1) {
        await arena.under([attack], async () => {
          const ended = await arena.run(setUp(first));
          if (ended.status === 0) await arena.run(['undo', '--yes']);
        });
        await arena.restore();
        await arena.under([attack], () => arena.timer());
        await arena.restore();
        // Only what was changed can be undone: that run is left in peace, with the modes that the attacker has chosen.
        await arena.host.script(`chmod ${turn === 0 ? 666 : 4755} ${TABLES}/*`);
        await arena.run(setUp(second));
        await arena.under(
          [['opendkim', 'temporary', TARGETS, 'as-is', TABLES]],
          async () => void (await arena.run(['undo', '--yes'])),
        );
        await arena.restore();
        await arena.under(
          [attack],
          async () => void (await arena.run(['remove', '--domain', ending, '--yes'])),
        );
        await arena.restore();
      }
      await expectSigned(arena);
      await arena.close({name: 'new files swapped'});
      expect(arena.rounds('temporary exchanged') + arena.rounds('temporary replaced')).toBeGreaterThanOrEqual(
        ROUNDS,
      );
    }));

  test('new keys and their directories are swapped for links to files and directories of root', () =>
    inArena(release, NEXT_IS_DUE, async arena => {
      const targets = `/etc/victim.d,/root,${TARGETS}`;
      const attack = ['opendkim', 'temporary', targets, 'as-is', KEYS] as const;
      for (let turn = 0; turn < 3; turn += 1) {
        await arena.under([attack], async () => {
          const ended = await arena.run(setUp(first));
          if (ended.status === 0) await arena.run(['undo', '--yes']);
        });
        await arena.restore();
        await arena.under([['opendkim', 'temporary', targets, 'as-is', `${KEYS}/example.com`]], () =>
          arena.timer(),
        );
        await arena.restore();
      }
      await expectSigned(arena);
      await arena.close({name: 'new keys swapped'});
      expect(arena.rounds('temporary exchanged') + arena.rounds('temporary replaced')).toBeGreaterThanOrEqual(
        ROUNDS,
      );
    }));

  test('tables and keys change places with links, pipes, foreign keys and directories at random moments', () =>
    inArena(
      release,
      `${TABLES_OF_THE_SIGNER}\n${NEXT_IS_DUE}\nwaxseal export --with-keys --output /root/export.json --yes\n${OF_ANOTHER_HOST}`,
      async arena => {
        const tables = ['KeyTable', 'SigningTable', 'TrustedHosts'].map(each => `${TABLES}/${each}`);
        const keys = ['example.com', ...ENDING].map(
          each => `${KEYS}/${each}/s${each === 'example.com' ? 1 : 2}.private`,
        );
        const directories = [...ENDING.map(each => `${KEYS}/${each}`)];
        const attacks = [
          [['opendkim', 'exchange', TARGETS, 'link,up,empty,octets,open', '0.05', ...tables]],
          [['opendkim', 'exchange', TARGETS, 'link,fifo,directory,hard,loop', '0.02', ...tables]],
          [
            [
              'opendkim',
              'exchange',
              [`${KEYS}/${ending}/s2.private`, ...VICTIMS].join(','),
              'other,link,fifo,hard',
              '0.02',
              ...keys,
            ],
          ],
          [
            [
              'opendkim',
              'exchange',
              ['/etc/victim.d', '/root', '/'].join(','),
              'link,empty,directory,fifo',
              '0.05',
              ...directories,
            ],
          ],
        ] as const;
        const works: readonly (() => Promise<unknown>)[] = [
          () => arena.run(setUp(third)),
          () => arena.timer(),
          () => arena.run(['import', '/root/export.json', '--yes']),
          () => arena.run(['rotate', '--domain', ENDING[1] ?? '', '--selector', 's3', '--yes', '--no-wait']),
          () => arena.run(['undo', '--yes']),
          () => arena.run(['check', '--no-input']),
          () => arena.run(['export', '--with-keys', '--output', '/root/again.json', '--yes']),
        ];
        for (const attack of attacks) {
          await arena.under(attack, async () => {
            for (const work of works) await work();
          });
          await arena.restore();
        }
        await expectSigned(arena);
        await arena.host.script('rm -f /root/again.json');
        await arena.close({name: 'exchanged at random moments'});
        expect(arena.rounds('exchange exchanged')).toBeGreaterThanOrEqual(ROUNDS);
      },
    ));
});
