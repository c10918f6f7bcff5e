/**
 * What one answer alone does not tell: servers compared with each other, a wildcard, a name above that is denied, a record
 * that went elsewhere. The first is pure; the others ask a few more questions.
 */
import {type DnsName, isWithin} from '../domain/names.ts';
import {type Problem, problem} from '../domain/result.ts';
import {ask, type DnsPorts} from './client.ts';
import {excerpt} from './evidence.ts';
import {findMisplaced, holdsRecord} from './misplaced.ts';
import {atProvider} from './repair.ts';
import {type ResolverOptions, resolve} from './resolver.ts';
import {sibling} from './selector-use.ts';
import type {Subject} from './subject.ts';
import type {AuthoritativeServer, ServerView} from './survey.ts';

/** Mistakes that only say that another record is there: what is known of the other servers explains more. */
const UNEXPLAINED = new Set<string | undefined>([
  undefined,
  'dns.other-key',
  'dns.old-key',
  'dns.foreign-record',
  'dns.revoked',
]);

/** Names why a server is behind the others that have the record; the other views are returned as they are. */
export function explainLaggards(subject: Subject, views: readonly ServerView[]): readonly ServerView[] {
  const leaders = views.filter(view => view.status === 'matching');
  const [leader] = leaders;
  if (leader === undefined) return views;
  return views.map(view => {
    const lags = ['absent', 'wrong'].includes(view.status) && view.alias === undefined;
    if (!lags || !UNEXPLAINED.has(view.mistake?.id)) return view;
    const mistake = otherListing(subject, view, leaders) ?? otherSerial(subject, view, leader);
    return mistake === undefined ? view : {...view, mistake};
  });
}

/** The record is only where the zone's NS records and those of the registry do not agree. */
function otherListing(
  {zone, name}: Subject,
  {server}: ServerView,
  leaders: readonly ServerView[],
): Problem | undefined {
  const leader = leaders[0]?.server;
  if (leader?.listed === undefined || !leaders.every(each => each.server.listed === leader.listed))
    return undefined;
  if (server.listed === leader.listed) return undefined;
  const isOld = leader.listed === 'child';
  return problem(
    'dns.wrong-provider',
    isOld
      ? `The registry delegates ${zone.apex} to ${server.name}, but the record was entered at ${leader.name}, which only the zone's own NS records name.`
      : `The record was entered at ${leader.name}, which only the registry names; the zone's own NS records name ${server.name}.`,
    `Enter ${name} at the provider that runs ${isOld ? server.name : 'the zone now'}, and set the same name servers at the registrar and in the zone.`,
  );
}

function otherSerial({name, zone}: Subject, view: ServerView, leader: ServerView): Problem | undefined {
  const mine = view.serial;
  const theirs = leader.serial;
  if (mine === undefined || theirs === undefined) return undefined;
  const who = `${view.server.name} (${view.server.address})`;
  const other = `${leader.server.name} (${leader.server.address})`;
  if (mine === theirs) {
    return problem(
      'dns.serial-not-raised',
      `${who} and ${other} answer differently with the same serial ${mine}: the zone was changed without raising it, so nobody fetches it.`,
      `Raise the serial in the SOA of ${zone.apex} and reload the zone; the other servers then fetch it by themselves.`,
    );
  }
  return isNewer(theirs, mine)
    ? problem(
        'dns.stale-secondary',
        `${who} still serves serial ${mine}; ${other} has ${theirs}.`,
        `It has not fetched the zone yet. Where that lasts, check NOTIFY and zone transfers between them: dig +norecurse @${view.server.address} SOA ${zone.apex}`,
      )
    : problem(
        'dns.zone-overwritten',
        `${who} has a newer zone (serial ${mine}, not ${theirs}) without the record: somebody or a program wrote the zone anew.`,
        `Add ${name} where the zone is made, not only on one server, and raise the serial.`,
      );
}

/** RFC 1982 §3.2. */
const isNewer = (one: number, other: number): boolean => {
  const ahead = (one - other) >>> 0;
  return ahead !== 0 && ahead < 0x8000_0000;
};

/** Every server that answers for the zone says that nothing is there. */
export function isNowhere(views: readonly ServerView[]): boolean {
  const answering = views.filter(view => ['matching', 'absent', 'wrong', 'several'].includes(view.status));
  return answering.length > 0 && answering.every(view => view.status === 'absent');
}

/** What was found by asking further, and which views it explains. */
export interface Explanation {
  readonly mistake: Problem;
  readonly explains: (view: ServerView) => boolean;
}

/** Lays an explanation over the views; what a view says by itself is kept where it says more. */
export const withExplanation = (
  views: readonly ServerView[],
  explanation: Explanation | undefined,
): readonly ServerView[] =>
  explanation === undefined
    ? views
    : views.map(view => (explanation.explains(view) ? {...view, mistake: explanation.mistake} : view));

/** Asks further: where the record went that is nowhere, or whether a wildcard answers in its place. */
export async function lookFurther(
  ports: DnsPorts,
  subject: Subject,
  views: readonly ServerView[],
  options: ResolverOptions,
): Promise<Explanation | undefined> {
  const answering = views.filter(view => view.serial !== undefined).map(view => view.server);
  if (!isNowhere(views)) {
    return (
      (await wildcard(ports, subject, views, options)) ?? (await deniedAbove(ports, subject, views, options))
    );
  }
  const hidden = await atPrimary(ports, subject, answering, options);
  const {name, expected, zone, formerNames} = subject;
  const sought = {name, expected, apex: zone.apex, formerNames: formerNames ?? []};
  const mistake = hidden ?? (await findMisplaced(ports, sought, answering, options.signal));
  if (mistake === undefined) return undefined;
  const hint = `${mistake.hint}${atProvider({name, expected, apex: zone.apex, serverNames: zone.servers.map(each => each.name)})}`;
  return {
    mistake: {...mistake, hint},
    explains: view => view.status === 'absent' && view.mistake === undefined,
  };
}

/** Nobody has made a record at a random name beside it: what answers there as well is a wildcard (RFC 4592). */
async function wildcard(
  ports: DnsPorts,
  {name, zone}: Subject,
  views: readonly ServerView[],
  {signal}: ResolverOptions,
): Promise<Explanation | undefined> {
  const seen = views.find(view => view.records.length > 0 && view.alias === undefined);
  if (seen === undefined) return undefined;
  const question = {name: sibling(ports, name), type: 'TXT'} as const;
  const outcome = await ask(ports, seen.server, question, {recursion: false, tries: 1, signal});
  if (outcome.kind !== 'answer' || !outcome.message.authoritative) return undefined;
  const texts = outcome.message.answers.flatMap(record =>
    record.type === 'TXT' && record.name === question.name ? [record.text] : [],
  );
  const isSame = (view: ServerView): boolean =>
    view.records.length === texts.length && view.records.every(record => texts.includes(record));
  if (texts.length === 0 || !isSame(seen)) return undefined;
  const works = seen.status === 'matching';
  const shown = excerpt(texts[0] ?? '');
  return {
    mistake: problem(
      'dns.wildcard',
      works
        ? `The record comes from a wildcard (*): every selector has this key (${shown}).`
        : `No record is at ${name}: what answers is a wildcard (*) with another text (${shown}).`,
      works
        ? `Enter it at ${name} itself, so that other selectors can have other keys.`
        : `Publish the record at ${name}; it takes precedence, and the wildcard in ${zone.apex} may stay.`,
    ),
    explains: isSame,
  };
}

/**
 * The record is there, but its server denies the name above it, which exists because of it (RFC 8020 §2). Resolvers that ask
 * for that one first (RFC 9156), or remember NXDOMAIN for all below, then find no key.
 */
async function deniedAbove(
  ports: DnsPorts,
  {name, zone}: Subject,
  views: readonly ServerView[],
  {signal}: ResolverOptions,
): Promise<Explanation | undefined> {
  const above = name.slice(name.indexOf('._domainkey.') + 1) as DnsName;
  const seen = views.filter(view => view.status === 'matching' && view.alias === undefined);
  if (!name.includes('._domainkey.') || above === zone.apex || !isWithin(above, zone.apex)) return undefined;
  const question = {name: above, type: 'TXT'} as const;
  const denying = await Promise.all(
    seen.map(async ({server}) => {
      const outcome = await ask(ports, server, question, {recursion: false, tries: 1, signal});
      const isDenied =
        outcome.kind === 'answer' && outcome.message.authoritative && outcome.message.rcode === 'NXDOMAIN';
      return isDenied ? [server] : [];
    }),
  ).then(found => found.flat());
  const [first] = denying;
  if (first === undefined) return undefined;
  return {
    mistake: problem(
      'dns.name-above-denied',
      `${first.name} (${first.address}) says that ${above} does not exist (NXDOMAIN), though ${name} is below it: resolvers may then not look for the key (RFC 8020).`,
      `Have the name server mended; a TXT record with any text at ${above} helps until then.`,
    ),
    explains: view => view.mistake === undefined && denying.includes(view.server),
  };
}

/** The primary may be hidden: named by the SOA, but not by the NS records. What is there only has not been passed on. */
async function atPrimary(
  ports: DnsPorts,
  {zone, name, expected}: Subject,
  answering: readonly AuthoritativeServer[],
  options: ResolverOptions,
): Promise<Problem | undefined> {
  const {primary} = zone;
  if (primary === '' || zone.servers.some(server => server.name === primary)) return undefined;
  const resolved = await resolve(ports, {name: primary, type: 'A'}, options);
  if (resolved.kind !== 'answer') return undefined;
  const addresses = resolved.message.answers.flatMap(record => (record.type === 'A' ? [record.address] : []));
  const [address] = addresses.filter(each => !zone.servers.some(server => server.address === each));
  if (
    address === undefined ||
    !(await holdsRecord(ports, {address, port: 53}, name, expected, options.signal))
  ) {
    return undefined;
  }
  const waiting = answering.map(server => server.name).join(', ');
  return problem(
    'dns.not-transferred',
    `The primary ${primary} (${address}) has the record, but has not passed it on to ${waiting}.`,
    `Check NOTIFY and zone transfers, and that the serial was raised: dig @${address} SOA ${zone.apex}`,
  );
}
