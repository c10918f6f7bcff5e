/**
 * What a survey says beside the rows of its servers: mistakes with their repair, aliases, the resolver, caches that count
 * down, DNSSEC, what the zone itself has wrong. Sentences, the same in every view. Pure; times are told from `now`.
 */
import type {AliasTarget, CacheLimit, DnssecView, ServerView, Survey} from '../dns/survey.ts';
import {formatDuration, formatMoment} from '../domain/duration.ts';
import type {Problem} from '../domain/result.ts';
import type {State} from './state.ts';

export interface SurveyFact {
  /** The same as long as the fact is, however its times count down. */
  readonly key: string;
  /** `wrong`: has to be mended. `odd`: works, or is not of the record. */
  readonly kind: 'wrong' | 'odd' | 'note' | 'good';
  readonly text: string;
  /** What to do; '' where nothing. */
  readonly hint: string;
}

const fact = (key: string, kind: SurveyFact['kind'], text: string, hint = ''): SurveyFact => ({
  ...{key, kind, text, hint},
});

const told = (kind: SurveyFact['kind'], {id, message, hint}: Problem): SurveyFact =>
  fact(`${id} ${message}`, kind, message, hint);

/** @param now milliseconds since the epoch */
export function surveyFacts(survey: Survey, now: number): readonly SurveyFact[] {
  const facts = [
    // That each of them is silent is no mistake of theirs where all are: the weaker claim says why.
    ...mistakeFacts([
      ...(survey.weaker === undefined ? survey.servers : []),
      ...(survey.targets ?? []).flatMap(target => target.servers),
    ]),
    ...aliasFacts(survey),
    ...(survey.weaker === undefined ? [] : [told('odd', survey.weaker)]),
    ...resolverFacts(survey),
    ...(survey.caches ?? []).flatMap(limit => cacheFacts(limit, now)),
    ...(survey.dnssec === undefined ? [] : dnssecFacts(survey.dnssec)),
    ...survey.zone.remarks.map(remark => told('odd', remark)),
  ];
  // What has to be mended must be in sight on a low terminal.
  return [...facts.filter(({kind}) => kind === 'wrong'), ...facts.filter(({kind}) => kind !== 'wrong')];
}

/** Each mistake once, however many servers have it. */
function mistakeFacts(views: readonly ServerView[]): readonly SurveyFact[] {
  const named = new Map<string, SurveyFact>();
  for (const {status, mistake} of views) {
    if (mistake === undefined || named.has(mistake.id)) continue;
    named.set(mistake.id, told(status === 'matching' || status === 'unreachable' ? 'odd' : 'wrong', mistake));
  }
  return [...named.values()];
}

function aliasFacts({name, servers}: Survey): readonly SurveyFact[] {
  const aliases = new Map(
    servers.flatMap(({alias, dname}) => (alias === undefined ? [] : [[alias, dname] as const])),
  );
  return [...aliases].map(([alias, dname]) =>
    dname === undefined
      ? fact(`alias ${alias}`, 'note', `${name} is an alias (CNAME): the record belongs at ${alias}.`)
      : fact(
          `dname ${alias}`,
          'note',
          `${dname} is a DNAME: ${name} stands for ${alias}, where the record belongs.`,
        ),
  );
}

const RESOLVER_WORDS: Readonly<Record<Survey['resolver'], string>> = {
  'not-asked': '',
  matching: 'has it, too',
  absent: 'does not have it yet: it may remember that it was not there',
  wrong: 'still has another record',
  timeout: 'does not answer',
  failed: 'answers with a failure (SERVFAIL)',
};

function resolverFacts({resolver, weaker}: Survey): readonly SurveyFact[] {
  // The weaker claim says it already.
  if (resolver === 'not-asked' || weaker !== undefined) return [];
  const kind = resolver === 'matching' ? 'good' : resolver === 'failed' ? 'wrong' : 'note';
  return [fact(`resolver ${resolver}`, kind, `The resolver of this host ${RESOLVER_WORDS[resolver]}.`)];
}

/** Where the limit is over nothing is said: the next survey leaves it out, too. */
function cacheFacts({kind, where, until}: CacheLimit, now: number): readonly SurveyFact[] {
  const left = Date.parse(until) - now;
  if (left <= 0) return [];
  const who = where === 'resolver' ? 'The resolver of this host' : 'A resolver that asked before';
  const what = kind === 'negative' ? 'say "no such record"' : 'give the old record';
  return [fact(`cache ${kind} ${where}`, 'note', `${who} may still ${what} for ${formatDuration(left)}.`)];
}

const DNSSEC_WORDS: Readonly<Record<DnssecView['status'], string>> = {
  validated: 'DNSSEC: signed, and validated by the resolver',
  insecure: 'DNSSEC: the zone is not signed',
  unchecked: 'DNSSEC: signed, but the resolver does not validate',
  bogus: 'DNSSEC: broken',
};

function dnssecFacts({status, expiresAt, mistake}: DnssecView): readonly SurveyFact[] {
  const end = expiresAt === undefined ? '' : `; the signature ends at ${formatMoment(expiresAt)}`;
  const kind = status === 'validated' ? 'good' : status === 'bogus' ? 'wrong' : 'note';
  if (status === 'bogus' && mistake !== undefined) return [told('wrong', mistake)];
  return [
    fact(`dnssec ${status} ${expiresAt ?? ''}`, kind, `${DNSSEC_WORDS[status]}${end}.`),
    ...(mistake === undefined ? [] : [told('odd', mistake)]),
  ];
}

/** `1 of 2 servers have it at the end of the alias, org1.target.org`. */
export function targetText({name, servers}: AliasTarget): string {
  const matching = servers.filter(view => view.status === 'matching').length;
  return `${matching} of ${servers.length} servers have it at the end of the alias, ${name}`;
}

/** All that is known is that the resolver has exactly the record: what can be gone on by, if that is wished. */
export const isResolverWord = ({weaker, resolver}: Survey): boolean =>
  weaker !== undefined && resolver === 'matching';

/** Whether nothing more has to be awaited for this record. */
export const isEnough = (survey: Survey, resolverOnly: boolean): boolean =>
  survey.settled || (resolverOnly && isResolverWord(survey));

export interface ResolverWord {
  readonly domain: string;
  readonly survey: Survey;
}

/** Domains whose record is known from the resolver only. */
export const knownByResolver = (
  state: Pick<State, 'staged' | 'surveys' | 'resolverOnly'>,
): readonly ResolverWord[] =>
  state.staged.flatMap(({domain}) => {
    const survey = state.surveys[domain];
    return survey !== undefined && state.resolverOnly && !survey.settled && isResolverWord(survey)
      ? [{domain, survey}]
      : [];
  });
