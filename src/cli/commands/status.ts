import {mailChecks} from '../../doctor/mail.ts';
import {checkNotes, inspectNotes} from '../../doctor/notes.ts';
import type {ExitCode} from '../../domain/errors.ts';
import {type DomainName, displayDomain} from '../../domain/names.ts';
import {sourceText} from '../../domain/source.ts';
import {visible} from '../../domain/text.ts';
import {coveredSender, domains, type KeyByHand, recordKey, type SignatureMade} from '../../host/index.ts';
import {lookByHand} from '../../jobs/by-hand.ts';
import {readKeys} from '../../jobs/key-book.ts';
import {keysInUse} from '../../jobs/key-uses.ts';
import {gatherFacts, readQueue, readSettings} from '../../jobs/rotate/facts.ts';
import type {Check} from '../../proof/proof.ts';
import {
  ageOf,
  type Due,
  due,
  EMPTY_STATE,
  entryName,
  type KeyEntry,
  lastProven,
  loadState,
  type RotationState,
} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {isSet} from '../arguments.ts';
import {type Context, resolversOf} from '../context.ts';
import {dueReports, localTime} from '../due-report.ts';
import {failureOf} from '../failure.ts';
import {checkLines, tell} from '../print.ts';
import {silentLines} from '../silent-report.ts';
import {byHandReport, chosen, domainsOf, stepByHand} from '../state-report.ts';
import {writeOut} from '../write-out.ts';

/** `waxseal status`: every domain, its key, the state and the next step. Loads no view, asks no server. */
export async function status(context: Context): Promise<ExitCode> {
  if (isSet(context.flags, 'monitor')) return await monitor(context);
  const ports = await context.ports();
  const loaded = await loadState(ports.files);
  // What can't be read is a finding; the domains of --domain are not unknown for it.
  const state = loaded.ok ? loaded.value : EMPTY_STATE;
  const now = ports.process.privileged ? await lookNow(context, ports, state) : NOTHING_SEEN;
  const checks = ports.process.privileged ? [...(await checkNotes(ports)), ...now.checks] : [];
  const keys = (loaded.ok ? keysShown(context, state, now) : []).filter(each => each.state !== 'removed');
  const all = keys.length === 0 ? [] : await nextSteps(ports, state, keys, context.signal);
  const lines = keys.flatMap((key, index) => {
    const next = all[index];
    return [
      `${displayDomain(key.domain)}  ${key.selector}  ${key.algorithm} ${key.bits}  ${key.state}`,
      `    ${visible(next?.text ?? '')}`,
      ...(next?.notBefore === undefined ? [] : [`    Not before ${localTime(next.notBefore)}.`]),
      ...(key.state === 'active' ? [`    ${provenText(lastProven(key), ports.clock.now())}`] : []),
      ...(isSet(context.flags, 'verbose')
        ? key.log.map(({at, from, to, evidence}) => `    ${at}  ${from} -> ${to}  ${evidence.kind}`)
        : []),
    ];
  });
  return await tell(
    context,
    {
      exitCode: checks.length === 0 ? 0 : 4,
      domains: [...dueReports(state, all, ports.clock.now()), ...now.byHand.map(byHandReport)],
      checks: [...now.covered.map(coveredCheck), ...checks],
    },
    [
      ...(lines.length === 0 && now.byHand.length === 0 && loaded.ok
        ? ['No keys yet. Begin with: waxseal setup']
        : [...lines, ...now.byHand.flatMap(byHandLines), ...now.covered.flatMap(coveredLines)]),
      ...checks.flatMap(checkLines),
    ],
  );
}

/** Proof is of its day: it is said when that was. */
function provenText(at: string | undefined, now: Date): string {
  if (at === undefined) return 'Never proven by a live test. Run: sudo waxseal test';
  const days = Math.floor((now.getTime() - Date.parse(at)) / 86_400_000);
  const ago = days < 1 ? 'today' : days === 1 ? '1 day ago' : `${days} days ago`;
  return `Last proven ${ago} (${localTime(new Date(at))}).`;
}

/** What a look at the host says about signing now: notes of waxseal say what was. */
interface SeenNow {
  readonly byHand: readonly KeyByHand[];
  /** Domains of `--domain` that have no key of their own here, and are signed. */
  readonly covered: readonly Covered[];
  /** Only what is wrong with signing: all else is told by `check`. */
  readonly checks: readonly Check[];
}

interface Covered {
  readonly domain: DomainName;
  readonly by: SignatureMade;
}

const NOTHING_SEEN: SeenNow = {byHand: [], covered: [], checks: []};

async function lookNow(context: Context, ports: Ports, state: RotationState): Promise<SeenNow> {
  const {picture, byHand} = await lookByHand(ports, state, context.signal);
  const wanted = domainsOf(context);
  const checks = mailChecks(picture, wanted).checks.filter(({status: found}) => found === 'fail');
  if (wanted === undefined) return {byHand, covered: [], checks};
  const known = new Set([...state.keys, ...byHand].map(({domain}): string => domain));
  const covered = wanted
    .filter(domain => !known.has(domain))
    .flatMap(domain => {
      const sender = coveredSender(picture, domain);
      const [verdict] = sender === undefined ? [] : domains(picture, [sender]);
      const by = verdict?.signatures[0]?.signature;
      return by === undefined ? [] : [{domain, by}];
    });
  const named = new Set<string>([...wanted, ...covered.map(({by}) => by.domain)]);
  return {byHand: byHand.filter(({domain}) => named.has(domain)), covered, checks};
}

/** Those of `--domain`, and those that sign for them; a domain that nothing is known of is an error. */
function keysShown(context: Context, state: RotationState, {byHand, covered}: SeenNow): readonly KeyEntry[] {
  const seen = new Set<string>([...byHand, ...covered].map(({domain}) => domain));
  const own = chosen(context, state, seen);
  const signing = new Set(covered.map(({by}) => recordKey(by.domain, by.selector)));
  return [...own, ...state.keys.filter(key => signing.has(entryName(key)) && !own.includes(key))];
}

/** A row of another domain, or for everybody, as a check: no entry of `domains` is for it. */
const coveredCheck = ({domain, by: {domain: d, selector, row, program}}: Covered): Check => ({
  ...{id: 'status.covered', title: `${displayDomain(domain)} has no key of its own`, status: 'pass'},
  evidence: `${visible(program)} signs its mail with ${visible(selector)} of ${visible(d)} by the row "${visible(row.pattern)}" (${sourceText(row.source)}).`,
  ...{cause: '', fix: ''},
});

const coveredLines = (covered: Covered): readonly string[] => [
  `${displayDomain(covered.domain)}  has no key of its own`,
  `    ${coveredCheck(covered).evidence}`,
];

/** A key that waxseal did not make, like its own. */
const byHandLines = ({domain, selector, key, row, program}: KeyByHand): readonly string[] => [
  `${visible(domain)}  ${visible(selector)}  ${key.known ? `${key.algorithm} ${key.bits}` : 'key not readable'}  by hand`,
  `    ${visible(program)} has it by the row "${visible(row.pattern)}" (${sourceText(row.source)}).`,
  `    ${stepByHand({domain, program})}`,
];

/** What comes next, by the clock, the queue and the signers of this host. */
async function nextSteps(
  ports: Ports,
  state: RotationState,
  keys: readonly KeyEntry[],
  signal: AbortSignal,
): Promise<readonly Due[]> {
  const settings = await readSettings(ports);
  const wantsQueue = keys.some(({state: at}) => at === 'retiring');
  const queue = wantsQueue
    ? await readQueue(ports, state)
    : ({known: false, why: 'it was not asked'} as const);
  const uses = await keysInUse(ports, state, signal);
  const all = due(state, {now: ports.clock.now(), settings, queue, records: new Map(), ...uses});
  const steps = new Map(all.map(step => [entryName(step), step]));
  return keys.flatMap(key => steps.get(entryName(key)) ?? []);
}

const WORDS = ['OK', 'WARNING', 'CRITICAL', 'UNKNOWN'] as const;

/**
 * `--monitor`: one line as the Nagios plugin guidelines want it, with numbers after the bar. Its exit codes are those of
 * Nagios (0 ok, 1 warning, 2 critical, 3 unknown) and not those of waxseal: a monitor knows no others.
 */
async function monitor(context: Context): Promise<ExitCode> {
  const say = async (code: 0 | 1 | 2 | 3, text: string, numbers = ''): Promise<ExitCode> => {
    await writeOut(
      context.streams.stdout,
      `DKIM ${WORDS[code]} - ${withoutBar(visible(text))}${numbers === '' ? '' : ` | ${numbers}`}\n`,
    );
    return code;
  };
  try {
    const ports = await context.ports();
    const state = await readKeys(ports);
    const keys = chosen(context, state).filter(each => each.state !== 'removed');
    const [damage] = ports.process.privileged ? await inspectNotes(ports) : [];
    if (damage !== undefined) return await say(2, damage.message);
    if (keys.length === 0) return await say(3, 'no keys are known on this host');
    const resolvers = resolversOf(context.flags);
    const wanted = new Set(keys.map(entryName));
    const isWanted = (key: Pick<KeyEntry, 'domain' | 'selector'>): boolean => wanted.has(entryName(key));
    const facts = await gatherFacts(ports, {resolvers}, state, isWanted, context.signal);
    const all = due(state, facts).filter(isWanted);
    const alarms = all.filter(({level}) => level === 'alarm');
    const warnings = all.filter(({level}) => level === 'warn');
    const ages = keys
      .filter(({state: at}) => at === 'active')
      .map(key => ageOf(key, state, ports.clock.now()) / 1000);
    const numbers = performance({
      keys: keys.length,
      waiting: all.filter(({waitsFor}) => waitsFor === 'person').length,
      oldestSeconds: Math.max(0, ...ages),
      overdueSeconds: facts.settings.overdueMs / 1000,
    });
    const [worst] = [...alarms, ...warnings];
    if (worst !== undefined) {
      const more = alarms.length + warnings.length - 1;
      const text = `${worst.domain}: ${worst.text}${more === 0 ? '' : ` (and ${more} more)`}`;
      return await say(alarms.length > 0 ? 2 : 1, text, numbers);
    }
    const domains = [...new Set(keys.map(({domain}) => domain))];
    const asked = new Set(
      keys
        .filter(({record}) => (facts.records.get(record.name)?.seen ?? 'unknown') !== 'unknown')
        .map(({domain}) => domain),
    );
    const [silent, ...others] = domains.filter(domain => !asked.has(domain));
    if (silent !== undefined) {
      const [given] = silentLines(facts.silent);
      if (given !== undefined) return await say(3, given, numbers);
      const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
      return await say(3, `${silent}: no name server answers${more}`, numbers);
    }
    return await say(0, `${domains.length} domains, ${keys.length} keys`, numbers);
  } catch (error) {
    return await say(3, failureOf(error).message);
  }
}

/** A bar begins the numbers; in a sentence it would cut it off. */
const withoutBar = (text: string): string => text.replaceAll('|', '/');

/** `'label'=value[UOM];[warn];[crit];[min];[max]`, as the guidelines have it: ages in seconds, there is no unit of days. */
const performance = (of: {
  readonly keys: number;
  readonly waiting: number;
  readonly oldestSeconds: number;
  readonly overdueSeconds: number;
}): string =>
  [
    `keys=${of.keys};;;0`,
    `waiting=${of.waiting};;;0`,
    `oldest=${Math.floor(of.oldestSeconds)}s;${Math.floor(of.overdueSeconds)};;0`,
  ].join(' ');
