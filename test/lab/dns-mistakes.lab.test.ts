/**
 * Every mistake on real zones: BIND, NSD and Knot serve the same zone with all of them, and each server's answer has to be
 * called by its name. Needs root, bind9, nsd, knot, unbound, dnsutils.
 */
import {afterAll, beforeAll, expect, test} from 'vitest';
import type {Survey} from '../../src/dns/survey.ts';
import {CASES, OTHER, VALUE} from './support/dns-cases.ts';
import type {DriverJob, DriverSubject} from './support/dns-driver.ts';
import {
  ALL,
  BIND,
  DnsNet,
  head,
  KNOT,
  type LabZone,
  NOBODY,
  NSD,
  onAll,
  RESOLVER,
  type Server,
  serversZone,
  strings,
} from './support/dns-net.ts';

const s1 = (apex: string): string => `s1._domainkey.${apex}`;
const right = (apex: string): string => `${s1(apex)}. TXT ${strings(VALUE)}`;
const text = (...lines: readonly string[]): string => `${lines.join('\n')}\n`;
const two = [BIND, KNOT] as const;

const zones: readonly LabZone[] = [
  serversZone([NOBODY]),
  {
    apex: 'example.org',
    content: onAll([...head('example.org', 1, ALL), ...CASES.flatMap(each => each.lines)]),
  },
  {
    apex: 'stale.org',
    content: new Map<Server, string>([
      [BIND, text(...head('stale.org', 8, two), right('stale.org'))],
      [KNOT, text(...head('stale.org', 7, two))],
    ]),
  },
  {
    apex: 'unraised.org',
    content: new Map<Server, string>([
      [BIND, text(...head('unraised.org', 7, two), right('unraised.org'))],
      [KNOT, text(...head('unraised.org', 7, two))],
    ]),
  },
  {
    apex: 'overwritten.org',
    content: new Map<Server, string>([
      [BIND, text(...head('overwritten.org', 7, two), right('overwritten.org'))],
      [KNOT, text(...head('overwritten.org', 8, two))],
    ]),
  },
  {
    // The zone was copied to the new provider as it was; the record was entered at the old one.
    apex: 'moved.org',
    content: new Map<Server, string>([
      [BIND, text(...head('moved.org', 7, [BIND]), right('moved.org'))],
      [NSD, text(...head('moved.org', 7, [BIND]))],
    ]),
    delegatedTo: [NSD],
  },
  {
    apex: 'hidden.org',
    content: new Map<Server, string>([
      [
        BIND,
        text(...head('hidden.org', 8, [BIND]), right('hidden.org')).replace(
          /^@ IN NS .*$/m,
          `@ IN NS ${NSD.name}.`,
        ),
      ],
      [NSD, text(...head('hidden.org', 7, [BIND])).replace(/^@ IN NS .*$/m, `@ IN NS ${NSD.name}.`)],
    ]),
    delegatedTo: [NSD],
  },
  {
    // BIND does not load it (CNAME and other data), Knot refuses a zone it has not, nobody is at the fourth.
    apex: 'trouble.org',
    content: new Map<Server, string>([
      [NSD, text(...head('trouble.org', 7, [NSD, BIND, KNOT, NOBODY]), right('trouble.org'))],
      [
        BIND,
        text(
          ...head('trouble.org', 7, [NSD]),
          `${s1('trouble.org')}. CNAME a.trouble.org.`,
          right('trouble.org'),
        ),
      ],
    ]),
    delegatedTo: [NSD, BIND, KNOT, NOBODY],
  },
  {
    apex: 'dynamic.org',
    content: new Map<Server, string>([
      [
        BIND,
        text(
          ...head('dynamic.org', 7, [BIND]),
          `${s1('dynamic.org')}. CNAME esp.dynamic.org.`,
          `esp.dynamic.org. TXT ${strings(OTHER)}`,
        ),
      ],
    ]),
    dynamic: true,
  },
];

let net: DnsNet;

beforeAll(async () => {
  net = await DnsNet.start(zones);
}, 120_000);

afterAll(() => net?.stop());

async function surveys(job: Omit<DriverJob, 'resolver'>): Promise<readonly Survey[]> {
  const results = await net.drive({...job, resolver: RESOLVER});
  return results.map(result => {
    if (!result.ok) throw new Error(result.problem.message);
    if (result.survey === undefined) throw new Error('no survey');
    return result.survey;
  });
}

const survey = async (subject: DriverSubject): Promise<Survey> => {
  const [seen] = await surveys({kind: 'survey', subjects: [subject]});
  if (seen === undefined) throw new Error('no survey');
  return seen;
};

const named = (seen: Survey): readonly (readonly [string, string | undefined])[] =>
  seen.servers.map(({server, mistake}) => [server.name, mistake?.id]);

test('BIND, NSD and Knot: each mistake is called by its name on every server', async () => {
  const seen = await surveys({kind: 'survey', subjects: CASES.map(each => each.subject)});
  const told = seen.map(
    (each, at) => `${CASES[at]?.id}: ${each.servers.map(view => view.mistake?.id).join(' ')}`,
  );
  expect(told).toEqual(CASES.map(({id}) => `${id}: ${id} ${id} ${id}`));
  expect(seen.map(each => each.agreed)).toEqual(CASES.map(each => each.works === true));
  expect(new Set(CASES.map(each => each.id)).size).toBeGreaterThanOrEqual(60);
  for (const each of seen) {
    for (const {mistake} of each.servers) {
      expect(mistake?.hint).not.toBe('');
      expect(`${mistake?.message}${mistake?.hint}`).not.toMatch(/[\x00-\x1f\x7f]/);
    }
  }
});

test('what `waxseal check` reports of a record is that very mistake, by its id and with its repair', async () => {
  const subjects = CASES.map(each => each.subject);
  const results = await net.drive({kind: 'check', resolver: RESOLVER, subjects});
  const seen = await surveys({kind: 'survey', subjects});
  const checks = results.map(result => (result.ok ? result.check : undefined));
  const rows = checks.map(
    (check, at) => `${CASES[at]?.id}: ${check?.status} ${check?.evidence.match(/ns1[^,;]*/)?.[0]}`,
  );
  expect(rows).toEqual(
    CASES.map(({id, works}, at) => {
      const {status, server} = seen[at]?.servers[0] ?? {};
      return `${id}: ${works === true ? 'warn' : 'fail'} ${server?.name} ${server?.address} ${status} (${id})`;
    }),
  );
  expect(checks.map(check => check?.cause)).toEqual(seen.map(each => each.servers[0]?.mistake?.message));
  expect(checks.map(check => check?.fix)).toEqual(seen.map(each => each.servers[0]?.mistake?.hint));
});

test('the propagation screen gets the same names while it waits', async () => {
  const waiting = CASES.filter(each => each.works !== true);
  const seen = await surveys({
    kind: 'watch',
    subjects: waiting.map(each => each.subject),
    deadlineMs: 32_000,
  });
  const told = seen.map(
    (each, at) => `${waiting[at]?.id}: ${each.servers.map(view => view.mistake?.id).join(' ')}`,
  );
  expect(told).toEqual(waiting.map(({id}) => `${id}: ${id} ${id} ${id}`));
});

test.each([
  ['stale.org', 'dns.stale-secondary'],
  ['unraised.org', 'dns.serial-not-raised'],
  ['overwritten.org', 'dns.zone-overwritten'],
])('servers that disagree: %s is %s', async (apex, id) => {
  const seen = await survey({name: s1(apex), expected: VALUE});
  expect(named(seen)).toEqual([
    [BIND.name, undefined],
    [KNOT.name, id],
  ]);
});

test('entered at the provider that the registry no longer names', async () => {
  const seen = await survey({name: s1('moved.org'), expected: VALUE});
  expect(named(seen)).toEqual([
    [BIND.name, undefined],
    [NSD.name, 'dns.wrong-provider'],
  ]);
  expect(seen.zone.remarks.map(remark => remark.id)).toEqual(['dns.delegation-differs']);
  expect(seen.agreed).toBe(false);
});

test('a hidden primary that has not passed the record on', async () => {
  const seen = await survey({name: s1('hidden.org'), expected: VALUE});
  expect(named(seen)).toEqual([[NSD.name, 'dns.not-transferred']]);
});

test('a zone that does not load, one that is not there, and nobody', async () => {
  const seen = await survey({name: s1('trouble.org'), expected: VALUE});
  expect(named(seen)).toEqual([
    [BIND.name, 'dns.server-lame'],
    [NSD.name, undefined],
    [KNOT.name, 'dns.server-refused'],
    [NOBODY.name, 'dns.server-silent'],
  ]);
});

test('BIND drops a TXT that an update adds beside a CNAME, and that is what is told', async () => {
  const script = `server ${BIND.address}\nzone dynamic.org.\nupdate add ${s1('dynamic.org')}. 60 TXT ${strings(VALUE)}\nsend\n`;
  expect((await net.run(['nsupdate'], script)).status).toBe(0);
  const seen = await survey({name: s1('dynamic.org'), expected: VALUE});
  expect(named(seen)).toEqual([[BIND.name, 'dns.cname-beside-txt']]);
});
