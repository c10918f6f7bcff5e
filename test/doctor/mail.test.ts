import {describe, expect, it} from 'vitest';
import {explainedCheck, stepLines} from '../../src/doctor/answer.ts';
import {mailChecks} from '../../src/doctor/mail.ts';
import {type HostPicture, reachKey} from '../../src/host/picture.ts';
import {LOCALHOST, wouldSign} from '../../src/host/would-sign.ts';
import {
  breaker,
  decision,
  entrance,
  HOP,
  line,
  local,
  macros,
  pass,
  picture,
  row,
  signer,
  submission,
} from '../host/pictures.ts';

const none = {milters: [], decidedBy: [decision('milters', '', 'No milter sees this mail.', 44)]};

const told = (host: HostPicture, wanted?: readonly string[]): readonly string[] =>
  mailChecks(host, wanted).checks.map(({id, status}) => `${id} ${status}`);

describe('mailChecks', () => {
  it('finds nothing on a host where each way signs once, and says how much was looked at', () => {
    const {checks} = mailChecks(picture());
    expect(checks).toMatchObject([{id: 'mail.signed', status: 'pass'}]);
    expect(checks[0]?.evidence).toContain('1 sender on 3 ways');
  });

  it.each([
    [
      'no milters at all',
      {entrances: [entrance({passes: [pass(none)]}), local(none), submission(none)]},
      ['mail.signed fail'],
    ],
    ['none for sendmail', {entrances: [entrance(), local(none), submission()]}, ['mail.signed fail']],
    [
      'a login that is not sent',
      {entrances: [entrance(), local(), submission({macros: macros()})]},
      ['mail.signed fail'],
    ],
    [
      'a list that stops the service',
      {entrances: [local({milters: {fatal: 'garbage'}})]},
      ['mail.accepted fail'],
    ],
    [
      'a second pass',
      {entrances: [local(), entrance({passes: [pass(), pass({client: 'localhost'})]})]},
      ['mail.stranger fail', 'mail.once warn'],
    ],
    ['a rewritten header', {entrances: [{...local(), breakers: [breaker()]}]}, ['mail.survives fail']],
    [
      'perhaps a rewritten header',
      {entrances: [{...local(), breakers: [breaker({isCertain: false})]}]},
      ['mail.survives warn'],
    ],
    [
      'a milter of which nothing is known',
      {entrances: [{...local(), breakers: [breaker({isCertain: false, isUnknown: true})]}]},
      ['mail.unproven warn'],
    ],
    [
      'such a milter beside a rewritten header',
      {entrances: [{...local(), breakers: [breaker({isCertain: false, isUnknown: true}), breaker()]}]},
      ['mail.survives fail'],
    ],
    [
      'a row without a key',
      {signers: [signer([row('*@example.com'), {...row('*@foo.example'), keyPath: undefined}])]},
      ['mail.accepted fail'],
    ],
    [
      'a row that never decides',
      {
        signers: [
          signer([
            row('*@example.com'),
            row('postmaster@Example.com', 'example.com', 's2'),
            {...row('postmaster+x@example.com', 'example.com', 's3'), pattern: '*+x@example.com'},
          ]),
        ],
      },
      ['mail.row warn'],
    ],
    [
      'a key of another domain',
      {signers: [signer([row('*@example.com', 'example.net')])]},
      ['mail.aligned warn'],
    ],
    [
      'a table that cannot be read',
      {signers: [signer([row('*@example.com')], {unread: [decision('table', 'dsn:x')]})]},
      ['mail.unread warn'],
    ],
    [
      'a milter that nobody knows',
      {entrances: [local({milters: [{...HOP, endpoint: {kind: 'tcp', host: '127.0.0.1', port: 9}}]})]},
      ['mail.signed warn'],
    ],
    [
      'everyone as internal host',
      {signers: [signer([row('*@example.com')], {internal: () => true})]},
      ['mail.stranger fail'],
    ],
  ] as const)('with %s', (_, part, expected) => {
    expect(told(picture(part as Partial<HostPicture>))).toEqual(expected);
  });

  it('names a From without a domain by what it becomes, which can be explained', () => {
    const rewrite = (from: string) => (from.includes('@') ? 'x@other.example' : `${from}@example.com`);
    const rewrites = [{decision: decision('origin', 'example.com'), rewrite}];
    const entrances = [entrance({passes: [pass({client: 'localhost', rewrites})]})];
    const [found] = mailChecks(picture({entrances})).checks;
    expect(found?.id).toBe('mail.stranger');
    expect(found?.evidence).toContain(
      'sends as postmaster (it becomes postmaster@example.com): signed with d=example.com',
    );
    expect(found?.fix).toContain('explain postmaster@example.com --entrance');
  });

  it('says nothing good of a host where no row signs', () => {
    expect(told(picture({signers: []}))).toEqual([]);
  });

  it('makes one finding of one cause, names the line, and a command that shows the way', () => {
    const rows = Array.from({length: 20}, (_, index) => row(`*@d${index}.example`));
    const {checks} = mailChecks(picture({entrances: [entrance(), local(none)], signers: [signer(rows)]}));
    expect(checks).toHaveLength(1);
    expect(checks[0]).toMatchObject({cause: 'No milter sees this mail.'});
    expect(checks[0]?.evidence).toBe(
      'd0.example, d1.example, d2.example, d3.example, d4.example and 15 more, mail from programs (sendmail): unsigned by milters =  (/etc/mta/main.conf line 44)',
    );
    expect(checks[0]?.fix).toBe(
      'See the way step by step: sudo waxseal explain postmaster@d0.example --entrance local',
    );
  });

  it('judges the wanted domains only', () => {
    const host = picture({
      entrances: [local(none)],
      signers: [signer([row('*@a.example'), row('*@b.example')])],
    });
    expect(mailChecks(host, ['b.example']).checks[0]?.evidence).toContain('b.example, mail from');
    expect(mailChecks(host, ['c.example']).verdicts).toEqual([]);
  });

  it.each([
    ['signed', row('*@*', 'example.com'), ['mail.aligned warn']],
    ['stopped', {...row('*@*', 'example.com'), keyPath: undefined}, ['mail.accepted fail']],
  ])('judges a domain that only a pattern covers: %s', (_, {keyPath}, expected) => {
    const every = {...row('*', 'example.com'), keyPath};
    const base = signer([every]);
    const match = decision('*', 's1');
    const host = picture({
      signers: [
        {
          ...base,
          wouldSign: ({client}) =>
            client.address !== '127.0.0.1'
              ? {outcome: 'unsigned', by: [], decisions: [match]}
              : keyPath === undefined
                ? {outcome: 'refused', by: [], decisions: [match]}
                : {
                    outcome: 'signed',
                    by: [{domain: 'example.com', selector: 's1', keyPath, row: every}],
                    decisions: [match],
                  },
        },
      ],
      entrances: [local()],
    });
    const {checks, verdicts} = mailChecks(host, ['covered.example']);
    expect(verdicts.map(({domain}) => domain)).toEqual(['covered.example']);
    expect(checks.filter(({status}) => status !== 'pass').map(({id, status}) => `${id} ${status}`)).toEqual(
      expected,
    );
  });

  it.each([
    ['both', 2, ['mail.survives fail'], 'fail'],
    ['the first', 1, ['mail.survives warn', 'mail.aligned warn'], 'warn'],
  ] as const)('judges each of two signatures: %s broken', (_, milter, expected, status) => {
    const there = {kind: 'tcp', host: '127.0.0.1', port: 8892} as const;
    const other = signer([row('*@example.com', 'example.net')], {
      endpoints: [{endpoint: there, source: line(4)}],
    });
    const milters = [HOP, {...HOP, text: 'inet:127.0.0.1:8892', endpoint: there}];
    const breakers = [breaker({where: 'later-milter', after: {pass: 0, milter}})];
    const entrances = [{...local({milters}), breakers}];
    const host = picture({entrances, signers: [signer([row('*@example.com')]), other]});
    expect(told(host)).toEqual(expected);
    const [way] = entrances;
    if (way === undefined) throw new TypeError('no way');
    const question = {
      from: 'a@example.com',
      client: LOCALHOST,
      authenticated: false,
      recipients: [],
    };
    const answer = wouldSign(host, way, question);
    expect(explainedCheck({entrance: way, question, answer}).status).toBe(status);
  });

  it('names who cannot connect to the signer', () => {
    const one = local();
    const key = reachKey(one.passes[0] ?? pass(), HOP);
    const reach = (outcome: 'answers' | 'denied') =>
      new Map([[key, {outcome, detail: 'postfix may not use it'}]]);
    expect(told(picture({entrances: [one], reach: reach('answers')}))).toEqual([
      'mail.signed pass',
      'mail.socket pass',
    ]);
    expect(told(picture({entrances: [one], reach: reach('denied')}))).toEqual([
      'mail.signed fail',
      'mail.socket fail',
    ]);
  });

  it('names what has no effect, beside a host that is right', () => {
    const network = decision('InternalHosts', '192.168.1.5/24', 'It matches no client.');
    const host = picture({signers: [signer([row('*@example.com')], {idle: [network]})]});
    expect(told(host)).toEqual(['mail.signed pass', 'mail.idle warn']);
  });

  it('says of a host without logins what a client that logs in would get', () => {
    const entrances = [entrance({passes: [pass({macros: macros()})]}), local()];
    expect(told(picture({entrances}))).toEqual(['mail.login warn']);
    expect(told(picture({entrances: [entrance(), local()]}))).toEqual(['mail.signed pass']);
  });

  it('names a key that is not there', () => {
    const path = row('*@example.com').keyPath;
    if (path === undefined) throw new TypeError('no path');
    const keys = new Map([[path, {known: false, why: 'is missing'} as const]]);
    expect(told(picture({keys}))).toEqual(['mail.key fail']);
  });
});

describe('explainedCheck', () => {
  const stranger = {name: 'c.ext', address: '203.0.113.5'};
  const explained = (part: Partial<HostPicture>, question: object = {}) => {
    const host = picture(part);
    const [first] = host.entrances;
    if (first === undefined) throw new TypeError('no entrance');
    const whole = {
      from: 'alice@example.com',
      client: LOCALHOST,
      authenticated: false,
      recipients: [],
      ...question,
    };
    return {entrance: first, question: whole, answer: wouldSign(host, first, whole)};
  };

  it('says by which row and with which key', () => {
    expect(explainedCheck(explained({}))).toMatchObject({
      title: 'Mail from alice@example.com, on port 25, client 127.0.0.1',
      status: 'pass',
      evidence:
        'signed by selector s1 for example.com, by the row "*@example.com" of Signer (/etc/signer/table line 1), with the key /etc/keys/example.com.s1',
    });
  });

  it('says that mail of a stranger is right unsigned', () => {
    const check = explainedCheck(explained({}, {client: stranger}));
    expect(check).toMatchObject({
      status: 'fail',
      evidence: 'not signed: InternalHosts (/etc/mta/main.conf line 1)',
    });
    expect(check.cause).toContain('That is right');
    expect(check.fix).toContain('--trusted-hosts 203.0.113.5');
  });

  it.each([
    [
      {entrances: [entrance({passes: [pass(none)]})]},
      'fail',
      'not signed: milters (/etc/mta/main.conf line 44)',
    ],
    [{entrances: [entrance({passes: [pass({milters: {fatal: 'x'}})]})]}, 'fail', 'refused: milters'],
    [{entrances: [entrance({breakers: [breaker()]})]}, 'fail', 'then changed by generic'],
    [{entrances: [entrance({breakers: [breaker({isCertain: false})]})]}, 'warn', 'may change it'],
    [{entrances: [entrance({passes: [pass(), pass({client: 'localhost'})]})]}, 'warn', '; and signed by'],
  ] as const)('%#: %s', (part, status, evidence) => {
    const check = explainedCheck(explained(part as Partial<HostPicture>));
    expect(check.status).toBe(status);
    expect(check.evidence).toContain(evidence);
  });

  it('shows each decision with its place', () => {
    expect(stepLines(explained({}))).toEqual([
      '      then     smtp/inet: milters = inet:127.0.0.1:8891 (/etc/mta/main.conf line 1). milters is inet:127.0.0.1:8891.',
      '      then     Signer: InternalHosts = 127.0.0.1 (/etc/mta/main.conf line 1). 127.0.0.1 is own.',
      '      signs    Signer: *@example.com = s1 (/etc/signer/table line 1). It matches.',
    ]);
  });
});
