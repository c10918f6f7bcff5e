/** A survey as the JSON contract shows it. */
import type {ServerView, Survey} from '../dns/survey.ts';
import type {Problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {checkFrom, warned} from '../proof/finding.ts';
import type {Check} from '../proof/proof.ts';
import type {DnsReport, ProblemReport, ServerReport} from './report.ts';
import type {ResolverWord} from './survey-facts.ts';

export const serverReport = ({server, status, serial}: ServerView): ServerReport => ({
  name: server.name,
  address: server.address,
  status,
  serial: serial ?? null,
});

/** Texts of strangers are made harmless. */
export const problemReport = ({id, message, hint}: Problem): ProblemReport => ({
  id,
  message: visible(message),
  hint: visible(hint),
});

/** A survey as reports have it. */
export function dnsReport(survey: Survey): DnsReport {
  const {at, agreed, settled, resolver, zone, caches, dnssec, weaker} = survey;
  const targets = survey.targets ?? [];
  return {
    ...{at, agreed, settled, resolver},
    negativeTtlSeconds: zone.negativeTtlSeconds,
    targets: targets.map(target => ({
      name: target.name,
      zone: target.zone.apex,
      servers: target.servers.map(serverReport),
    })),
    dname: survey.servers.find(view => view.dname !== undefined)?.dname ?? null,
    caches: (caches ?? []).map(({kind, where, until}) => ({kind, where, until})),
    dnssec: dnssec === undefined ? null : {status: dnssec.status, expiresAt: dnssec.expiresAt ?? null},
    weaker: weaker === undefined ? null : problemReport(weaker),
    mistakes: mistakes(survey),
    remarks: zone.remarks.map(problemReport),
  };
}

/** Each mistake once, with the servers that have it; that of DNSSEC is the resolver's. */
function mistakes({servers, targets, dnssec}: Survey): DnsReport['mistakes'] {
  const found = new Map<string, {readonly mistake: Problem; readonly servers: string[]}>();
  for (const {mistake, server} of [...servers, ...(targets ?? []).flatMap(target => target.servers)]) {
    if (mistake === undefined) continue;
    const known = found.get(mistake.id) ?? {mistake, servers: []};
    if (!known.servers.includes(server.address)) known.servers.push(server.address);
    found.set(mistake.id, known);
  }
  if (dnssec?.mistake !== undefined) found.set(dnssec.mistake.id, {mistake: dnssec.mistake, servers: []});
  return [...found.values()].map(each => ({...problemReport(each.mistake), servers: each.servers}));
}

/** What a run has gone on by where nobody but the resolver could be asked. */
export const resolverOnlyCheck = ({domain, survey: {name, zone, weaker}}: ResolverWord): Check =>
  checkFrom(
    'dns.resolver-only',
    `Record of ${visible(domain)}, by the word of the resolver only`,
    warned(
      visible(`${name}: the resolver has it; no name server of ${zone.apex} was asked`),
      visible(weaker?.message ?? ''),
      visible(weaker?.hint ?? ''),
    ),
  );
