/** Everything the rotation is decided on: settings, the clock, the queue, and what the servers say of each record. */
import {isRevoked} from '../../dkim/index.ts';
import {surveyOnce} from '../../dns/authoritative.ts';
import {ask, type DnsPorts} from '../../dns/client.ts';
import {sameKeyRecord} from '../../dns/compare.ts';
import {createKeyLookup} from '../../dns/key-lookup.ts';
import {createGate} from '../../dns/many/gate.ts';
import {whereAllHave} from '../../dns/many/plain.ts';
import {createServerBook, type ServerBook} from '../../dns/many/servers.ts';
import {type Learned, nothingLearned} from '../../dns/resolver.ts';
import {createSilence, type Silence} from '../../dns/silence.ts';
import type {ServerView, Survey} from '../../dns/survey.ts';
import {findZone} from '../../dns/zone.ts';
import {UsageError} from '../../domain/errors.ts';
import type {DnsName} from '../../domain/names.ts';
import {absolute} from '../../domain/paths.ts';
import {
  DEFAULT_SETTINGS,
  earliestArrival,
  type KeyEntry,
  parseSettings,
  putEntry,
  type RecordFacts,
  type RotationFacts,
  type RotationSettings,
  type RotationState,
  type SeenAs,
  type SilentFacts,
  type TimeReading,
} from '../../rotation/index.ts';
import type {QueueFacts} from '../../services/mta.ts';
import {MTAS} from '../../services/registry.ts';
import type {Ports} from '../../system/ports.ts';
import {changeEach, must} from '../key-book.ts';
import {keysInUse, type SeenUses} from '../key-uses.ts';
import type {WorkOptions} from '../options.ts';

const SETTINGS_FILE = absolute('/etc/waxseal/rotation.conf');

/** The settings of this host; throws UsageError where a line cannot be used: a typing error must not shorten a wait. */
export async function readSettings(ports: Pick<Ports, 'files'>): Promise<RotationSettings> {
  const content = await ports.files.read(SETTINGS_FILE);
  if (content === undefined) return DEFAULT_SETTINGS;
  const parsed = parseSettings(Buffer.from(content).toString('utf8'));
  if (!parsed.ok) throw new UsageError(parsed.problem);
  return parsed.value;
}

/** The clock and, on Linux, the boot and its uptime (proc(5)). */
export async function readTime(ports: Pick<Ports, 'files' | 'clock'>): Promise<TimeReading> {
  const text = async (path: string): Promise<string> => {
    try {
      return Buffer.from((await ports.files.read(absolute(path))) ?? [])
        .toString('latin1')
        .trim();
    } catch {
      return '';
    }
  };
  const boot = await text('/proc/sys/kernel/random/boot_id');
  const uptime = Number(/^(\d+(?:\.\d+)?)/.exec(await text('/proc/uptime'))?.[1] ?? Number.NaN);
  return {
    now: ports.clock.now(),
    ...(/^[0-9a-f-]{36}$/.test(boot) ? {boot} : {}),
    ...(Number.isFinite(uptime) ? {uptimeMs: uptime * 1000} : {}),
  };
}

/** The state with the TTL of each record as it was seen: that of one that retires is known best while its key still signs. */
export const withTtls = (state: RotationState, {records}: Pick<RotationFacts, 'records'>): RotationState =>
  changeEach(
    state,
    state.keys.filter(key => key.state === 'active'),
    (own, key) => {
      const ttlSeconds = records.get(key.record.name)?.ttlSeconds;
      return ttlSeconds === undefined ? own : must(putEntry(own, {...key, ttlSeconds}));
    },
  );

/** What one run knows of the queues: a mail server that hung once is not waited for at every look. */
export interface QueueMemory {
  hung?: QueueFacts;
}

/** The queues of this host. Not known where a command fails: a record then stays. */
export async function readQueue(
  ports: Pick<Ports, 'commands' | 'clock'>,
  state: RotationState,
  memory: QueueMemory = {},
): Promise<QueueFacts> {
  if (memory.hung !== undefined) return memory.hung;
  const now = ports.clock.now();
  const [mta] = MTAS;
  const queue = await mta.queue(ports, stampMs => earliestArrival(stampMs, now, state.time?.jumps ?? []));
  if (!queue.known && queue.isHung === true) memory.hung = queue;
  return queue;
}

interface Look {
  readonly options: WorkOptions & {readonly explain: boolean};
  readonly learned: Learned;
  /** Undefined for few keys: then each record is looked at in the thorough way, right or wrong. */
  readonly book: ServerBook | undefined;
}

/** What all servers say of the record of one key. A zone or servers that cannot be reached are `unknown`. */
async function readRecord(
  ports: DnsPorts,
  look: Look,
  key: KeyEntry,
  signal: AbortSignal,
): Promise<RecordFacts> {
  const plain =
    look.book !== undefined && mustStay(key) ? await readPlain(ports, look.book, key, signal) : undefined;
  return plain ?? (await readThoroughly(ports, look, key, signal));
}

/** A record that nothing but its loss would be told of: no step rests on the rest of what servers say. */
const mustStay = ({state, withdrawal, leakedAt}: KeyEntry): boolean =>
  state === 'active' || (state === 'retiring' && withdrawal === undefined && leakedAt === undefined);

/** Where every server has exactly the record, one query to each is enough; undefined where anything is otherwise. */
async function readPlain(
  ports: DnsPorts,
  book: ServerBook,
  {domain, record}: KeyEntry,
  signal: AbortSignal,
): Promise<RecordFacts | undefined> {
  const isOurs = ({text}: {readonly text: string}): boolean => sameKeyRecord(text, record.value);
  const said = await whereAllHave(ports, book, {domain, name: record.name}, isOurs, signal);
  if (said === undefined) return undefined;
  return {
    seen: 'key',
    servers: said.answers.map(({server}) => ({address: server.address})),
    resolver: 'unknown',
    ttlSeconds: Math.max(...said.answers.map(({ttlSeconds}) => ttlSeconds)),
    negativeSeconds: 0,
  };
}

async function readThoroughly(
  ports: DnsPorts,
  {options, learned}: Look,
  key: KeyEntry,
  signal: AbortSignal,
): Promise<RecordFacts> {
  const {name, value} = key.record;
  const {resolvers, explain} = options;
  const zone = await findZone(ports, name, {resolvers, signal, learned});
  if (!zone.ok) return {...UNKNOWN, mistake: zone.problem.message};
  const subject = {name, expected: value, zone: zone.value};
  const survey = await surveyOnce(ports, subject, {resolvers, explain, signal, learned});
  const seen = seenAs(survey);
  const mistake = survey.servers.find(view => view.mistake !== undefined)?.mistake?.message;
  const isOurs = seen === 'key';
  const ttl = isOurs && key.state !== 'pending' ? await ttlOf(ports, survey, signal) : undefined;
  return {
    seen,
    servers: survey.servers
      .filter(({status}) => !SILENT.has(status))
      .map(({server, serial}) => ({address: server.address, ...(serial === undefined ? {} : {serial})})),
    // Asked only where every server has it: an earlier question would make it remember that nothing is there.
    resolver: isOurs && key.state === 'ready' ? await resolverSees(ports, options, key) : 'unknown',
    ...(ttl === undefined ? {} : {ttlSeconds: ttl}),
    negativeSeconds: zone.value.negativeTtlSeconds,
    ...(mistake === undefined || isOurs ? {} : {mistake}),
  };
}

const UNKNOWN: RecordFacts = {seen: 'unknown', servers: [], resolver: 'unknown', negativeSeconds: 0};

const SILENT: ReadonlySet<ServerView['status']> = new Set([
  'asking',
  'timeout',
  'refused',
  'lame',
  'unreachable',
]);

/** All servers together; one that does not answer leaves open what it has, one without a route does not object. */
export function seenAs(survey: Survey): SeenAs {
  if (survey.agreed) return 'key';
  const kinds = new Set(
    survey.servers.filter(({status}) => status !== 'unreachable').map(view => kindOf(view)),
  );
  if (kinds.has('other')) return 'other';
  if (kinds.size === 1) return [...kinds][0] ?? 'unknown';
  kinds.delete('unknown');
  return kinds.size > 1 ? 'split' : 'unknown';
}

function kindOf({status, records}: ServerView): SeenAs {
  if (status === 'matching') return 'key';
  if (status === 'absent') return 'absent';
  if (SILENT.has(status)) return 'unknown';
  const [only] = records;
  // RFC 6376 §3.6.1: an empty p= is a revoked key.
  return records.length === 1 && only !== undefined && isRevoked(only) ? 'revoked' : 'other';
}

async function ttlOf(ports: DnsPorts, survey: Survey, signal: AbortSignal): Promise<number | undefined> {
  const view = survey.servers.find(({status}) => status === 'matching');
  if (view === undefined) return undefined;
  const answer = await ask(ports, view.server, {name: survey.name, type: 'TXT'}, {recursion: false, signal});
  if (answer.kind !== 'answer') return undefined;
  const found = answer.message.answers.map(({ttlSeconds}) => ttlSeconds);
  return found.length === 0 ? undefined : Math.max(...found);
}

async function resolverSees(
  ports: DnsPorts,
  options: WorkOptions,
  key: KeyEntry,
): Promise<RecordFacts['resolver']> {
  const answer = await createKeyLookup(ports, {resolvers: options.resolvers})(key.record.name);
  if (answer.status === 'temporary') return 'unknown';
  const [only, ...more] = answer.status === 'found' ? answer.records : [];
  // A wildcard may stand at the name in the cache, from a time before the record.
  return only !== undefined && more.length === 0 && sameKeyRecord(only, key.record.value) ? 'key' : 'other';
}

/** Records that are looked at side by side: a host with a thousand domains must not ask for all in one breath. */
const AT_ONCE = 32;
/**
 * Up to so many keys each record is looked at thoroughly, and it is looked for where a missing one went, at one more
 * question a server and second.
 */
const EXPLAINED = 100;

/**
 * All facts for the keys of a state, those of `only` asked in the DNS. A server that is silent is given up; what is not
 * known because of it is `unknown`, and counted in `silent`.
 * @param silence that of the run; of this look alone where there is none
 */
export async function gatherFacts(
  ports: Ports,
  options: WorkOptions & {readonly seenUses?: SeenUses; readonly queueMemory?: QueueMemory},
  state: RotationState,
  only: (key: KeyEntry) => boolean,
  signal: AbortSignal,
  silence: Silence = createSilence(ports, signal),
): Promise<RotationFacts> {
  const settings = await readSettings(ports);
  const queue = await readQueue(ports, state, options.queueMemory);
  const asked = state.keys.filter(key => key.state !== 'removed' && only(key));
  const records = new Map<DnsName, RecordFacts>();
  const silent = new Map<string, SilentFacts>();
  const gate = createGate(AT_ONCE);
  const isFew = asked.length <= EXPLAINED;
  const book = isFew
    ? undefined
    : createServerBook({...ports, dns: silence.dns}, {resolvers: options.resolvers, signal});
  const look: Look = {options: {...options, explain: isFew}, learned: nothingLearned(), book};
  await Promise.all(
    asked.map(key =>
      gate.run(async () => {
        signal.throwIfAborted();
        // A signal of its own: many waits at once must not be many listeners on one (Node warns from eleven on).
        const own = AbortSignal.any([signal]);
        const at = ports.clock.now().getTime();
        const watched = silence.watched();
        const found = await readRecord({...ports, dns: watched.dns}, look, key, own);
        records.set(key.record.name, {...found, at});
        if (found.seen !== 'unknown') return;
        for (const server of watched.unasked()) {
          const name = `${server.address} ${server.port}`;
          silent.set(name, {...server, records: (silent.get(name)?.records ?? 0) + 1});
        }
      }),
    ),
  );
  const uses = await keysInUse(ports, state, signal, options.seenUses);
  const facts = {now: ports.clock.now(), settings, queue, records, ...uses};
  return silent.size === 0 ? facts : {...facts, silent: [...silent.values()]};
}
