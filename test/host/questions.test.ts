import {describe, expect, it} from 'vitest';
import {compare} from '../../src/host/compare.ts';
import {alignmentOf, domains} from '../../src/host/domains.ts';
import {foreignSigned} from '../../src/host/foreign-signed.ts';
import type {HostPicture} from '../../src/host/picture.ts';
import {ownSenders, sampleOf} from '../../src/host/senders.ts';
import type {SenderRewrite} from '../../src/services/mta.ts';
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
} from './pictures.ts';

const none = {milters: [], decidedBy: [decision('milters', '')]};

describe('sampleOf', () => {
  it.each([
    ['*@example.org', 'postmaster@example.org'],
    ['Alice@Example.org', 'alice@example.org'],
    ['example.org', 'postmaster@example.org'],
    ['.example.org', 'postmaster@x.example.org'],
    ['*@*.example.org', 'postmaster@x.example.org'],
    ['*', 'postmaster@waxseal.invalid'],
    ['news-*@example.org', 'news-x@example.org'],
    ['.*@example\\.org', undefined],
    ['', undefined],
  ])('%s stands for %s', (pattern, address) => {
    expect(sampleOf(pattern)).toBe(address);
  });
});

describe('domains', () => {
  const told = (host: HostPicture): readonly string[] =>
    domains(host).flatMap(({domain, troubles, right, isRowUsed}) => [
      `${domain} ${right} right${isRowUsed ? '' : ', row unused'}`,
      ...troubles.map(({way, answer}) => `${way.text}: ${answer.outcome} ${answer.survives}`),
    ]);

  it('finds a host right where each way signs once', () => {
    expect(told(picture())).toEqual(['example.com 3 right']);
  });

  it.each([
    [
      'smtp without milters',
      [entrance({passes: [pass(none)]}), local(), submission()],
      ['mail from this host on port 25: unsigned yes'],
    ],
    [
      'sendmail without milters',
      [entrance(), local(none), submission()],
      ['mail from programs (sendmail): unsigned yes'],
    ],
    [
      'a login that is not sent',
      [entrance(), local(), submission({macros: macros()})],
      ['mail from logged-in clients on port 587: unsigned yes'],
    ],
    [
      'a second pass',
      [entrance({passes: [pass(), pass({client: 'localhost'})]}), local(), submission()],
      ['mail from this host on port 25: signed yes'],
    ],
    [
      'a rewritten header',
      [entrance(), local(), {...submission(), breakers: [breaker()]}],
      ['mail from logged-in clients on port 587: signed no'],
    ],
    [
      'bounces, which are none',
      [entrance(), local(), submission(), entrance({id: 'bounce', kind: 'bounce', passes: []})],
      [],
    ],
  ])('names the way with %s', (_, entrances, expected) => {
    expect(told(picture({entrances}))).toEqual([`example.com ${3 - expected.length} right`, ...expected]);
  });

  it('names a row that never decides, and one that stops mail', () => {
    const rows = [
      row('*@example.com'),
      row('postmaster@example.com', 'example.com', 's2'),
      {...row('*@foo.example'), keyPath: undefined},
    ];
    const found = domains(picture({signers: [signer(rows)]}));
    // The address of the second row is the one that stands for the first: one verdict.
    expect(found.map(({domain, isRowUsed}) => `${domain} ${isRowUsed}`)).toEqual([
      'example.com true',
      'foo.example false',
    ]);
    expect(found[1]?.troubles.map(({answer}) => answer.outcome)).toEqual(['refused', 'refused', 'refused']);
  });

  it('says what is known of key and record of each signature', () => {
    const [first] = ownSenders(picture());
    const path = first?.row.keyPath;
    if (path === undefined) throw new TypeError('no key');
    const key = {known: false, why: 'is missing'} as const;
    const record = {
      domain: 'example.com',
      selector: 's1',
      seenAt: new Date(0),
      state: 'wrong',
      detail: '',
    } as const;
    const host = picture({
      keys: new Map([[path, key]]),
      records: new Map([['s1._domainkey.example.com', record]]),
    });
    expect(domains(host)[0]?.signatures).toMatchObject([{alignment: 'strict', key, record}]);
    expect(domains(picture())[0]?.signatures).toMatchObject([{key: undefined, record: undefined}]);
  });

  it.each([
    ['example.org', 'example.org', 'strict'],
    ['www.example.org', 'example.org', 'relaxed'],
    ['example.org', 'mail.example.org', 'relaxed'],
    ['example.org', 'example.net', 'none'],
    ['notexample.org', 'example.org', 'none'],
  ] as const)('From %s, d=%s: %s', (from, domain, alignment) => {
    expect(alignmentOf(from, domain)).toBe(alignment);
  });
});

describe('foreignSigned', () => {
  const told = (host: HostPicture): readonly string[] =>
    foreignSigned(host, ownSenders(host)).map(
      ({entrance: {id}, from, clients: {signed, tried}}) =>
        `${id} ${from} ${signed === tried ? 'all' : 'some'}`,
    );

  it('is empty on a host where only its own programs and logged-in clients are signed', () => {
    expect(told(picture())).toEqual([]);
  });

  it.each([
    [
      'a way back that signs as localhost',
      {entrances: [entrance({passes: [pass(), pass({client: 'localhost'})]})]},
      'all',
    ],
    [
      'a fixed login',
      {entrances: [entrance({passes: [pass({macros: macros(['{auth_type}', 'x'])})]})]},
      'all',
    ],
    ['everyone as internal host', {signers: [signer([row('*@example.com')], {internal: () => true})]}, 'all'],
    [
      'half of the net as internal hosts',
      {signers: [signer([row('*@example.com')], {internal: address => Number.parseInt(address, 10) >= 128})]},
      'some',
    ],
  ] as const)('finds %s', (_, part, share) => {
    expect(told(picture(part))).toEqual([`smtp/inet postmaster@example.com ${share}`]);
  });

  it('leaves alone what strangers cannot connect to', () => {
    const open = signer([row('*@example.com')], {internal: () => true});
    const host = picture({
      signers: [open],
      entrances: [
        entrance({id: 'back', kind: 'way-back', listensOn: '127.0.0.1:10025'}),
        submission(),
        local(),
      ],
    });
    expect(told(host)).toEqual([]);
  });

  it('tries a name without a domain, which the mail server completes', () => {
    const completes = (address: string): SenderRewrite => ({
      decision: decision('origin', 'example.com'),
      // Addresses with a domain go elsewhere.
      rewrite: from => (from.includes('@') ? 'x@other.example' : address),
    });
    const way = (address: string) =>
      picture({
        entrances: [entrance({passes: [pass({client: 'localhost', rewrites: [completes(address)]})]})],
      });
    expect(told(way('postmaster@example.com'))).toEqual(['smtp/inet postmaster all']);
    expect(told(way('postmaster@other.example'))).toEqual([]);
  });

  it('finds the one row whose domain a stranger may use', () => {
    const host = picture({
      entrances: [entrance({passes: [pass({client: 'localhost'})]})],
      signers: [signer([row('*@a.example'), row('*@b.example')])],
    });
    expect(told(host)).toEqual(['smtp/inet postmaster@a.example all']);
  });
});

describe('compare', () => {
  const told = (before: HostPicture, after: HostPicture): readonly string[] =>
    compare(before, after).map(
      ({kind, sender, ways, because}) =>
        `${kind} ${sender.address} ${ways.length}${because === undefined ? '' : ` ${because.decision.name}`}`,
    );
  const rows = (...all: ReturnType<typeof row>[]) => picture({signers: [signer(all)]});

  it('is empty where nothing changes', () => {
    expect(told(picture(), picture())).toEqual([]);
  });

  it('finds what is lost, changed and gained on every way', () => {
    const before = rows(row('*@a.example'), row('*@b.example'), row('*@d.example'));
    const after = rows(row('*@b.example', 'b.example', 's2'), row('*@c.example'), row('*@d.example'));
    expect(told(before, after)).toEqual([
      'lost postmaster@a.example 3 table',
      'changed postmaster@b.example 3',
      'gained postmaster@c.example 3',
    ]);
  });

  it('finds the one way that loses its milter', () => {
    expect(told(picture(), picture({entrances: [entrance(), local(none), submission()]}))).toEqual([
      'lost postmaster@example.com 1 milters',
    ]);
  });

  it('counts a signature that no longer survives, and a way that is gone, as lost', () => {
    const broken = picture({entrances: [entrance({breakers: [breaker()]}), local(), submission()]});
    expect(told(picture(), broken)).toEqual(['lost postmaster@example.com 1 generic']);
    expect(told(picture(), picture({entrances: [entrance(), local()]}))).toEqual([
      'lost postmaster@example.com 1',
    ]);
  });

  it('misses one of two signatures that no longer holds', () => {
    const there = {kind: 'tcp', host: '127.0.0.1', port: 8892} as const;
    const milters = [HOP, {...HOP, text: 'inet:127.0.0.1:8892', endpoint: there}];
    const signers = [
      signer([row('*@example.com')]),
      signer([row('*@example.com', 'example.net')], {endpoints: [{endpoint: there, source: line(4)}]}),
    ];
    const host = (...breakers: ReturnType<typeof breaker>[]) =>
      picture({entrances: [{...local({milters}), breakers}], signers});
    const between = breaker({where: 'later-milter', after: {pass: 0, milter: 1}});
    expect(compare(host(), host(between))).toMatchObject([
      {kind: 'changed', after: [{domain: 'example.net'}]},
    ]);
  });
});
