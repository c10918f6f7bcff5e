import {checkMany, type KeyFinding, type KeyToCheck} from '../../dns/many/index.ts';
import {MOST_POLICIES, policiesOf, policyChecks} from '../../doctor/policies.ts';
import type {ExitCode} from '../../domain/errors.ts';
import {type DomainName, parseDomain, parseSelector, type Selector} from '../../domain/names.ts';
import {visible} from '../../domain/text.ts';
import type {DomainList} from '../../flow/domain-list.ts';
import {reportOf} from '../../flow/report.ts';
import {readKeys} from '../../jobs/key-book.ts';
import {checkFrom, failed, passed, warned} from '../../proof/finding.ts';
import type {Check} from '../../proof/proof.ts';
import {formerRecords, type KeyEntry, type SilentFacts} from '../../rotation/index.ts';
import type {Clock} from '../../system/ports.ts';
import {isSet, textOf} from '../arguments.ts';
import {type Context, resolversOf} from '../context.ts';
import {failureOf, failureReport, failureText} from '../failure.ts';
import {adviceLines, checkLines, tell} from '../print.ts';
import {domainTexts} from '../session.ts';
import {silentChecks, silentLines} from '../silent-report.ts';
import {createStreamedReport} from '../streamed-report.ts';
import {taken, usage} from '../usage.ts';
import {writeOut} from '../write-out.ts';

/**
 * `waxseal check --dns`: only the records, of as many domains as there are. A line of `--domains-file` is
 * `DOMAIN,SELECTOR`; without a selector that of `--selector`, or those of the keys of this host. Each finding is
 * printed when it is known, also into the JSON document; memory does not grow with the list. Needs no root where the state
 * is not needed. For few domains SPF, DMARC and MX come on top, as advice.
 */
export async function checkDns(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  const list = await domainTexts(context);
  const known = ports.process.privileged ? (await readKeys(ports)).keys : [];
  const keys = list.texts.length === 0 ? publishedKeys(known) : [...keysOf(list, selectorOf(context), known)];
  if (keys.length === 0) {
    throw usage(
      'check.no-domains',
      'There is no domain to check.',
      'Give a domain with --domain, or a list with --domains-file.',
    );
  }
  const shared = await context.outside.manyQuestions?.(ports.dns);
  const tally = createTally(context, ports, keys.length);
  const resolvers = resolversOf(context.flags);
  // A resolver that was silent for the record is not asked a dozen times more.
  const answered = new Set<DomainName>();
  try {
    await checkMany({...ports, dns: shared ?? ports.dns}, keys, {
      resolvers,
      signal: context.signal,
      thorough: keys.length <= THOROUGH,
      onFinding(finding) {
        if (finding.mistake?.id !== 'dns.no-resolver') answered.add(finding.key.domain);
        return tally.add(finding);
      },
    });
    const isFew = new Set(keys.map(({domain}) => domain)).size <= MOST_POLICIES;
    const advice = await Promise.all(
      [...(isFew ? answered : [])].map(async domain => {
        const policies = await policiesOf(ports, domain, undefined, {resolvers, signal: context.signal});
        return policyChecks(domain, policies, undefined);
      }),
    );
    tally.erase();
    return await tally.end(advice.flat());
  } catch (error) {
    tally.erase();
    return await tally.fail(error);
  } finally {
    shared?.close();
  }
}

const publishedKeys = (known: readonly KeyEntry[]): readonly KeyToCheck[] =>
  known.filter(({state}) => ['ready', 'active', 'retiring'].includes(state)).map(key => toCheck(key, known));

const toCheck = (key: KeyEntry, known: readonly KeyEntry[]): KeyToCheck => ({
  ...{domain: key.domain, selector: key.selector, expected: key.record.value},
  ...formerRecords({keys: known}, key),
});

function selectorOf(context: Context): Selector | undefined {
  const text = textOf(context.flags, 'selector');
  if (text === undefined) return undefined;
  return taken(parseSelector(text));
}

function* keysOf(
  {texts, selectors}: DomainList,
  common: Selector | undefined,
  known: readonly KeyEntry[],
): Generator<KeyToCheck> {
  const byDomain = new Map<string, KeyEntry[]>();
  for (const each of known) byDomain.set(each.domain, [...(byDomain.get(each.domain) ?? []), each]);
  for (const text of texts) {
    const domain = taken(parseDomain(text));
    const own = byDomain.get(domain) ?? [];
    const selector = selectors.get(domain) ?? common;
    if (selector !== undefined) {
      const key = own.find(each => each.selector === selector);
      yield key === undefined ? {domain, selector, expected: undefined} : toCheck(key, own);
    } else if (own.length > 0) {
      yield* publishedKeys(own);
    } else {
      throw usage(
        'check.no-selector',
        `Nobody has said which selector ${domain} has, and no key of it is on this host.`,
        'Write it behind the domain in the file after a comma, or give it with --selector.',
      );
    }
  }
}

/** Up to so many records are looked at thoroughly, right or wrong; in longer lists only those that are not plainly right. */
const THOROUGH = 200;

interface Tally {
  add(finding: KeyFinding): Promise<void>;
  /** Takes the progress line away. */
  erase(): void;
  end(advice: readonly Check[]): Promise<ExitCode>;
  /** A document that was begun is ended with the error; otherwise the error is thrown on. */
  fail(error: unknown): Promise<ExitCode>;
}

const REDRAW_MS = 200;
const BAR = 24;

function createTally(context: Context, {clock}: {readonly clock: Clock}, total: number): Tally {
  const {stdout, stderr} = context.streams;
  const json = isSet(context.flags, 'json');
  const quiet = isSet(context.flags, 'quiet');
  const bar = stderr.isTTY === true && !quiet && !isSet(context.flags, 'plain');
  const document = json ? createStreamedReport(context) : undefined;
  const begun = clock.now().getTime();
  let done = 0;
  let wrong = 0;
  let unknown = 0;
  const silent = new Map<string, SilentFacts>();
  let drawnAt = 0;
  const rate = (now: number): number => Math.round((done * 1000) / Math.max(1, now - begun));
  const count = (number: number): string => number.toLocaleString('en-US');
  const draw = (now: number): void => {
    drawnAt = now;
    const filled = Math.round((BAR * done) / total);
    stderr.write(
      `\r[${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}] ${count(done)} of ${count(total)}, ${count(rate(now))}/s, ${count(wrong)} wrong \x1b[K`,
    );
  };
  const erase = (): void => {
    if (bar && drawnAt > 0) stderr.write('\r\x1b[K');
  };
  const say = async (check: Check): Promise<void> => {
    if (document !== undefined) return await document.add(check);
    if (check.status !== 'fail' && quiet) return;
    // One terminal may show both streams: the bar must not stand in the middle of a line.
    if (stdout.isTTY === true) erase();
    await writeOut(stdout, `${checkLines(check).join('\n')}\n`);
  };
  return {
    async add(finding) {
      done++;
      const check = checkOf(finding);
      if (finding.unasked !== undefined) unknown++;
      else if (check.status === 'fail') wrong++;
      for (const server of finding.unasked ?? []) {
        const name = `${server.address} ${server.port}`;
        silent.set(name, {...server, records: (silent.get(name)?.records ?? 0) + 1});
      }
      await say(check);
      const now = clock.now().getTime();
      if (bar && (now - drawnAt >= REDRAW_MS || done === total)) draw(now);
    },
    erase,
    async fail(error) {
      if (document === undefined || !document.isBegun()) throw error;
      const failure = failureOf(error);
      context.say(failureText(failure).trimEnd());
      await document.end(failureReport(context.command, failure));
      return failure.exitCode;
    },
    async end(advice) {
      const now = clock.now().getTime();
      const seconds = ((now - begun) / 1000).toFixed(1);
      const exitCode: ExitCode = wrong > 0 || unknown > 0 ? 4 : 0;
      const left = unknown === 0 ? '' : `, ${count(unknown)} not checked`;
      const given = [...silent.values()];
      const sum = `${count(done - wrong - unknown)} of ${count(total)} right, ${count(wrong)} wrong${left}; ${seconds} s, ${count(rate(now))} a second`;
      if (document === undefined) {
        return await tell(context, {exitCode}, [...adviceLines(advice), ...silentLines(given), sum]);
      }
      for (const check of silentChecks(given)) await document.add(check);
      await document.end(reportOf(context.command, {exitCode, advice}));
      return exitCode;
    },
  };
}

function checkOf({key, servers, matching, mistake, remark}: KeyFinding): Check {
  const title = `Record ${key.selector}._domainkey.${key.domain}`;
  const evidence = `${matching} of ${servers} name servers`;
  const why = mistake ?? remark;
  if (why === undefined) return checkFrom('dns.record', title, passed(evidence));
  const found = mistake === undefined ? warned : failed;
  return checkFrom(why.id, title, found(visible(evidence), visible(why.message), visible(why.hint)));
}
