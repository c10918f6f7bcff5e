/** Whole hosts: what is read, with which commands, and that nothing is thrown. */
import {describe, expect, it} from 'vitest';
import {absolute} from '../../../src/domain/paths.ts';
import {entrancesOf} from '../../../src/services/postfix/ways/entrances.ts';
import {readWays} from '../../../src/services/postfix/ways/read.ts';
import {isSmtpd} from '../../../src/services/postfix/ways/rows.ts';
import {readConfiguration} from '../../../src/services/postfix/ways/settings.ts';
import {type fakeHost, fixtureHost, fixtureNames} from '../../support/fake-host.ts';
import {fc} from '../../support/fast-check.ts';
import {configurationOf, listOf} from './host.ts';

const POSTFIX = absolute('/etc/postfix');
const look = async (host: ReturnType<typeof fakeHost>) =>
  await readWays({ports: host, signal: undefined}, POSTFIX);

describe.each(fixtureNames())('%s', name => {
  it('has one entrance for each smtpd service, with a reason for each list', async () => {
    const host = fixtureHost(name);
    const ways = await look(host);
    const text = host.files.text('/etc/postfix/master.cf');
    const {rows} = readConfiguration({...configurationOf({}), masterCf: text});
    const own = ways.filter(({instance}) => instance === '' || instance === '-');
    expect(own.filter(({id}) => id.includes('/')).map(({id}) => id)).toEqual(
      rows.filter(row => isSmtpd(row) || row.command === 'qmqpd').map(row => row.name),
    );
    expect(own.map(({id}) => id)).toEqual(expect.arrayContaining(['local', 'bounce', 'forward']));
    for (const {passes} of ways) {
      for (const {decidedBy, account} of passes) {
        expect(decidedBy.length).toBeGreaterThan(0);
        expect(account).toEqual({user: 'postfix', groups: ['postfix']});
      }
    }
    const commands = host.calls.map(argv => argv.slice(0, 2).join(' '));
    expect(commands.filter(command => !/^(postconf -d|id -Gn|postmap -s)$/.test(command))).toEqual([]);
  });
});

describe('readWays', () => {
  it('reads the instances that are enabled, each from its own directory', async () => {
    const host = fixtureHost('instances');
    host.files.put('/etc/postfix-in/main.cf', 'smtpd_milters = inet:h:2\n');
    host.files.put(
      '/etc/postfix-out/main.cf',
      'multi_instance_enable = yes\nmulti_instance_name = postfix-out\nsmtpd_milters = inet:h:1\nqueue_directory = /var/spool/postfix-out\n',
    );
    host.files.put(
      '/etc/postfix-out/master.cf',
      'smtp inet n - y - - smtpd\ncleanup unix n - y - 0 cleanup\n',
    );
    const ways = await look(host);
    expect([...new Set(ways.map(({instance}) => instance))]).toEqual(['-', 'postfix-out']);
    const out = ways.find(({id, instance}) => id === 'smtp/inet' && instance === 'postfix-out');
    expect(out?.source).toEqual({by: 'file', path: '/etc/postfix-out/master.cf', line: 1});
    expect(out?.passes.map(listOf)).toEqual([['inet:h:1']]);
  });

  it('asks postmap for the rows of an index, and is uncertain without an answer', async () => {
    const host = fixtureHost('debian-13');
    host.files.put(
      '/etc/postfix/main.cf',
      `${host.files.text('/etc/postfix/main.cf')}smtpd_milter_maps = hash:/etc/postfix/m\n`,
    );
    expect((await look(host)).find(({id}) => id === 'smtp/inet')?.isPassUncertain).toBe(true);
    const commands = {
      run: async (argv: readonly string[]) => ({
        status: 0,
        stderr: '',
        ended: 'exit' as const,
        stdout: argv[0] === 'postmap' ? '203.0.113.5\tDISABLE\n' : '',
      }),
    };
    const ways = await readWays({ports: {...host, commands}, signal: undefined}, POSTFIX);
    const smtp = ways.find(({id}) => id === 'smtp/inet');
    expect(smtp?.isPassUncertain).toBe(false);
    expect(smtp?.passes[0]?.byClient.map(({clients, covers}) => [clients, covers('203.0.113.5')])).toEqual([
      ['203.0.113.5', true],
    ]);
  });

  it('takes every entrance for uncertain where master.cf cannot be read', async () => {
    const host = fixtureHost('debian-13');
    host.files.nodes.delete('/etc/postfix/master.cf');
    const ways = await look(host);
    expect(ways.map(({id, isPassUncertain}) => [id, isPassUncertain])).toEqual([
      ['local', true],
      ['bounce', true],
      ['notice', true],
      ['forward', true],
    ]);
  });
});

describe('entrancesOf', () => {
  const word = fc.constantFrom(
    'smtpd_milters',
    'non_smtpd_milters',
    'receive_override_options',
    'smtpd_milter_maps',
    'milter_default_action',
    'content_filter',
    'smtpd_proxy_filter',
    'milter_mail_macros',
    'milter_macro_defaults',
    'cleanup_service_name',
    'internal_mail_filter_classes',
    'compatibility_level',
    'canonical_maps',
    'header_checks',
    'x',
  );
  const value = fc.oneof(
    fc.constantFrom(
      'inet:h:1',
      '{ inet:h:1, accept }',
      'no_milters',
      '$smtpd_milters',
      '$x',
      '$x$x',
      '',
      'static:DISABLE',
      'inline:{a=b}',
      'scan:[127.0.0.1]:10024',
      '{',
      '}',
      '{{',
      'bounce',
      'c2',
      '3.6',
      '8891',
    ),
    fc.string({maxLength: 30}),
  );
  const setting = fc.tuple(word, value).map(([name, text]) => `${name} = ${text}`);
  const main = fc
    .array(fc.oneof(setting, fc.string({maxLength: 40})), {maxLength: 12})
    .map(lines => lines.join('\n'));
  const option = fc
    .tuple(word, value)
    .map(([name, text]) => `\n  -o ${text.includes(' ') ? `{ ${name} = ${text} }` : `${name}=${text}`}`);
  const row = fc
    .tuple(
      fc.constantFrom(
        'smtp inet n - y - -',
        'submission inet n - - - -',
        '127.0.0.1:10025 inet n - n - -',
        'smtpd pass - - n - -',
        'c2 unix n - y - 0',
        'x unix - n n - -',
      ),
      fc.constantFrom(
        'smtpd',
        'cleanup',
        'postscreen',
        'qmqpd',
        'pipe flags=R argv=/usr/sbin/sendmail',
        'smtp',
      ),
      fc.array(option, {maxLength: 3}),
    )
    .map(([head, command, options]) => `${head} ${command}${options.join('')}\n`);
  const master = fc
    .array(
      fc.oneof(
        {weight: 4, arbitrary: row},
        {weight: 1, arbitrary: fc.string({maxLength: 40}).map(line => `${line}\n`)},
      ),
      {maxLength: 6},
    )
    .map(rows => rows.join(''));

  it('never throws, is the same each time, and has one entrance a service', () => {
    fc.assert(
      fc.property(main, master, fc.constantFrom('3.10.13', '3.7.11', ''), (mainCf, masterCf, version) => {
        const configuration = {...configurationOf({version}), mainCf, masterCf};
        const ways = entrancesOf(configuration);
        const {rows} = readConfiguration(configuration);
        expect(ways.filter(({id}) => id.includes('/')).length).toBe(
          rows.filter(one => isSmtpd(one) || one.command === 'qmqpd' || one.command === 'pipe').length,
        );
        expect(new Set(ways.map(({id}) => id)).size).toBe(ways.length);
        expect(JSON.stringify(entrancesOf(configuration))).toBe(JSON.stringify(ways));
        for (const {passes, breakers} of ways) {
          const rewrites = passes.flatMap(pass => pass.rewrites);
          for (const {decidedBy} of passes) expect(decidedBy[0]?.says).toMatch(/\.$/);
          for (const {decision} of [...breakers, ...rewrites]) expect(decision.says).toMatch(/\.$/);
          for (const rule of rewrites) {
            for (const by of [undefined, {address: '203.0.113.5', authenticated: true}])
              expect(['string', 'undefined']).toContain(typeof rule.rewrite('a@b.example.com', by));
          }
        }
      }),
      {numRuns: 500},
    );
  });
});
