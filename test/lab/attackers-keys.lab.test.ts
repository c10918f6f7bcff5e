/**
 * The signer's account against root at the end of a key's life: what lies under the key's name while it is destroyed or
 * published, and what the temporary OpenDKIM is given to read.
 */
import {describe, expect, test} from 'vitest';
import {type Arena, ENDING, inArena, TABLES_OF_THE_SIGNER, VICTIMS, WAITING} from './support/arena.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {withAttackers} from './support/release.ts';

const ROUNDS = 200;
const KEYS = '/etc/dkimkeys';
const RETIRED = '/var/lib/waxseal/retired';
const [first = '', , , staged = ''] = WAITING;
const old = ENDING.map(each => `${KEYS}/${each}/s1.private`);

const PUBLISHING = "echo 'disposal = publish' >>/etc/waxseal/rotation.conf";

const list = async ({host}: Arena, directory: string): Promise<readonly string[]> =>
  (await host.exec(['find', directory, '-type', 'f'])).stdout.split('\n').filter(Boolean);

/** The public half of whatever key a file holds, by a program that shares no code with waxseal. */
async function publicHalf({host}: Arena, file: string): Promise<string> {
  const outcome = await host.exec(['openssl', 'pkey', '-in', file, '-pubout']);
  return outcome.status === 0 ? outcome.stdout : `not a key: ${file}`;
}

/** What was published has to be one of the old keys that this host made; anything else is the key of a stranger. */
async function expectOwnKeysOnly(arena: Arena, own: ReadonlySet<string>): Promise<number> {
  const published = await list(arena, RETIRED);
  for (const file of published) {
    if (!own.has(await publicHalf(arena, file)))
      arena.problems.push(`published a key that is not one of its own: ${file}`);
  }
  return published.length;
}

const advance = (arena: Arena, turn: number, more: readonly string[] = []): Promise<unknown> =>
  turn % 3 === 2 ? arena.timer() : arena.run(['rotate', '--advance', ...more]);

describe.each(withAttackers)('$name, against the account of the signer', release => {
  test.each([
    ['destroyed', []],
    ['published', ['--publish-retired']],
  ] as const)('a key that is to be %s changes places with files of root', (what, more) =>
    inArena(release, what === 'published' ? PUBLISHING : '', async arena => {
      const own = new Set<string>();
      for (const file of old) own.add(await publicHalf(arena, file));
      // No race: the name is a link, a pipe or the key of somebody else, all the time, for each of the five another.
      const still: readonly (readonly string[])[] = [
        ['link', 'up', 'hard', 'fifo', 'directory'],
        ['socket', 'device', 'octets', 'huge', 'link'],
      ];
      for (const [turn, kinds] of still.entries()) {
        await arena.plant(
          'opendkim',
          '/etc/tls-root.key',
          old.map((file, at) => [kinds[at] ?? 'link', file] as const),
        );
        await advance(arena, turn * 2, more);
        await expectOwnKeysOnly(arena, own);
        await arena.restore();
      }
      for (let turn = 0; turn < 4; turn += 1) {
        const kinds = ['link,hard', 'link,other', 'link,fifo,directory'][turn % 3] ?? '';
        const attack = [
          'opendkim',
          'exchange',
          VICTIMS.join(','),
          kinds,
          turn < 2 ? '0.0005' : '0.004',
          ...old,
        ] as const;
        await arena.under([attack], async () => void (await advance(arena, turn, more)));
        await expectOwnKeysOnly(arena, own);
        await arena.restore();
      }
      // In peace the five keys reach their end.
      const ended = await arena.run(['rotate', '--advance', ...more]);
      expect([0, 3], ended.outcome.stdout + ended.outcome.stderr).toContain(ended.status);
      expect((await list(arena, KEYS)).filter(file => old.includes(file))).toEqual([]);
      if (what === 'published') expect(await expectOwnKeysOnly(arena, own)).toBe(ENDING.length);
      await arena.close({name: `a key that is ${what}`, published: RETIRED});
      expect(arena.rounds('exchange exchanged')).toBeGreaterThanOrEqual(ROUNDS);
    }),
  );

  test('rows of the key table name files of root and keys that wait; the temporary OpenDKIM is watched', () =>
    inArena(release, TABLES_OF_THE_SIGNER, async arena => {
      const {host} = arena;
      const rows = [
        'a1 com:s:/var/lib/waxseal/../../../etc/root-secret',
        'a2 com:s:/var/lib/waxseal/../../../etc/tls-root.key',
        `a3 com:s:/var/lib/waxseal/keys/${staged}/s1.pem`,
        `a4 ${first}:s:/var/lib/waxseal//keys/./${staged}/s1.pem`,
        `a5 example.com:s:/var/lib/waxseal/keys/${first}/../${staged}/s1.pem`,
        'a6 com:s:/etc/opendkim/to-root',
        'a7 com:s:/etc/opendkim/to-staged',
        'a8 com:s:/etc/root-secret',
        'a9 com:s:../../etc/tls-root.key',
        'b1 com:s:/var/lib/waxseal/state.json',
      ];
      const digests = new Map<string, string>();
      for (const file of [
        ...VICTIMS.slice(0, 3),
        `/var/lib/waxseal/keys/${staged}/s1.pem`,
        '/var/lib/waxseal/state.json',
      ]) {
        digests.set((await host.must(['sha256sum', file])).slice(0, 64), file);
      }
      const victim = (await host.script('setsid sleep 3600 >/dev/null 2>&1 & echo $!')).trim();
      for (const group of [[0], [1], [2], [3], [4], [5, 6], [7], [8, 9]]) {
        const text = group.map(at => rows[at] ?? '').join('\n');
        const signing = group.map(at => `*@${first} ${rows[at]?.split(' ')[0]}`).join('\n');
        await arena.script('opendkim', [
          'cd /etc/opendkim',
          'ln -s /etc/tls-root.key to-root',
          `ln -s /var/lib/waxseal/keys/${staged}/s1.pem to-staged`,
          `printf '%s\\n' '${text}' >>KeyTable`,
          ...(group.includes(2) || group.includes(0) ? [] : [`printf '%s\\n' '${signing}' >>SigningTable`]),
        ]);
        const counts = await arena.under(
          [
            ['opendkim', 'watch', '/var/lib/waxseal', '/run/opendkim', '/tmp'],
            ['alice', 'watch', '/var/lib/waxseal', '/run/opendkim', '/tmp', '/etc/dkimkeys'],
            ['opendkim', 'pid', victim, '/run/opendkim'],
          ],
          async () => {
            await arena.run(['setup', '--domain', first, '--selector', 's1', '--yes', '--no-wait']);
            await arena.run(['check', '--no-input']);
          },
        );
        for (const [at, {secrets}] of counts.entries()) {
          if (!Array.isArray(secrets)) continue;
          for (const [digest, place, pattern] of secrets) {
            const file = digests.get(String(digest));
            if (file !== undefined)
              arena.problems.push(`${at === 0 ? 'opendkim' : 'alice'} read ${file} as ${place}`);
            else if (at !== 0 || pattern === 'WXCANARY') {
              arena.problems.push(`${at === 0 ? 'opendkim' : 'alice'} read a secret: ${place} ${digest}`);
            }
          }
        }
        if ((await host.exec(['kill', '-0', victim])).status !== 0)
          arena.problems.push('a process of root was ended');
        await arena.restore();
      }
      await host.exec(['kill', victim]);
      await arena.run(['setup', '--domain', first, '--selector', 's1', '--yes', '--no-wait']);
      const message = await send(host, arena.internet, {from: `a@${first}`, by: 'sendmail'});
      expect(verdict(message)).toBe(VALID(first, 's1'));
      await arena.close({name: 'rows that name files of root'});
      expect(arena.rounds('watch tried')).toBeGreaterThanOrEqual(ROUNDS);
    }));
});
