/**
 * What comes next for each key, by which evidence, and who must do it. Pure; the rules and their invariants are in
 * docs/explanation/rotation.md.
 */
import {formatDuration} from '../domain/duration.ts';
import type {DnsName, DomainName, Selector} from '../domain/names.ts';
import type {KeyAlgorithm} from '../keys/index.ts';
import type {QueueFacts} from '../services/mta.ts';
import type {Evidence, KeyEntry, KeyState, RotationState, ServerWord} from './entry.ts';
import {isComing, lastEntered} from './lifecycle.ts';
import type {RotationSettings} from './settings.ts';
import {elapsedSince} from './time.ts';

/**
 * What the authoritative servers say of a record, all together. `key`: each has exactly the record of the key. `revoked`:
 * each has `p=` empty. `absent`: each answered that nothing is there. `other`: one has a wrong record, or several.
 * `split`: they do not say the same, none of them wrong. `unknown`: not asked, or too many do not answer.
 */
export type SeenAs = 'key' | 'revoked' | 'absent' | 'other' | 'split' | 'unknown';

export interface RecordFacts {
  readonly seen: SeenAs;
  readonly servers: readonly ServerWord[];
  /** What the host's resolver says; asked only where all servers have the key. */
  readonly resolver: 'key' | 'other' | 'unknown';
  readonly ttlSeconds?: number;
  readonly negativeSeconds: number;
  /** When it was seen; milliseconds since 1970. */
  readonly at?: number;
  /** What is wrong, where a mistake could be named; a sentence. */
  readonly mistake?: string;
}

export interface RotationFacts {
  readonly now: Date;
  readonly settings: RotationSettings;
  readonly queue: QueueFacts;
  readonly records: ReadonlyMap<DnsName, RecordFacts>;
  /**
   * Records that mail signed on this host still needs, or may need, by their names: sentences that name the row with its
   * file and line, and what to do. Looked at for every key that is on its way out.
   */
  readonly inUse: ReadonlyMap<DnsName, string>;
  /** The same for the key itself, which another domain may sign with: its record can go, its private key stays. */
  readonly keyInUse?: ReadonlyMap<DnsName, string>;
  /** Servers that were given up, and how many records are `unknown` for that reason. */
  readonly silent?: readonly SilentFacts[];
}

/** A resolver or name server that was not asked any more, since it had not answered. */
export interface SilentFacts {
  readonly address: string;
  readonly port: number;
  /** Queries in a row without an answer. */
  readonly unanswered: number;
  /** Records that are not known because of it. */
  readonly records: number;
}

/** What can be done at once, without asking anybody. */
export type Act =
  | {readonly do: 'stage'; readonly standby: boolean}
  | {readonly do: 'publish'}
  | {readonly do: 'move'; readonly to: KeyState; readonly evidence: Evidence}
  | {readonly do: 'switch'}
  /** When the queue was seen to hold no message that needs the key. */
  | {readonly do: 'note'; readonly clearSince: string | undefined}
  /** When a key that retires was seen in use: its time begins anew. */
  | {readonly do: 'note-use'; readonly at: string}
  | {readonly do: 'withdraw'; readonly because: 'not-needed' | 'leaked'; readonly oldestQueuedAt?: string}
  | {readonly do: 'destroy'; readonly evidence: Extract<Evidence, {kind: 'record-gone'}>};

export type WaitsFor = 'nobody' | 'nothing' | 'time' | 'dns' | 'queue' | 'person' | 'clock';

export interface Due {
  readonly domain: DomainName;
  readonly selector: Selector;
  readonly algorithm: KeyAlgorithm;
  readonly state: KeyState;
  /** Present where `waitsFor` is `nobody`: it can be done now. */
  readonly act?: Act;
  readonly waitsFor: WaitsFor;
  /** One sentence that names the next step. */
  readonly text: string;
  /** Not before this moment, where it is time that is waited for. */
  readonly notBefore?: Date;
  /** `warn`: a person should act. `alarm`: mail is harmed, or will be. */
  readonly level: 'ok' | 'warn' | 'alarm';
}

type Step = Pick<Due, 'act' | 'waitsFor' | 'text' | 'notBefore'> & {readonly level?: Due['level']};

/** A key below this is due at once: 1024 bits are no longer believed by everybody (RFC 8301 §3.2 wants 2048). */
const LEAST_BITS = 2048;
/** A human step that is open so long is a warning. */
const PATIENCE_MS = 3 * 86_400_000;

/** One entry for each key that is not removed, in the order of the state. */
export function due(state: RotationState, facts: RotationFacts): readonly Due[] {
  // Every rule is about the keys of one domain: ten thousand keys do not look at ten thousand each.
  const own = new Map<DomainName, RotationState & {readonly keys: KeyEntry[]}>();
  for (const key of state.keys) {
    const same = own.get(key.domain);
    if (same === undefined) own.set(key.domain, {...state, keys: [key]});
    else same.keys.push(key);
  }
  return state.keys
    .filter(key => key.state !== 'removed')
    .map(key => {
      const {domain, selector, algorithm} = key;
      return {
        domain,
        selector,
        algorithm,
        state: key.state,
        level: 'ok' as const,
        ...stepOf(key, own.get(domain) ?? state, facts),
      };
    });
}

/** Milliseconds of real time that a key has been in its state. */
const inState = (key: KeyEntry, state: RotationState, {now}: RotationFacts): number =>
  elapsedSince(lastEntered(key, key.state) ?? key.createdAt, now, state.time?.jumps ?? []);

/** Age of a key that signs: since it began to. */
export const ageOf = (key: KeyEntry, state: RotationState, now: Date): number =>
  elapsedSince(key.activatedAt ?? key.createdAt, now, state.time?.jumps ?? []);

function stepOf(key: KeyEntry, state: RotationState, facts: RotationFacts): Step {
  const entered = Date.parse(key.log.at(-1)?.at ?? key.createdAt);
  const lastJump = state.time?.jumps.at(-1);
  if (entered > facts.now.getTime() + 300_000 && lastJump === undefined) {
    return {
      waitsFor: 'clock',
      text: `Set the clock: ${key.selector} changed last at ${new Date(entered).toISOString()}, which has not come yet.`,
      level: 'warn',
    };
  }
  const record = facts.records.get(key.record.name) ?? UNKNOWN;
  switch (key.state) {
    case 'staged':
    case 'pending':
    case 'ready':
      return comingStep(key, state, facts, record);
    case 'active':
      return activeStep(key, state, facts, record);
    case 'retiring':
      return retiringStep(key, state, facts, record);
    case 'revoked':
      return revokedStep(key, state, facts, record);
    case 'removed':
      return {waitsFor: 'nothing', text: 'Nothing.'};
  }
}

const UNKNOWN: RecordFacts = {seen: 'unknown', servers: [], resolver: 'unknown', negativeSeconds: 0};

const siblings = (key: KeyEntry, state: RotationState): readonly KeyEntry[] =>
  state.keys.filter(
    each => each.domain === key.domain && each.algorithm === key.algorithm && each.selector !== key.selector,
  );

function comingStep(key: KeyEntry, state: RotationState, facts: RotationFacts, record: RecordFacts): Step {
  const active = siblings(key, state).find(each => each.state === 'active');
  const {name} = key.record;
  const isLate = inState(key, state, facts) > PATIENCE_MS;
  const level = isLate ? ('warn' as const) : ('ok' as const);
  if (key.state === 'staged') {
    return active === undefined
      ? {waitsFor: 'person', text: setupText(key), level}
      : {act: {do: 'publish'}, waitsFor: 'nobody', text: `Publish ${name}.`};
  }
  if (key.state === 'pending') {
    if (record.seen === 'key') {
      return move('ready', {kind: 'servers-agree', servers: record.servers}, `${name} is on every server.`);
    }
    return {
      waitsFor: record.seen === 'split' ? 'dns' : 'person',
      text:
        record.seen === 'other'
          ? `Mend the record ${name}: ${record.mistake ?? 'it is not the one of this key.'} (waxseal record --selector ${key.selector})`
          : record.seen === 'split'
            ? `Wait until the last name server has ${name}.`
            : `Publish the record ${name}: waxseal record --domain ${key.domain} --selector ${key.selector}`,
      level,
    };
  }
  return readyStep(key, active, state, facts, record);
}

const setupText = ({domain, selector}: KeyEntry): string =>
  `Finish the set-up: waxseal setup --domain ${domain} --selector ${selector}`;

function readyStep(
  key: KeyEntry,
  active: KeyEntry | undefined,
  state: RotationState,
  facts: RotationFacts,
  record: RecordFacts,
): Step {
  const {name} = key.record;
  if (
    record.seen === 'absent' ||
    record.seen === 'other' ||
    record.seen === 'revoked' ||
    record.seen === 'split'
  ) {
    return move(
      'pending',
      {kind: 'record-lost', servers: record.servers},
      `${name} is not everywhere any more.`,
    );
  }
  if (active === undefined) return {waitsFor: 'person', text: setupText(key)};
  const leaked = active.leakedAt !== undefined;
  if (key.standby === true && !leaked && !isDue(active, state, facts)) {
    return {
      waitsFor: 'time',
      text: `Stands by, published; signs when ${active.selector} is due.`,
      notBefore: dueDate(active, state, facts),
    };
  }
  const wait = leaked ? 0 : (key.cacheSeconds ?? record.negativeSeconds) * 1000 + facts.settings.marginMs;
  const left = wait - inState(key, state, facts);
  if (left > 0) {
    return {
      waitsFor: 'time',
      text: `Let ${key.selector} sign, when nobody can remember any more that ${name} was not there.`,
      notBefore: new Date(facts.now.getTime() + left),
    };
  }
  if (record.seen === 'unknown') {
    return {
      waitsFor: 'dns',
      text: `Let ${key.selector} sign, as soon as the name servers of ${zoneOf(key)} answer.`,
    };
  }
  if (record.resolver === 'other' && !leaked) {
    return {
      waitsFor: 'dns',
      text: `Let ${key.selector} sign, as soon as the resolver of this host sees ${name}.`,
    };
  }
  return {
    act: {do: 'switch'},
    waitsFor: 'nobody',
    text: `Let ${key.selector} sign instead of ${active.selector}.`,
  };
}

const zoneOf = ({record}: KeyEntry): string => record.zone || '.';

const isWeak = ({algorithm, bits}: KeyEntry): boolean => algorithm === 'rsa' && bits < LEAST_BITS;

/** True where a signing key is to be replaced now. */
const isDue = (active: KeyEntry, state: RotationState, facts: RotationFacts): boolean =>
  active.leakedAt !== undefined ||
  isWeak(active) ||
  ageOf(active, state, facts.now) >= facts.settings.intervalMs;

const dueDate = (active: KeyEntry, state: RotationState, {now, settings}: RotationFacts): Date =>
  new Date(now.getTime() + Math.max(0, settings.intervalMs - ageOf(active, state, now)));

function activeStep(key: KeyEntry, state: RotationState, facts: RotationFacts, record: RecordFacts): Step {
  const coming = siblings(key, state).find(isComing);
  const {settings} = facts;
  const isWanted = isDue(key, state, facts);
  const isOverdue = ageOf(key, state, facts.now) >= settings.overdueMs;
  const stage = (standby: boolean): Step => ({
    act: {do: 'stage', standby},
    waitsFor: 'nobody',
    level: isOverdue ? 'warn' : 'ok',
    text: `Make the next key of ${key.domain}${standby ? ' and let it stand by' : whyDue(key)}.`,
  });
  // A leak comes first: with the next key on its way, what becomes of the record matters less.
  if (key.leakedAt !== undefined && coming === undefined) return stage(false);
  const lost = key.leakedAt === undefined ? lostStep(key, record, 'mail is signed with it now') : undefined;
  if (lost !== undefined) return lost;
  if (coming !== undefined && (isWanted || coming.standby !== true)) {
    const level = key.leakedAt !== undefined ? 'alarm' : isOverdue ? 'warn' : 'ok';
    return {waitsFor: 'nothing', text: `Signs, until ${coming.selector} takes over.`, level};
  }
  if (isWanted) return stage(false);
  if (coming === undefined && settings.standby) return stage(true);
  const notBefore = dueDate(key, state, facts);
  const left = notBefore.getTime() - facts.now.getTime();
  return {
    waitsFor: 'time',
    text:
      left <= settings.remindMs
        ? 'Signs; a new key is due soon: waxseal rotate'
        : 'Signs. The next key is due later.',
    notBefore,
  };
}

const whyDue = (key: KeyEntry): string =>
  key.leakedAt !== undefined
    ? ', since this one is leaked'
    : isWeak(key)
      ? `, since this one has only ${key.bits} bits`
      : '';

/** A record that must be there and is not. */
function lostStep(key: KeyEntry, record: RecordFacts, why: string): Step | undefined {
  if (record.seen === 'key' || record.seen === 'unknown') return undefined;
  const {name} = key.record;
  const what =
    record.seen === 'other' || record.seen === 'revoked'
      ? `${name} is not as it should be${record.mistake === undefined ? '' : ` (${record.mistake})`}`
      : record.seen === 'absent'
        ? `${name} is gone`
        : `${name} is not on every name server`;
  return {
    waitsFor: 'person',
    text: `Put the record back: ${what}, and ${why}. waxseal record --domain ${key.domain} --selector ${key.selector}`,
    level: record.seen === 'split' ? 'warn' : 'alarm',
  };
}

/** A key that is on its way out and still signs stays where it is, whatever else would be due. */
function usedStep(
  key: KeyEntry,
  use: string,
  state: RotationState,
  facts: RotationFacts,
  record: RecordFacts,
): Step {
  const {name} = key.record;
  const {now} = facts;
  const noted = key.usedAt === undefined ? undefined : elapsedSince(key.usedAt, now, state.time?.jumps ?? []);
  if (
    key.state === 'retiring' &&
    (noted === undefined || noted > NOTE_USE_MS || key.clearSince !== undefined)
  ) {
    return {
      act: {do: 'note-use', at: now.toISOString()},
      waitsFor: 'nobody',
      text: `Note that ${name} is still in use.`,
    };
  }
  const isLost = record.seen !== 'key' && record.seen !== 'unknown';
  return {
    waitsFor: 'person',
    text: isLost
      ? `Put the record ${name} back: ${use} (waxseal record --domain ${key.domain} --selector ${key.selector})`
      : `Keep the record ${name}. ${use}`,
    level: isLost || key.leakedAt !== undefined ? 'alarm' : 'warn',
  };
}

/** A use that lasts is written down that often. */
const NOTE_USE_MS = 3_600_000;

/** When a key signed last, as far as is known: at the switch, or when a row was last seen to use it. ISO 8601. */
function lastSigned(key: KeyEntry): string {
  const switchedAt = lastEntered(key, 'retiring') ?? key.createdAt;
  return key.usedAt !== undefined && key.usedAt > switchedAt ? key.usedAt : switchedAt;
}

/** How long after the switch a record must stay, at least. Milliseconds. */
export function keepMs(key: KeyEntry, {queue, settings}: Pick<RotationFacts, 'queue' | 'settings'>): number {
  const queued = queue.known ? Math.max(queue.lifetimeSeconds, queue.bounceSeconds) : 0;
  return Math.max(settings.floorMs, (queued + (key.ttlSeconds ?? 0)) * 1000 + settings.safetyMs);
}

function retiringStep(key: KeyEntry, state: RotationState, facts: RotationFacts, record: RecordFacts): Step {
  const use = facts.inUse.get(key.record.name);
  if (use !== undefined) return usedStep(key, use, state, facts, record);
  if (key.withdrawal !== undefined) return withdrawnStep(key, key.withdrawal, state, facts, record);
  const {name} = key.record;
  if (key.leakedAt !== undefined) {
    return {
      act: {do: 'withdraw', because: 'leaked'},
      waitsFor: 'nobody',
      text: `Revoke the leaked key: ${name}.`,
    };
  }
  const lost = lostStep(key, record, 'mail under way needs it');
  const waits = waitForMail(key, state, facts);
  if (waits.act !== undefined || waits.waitsFor === 'queue') return waits;
  if (waits.notBefore !== undefined) return lost ?? waits;
  const {queue} = facts;
  return {
    act: {
      do: 'withdraw',
      because: 'not-needed',
      ...(queue.known && queue.oldest !== undefined ? {oldestQueuedAt: queue.oldest.at} : {}),
    },
    waitsFor: 'nobody',
    text: `No message needs ${name} any more: revoke it.`,
  };
}

/**
 * What still needs the record of a key that signs no more; a step without act and date where nothing does. Time alone
 * is not enough (a message on hold never expires), nor is an empty queue: what has just left it is on its way. So the
 * queue must have been seen without such a message, and the safety time must have passed since then.
 */
function waitForMail(key: KeyEntry, state: RotationState, facts: RotationFacts): Step {
  const {queue, settings, now} = facts;
  const {name} = key.record;
  const since = elapsedSince(lastSigned(key), now, state.time?.jumps ?? []);
  const left = keepMs(key, facts) - since;
  const needed = neededBy(key, facts);
  // Sessions that were open at the switch go on with the tables they began with: before that nothing is certain.
  const isCertain = since >= settings.safetyMs;
  if (needed === 'no' && isCertain && key.clearSince === undefined) {
    return {
      act: {do: 'note', clearSince: now.toISOString()},
      waitsFor: 'nobody',
      text: `Note that no message in the queue needs ${name}.`,
    };
  }
  if (needed !== 'no' && needed !== 'unknown' && key.clearSince !== undefined) {
    return {act: {do: 'note', clearSince: undefined}, waitsFor: 'nobody', text: needed};
  }
  const clearLeft =
    key.clearSince === undefined
      ? settings.safetyMs
      : settings.safetyMs - elapsedSince(key.clearSince, now, state.time?.jumps ?? []);
  const longest = Math.max(left, needed === 'no' ? clearLeft : 0);
  if (longest > 0) {
    return {
      waitsFor: 'time',
      text: `Keep ${name}: messages that it signed may be under way for ${formatDuration(keepMs(key, facts))} after the switch.`,
      notBefore: new Date(now.getTime() + longest),
    };
  }
  if (needed === 'no') return {waitsFor: 'nothing', text: ''};
  if (needed === 'unknown') {
    const why = queue.known ? '' : ` (${queue.why})`;
    return {waitsFor: 'queue', text: `Keep ${name}: the queue cannot be read${why}.`, level: 'warn'};
  }
  return {waitsFor: 'queue', text: needed, level: left < -PATIENCE_MS ? 'warn' : 'ok'};
}

/** `no`, `unknown`, or the sentence that names the message in the queue that may be signed with the key. */
function neededBy(key: KeyEntry, {queue, settings}: RotationFacts): string {
  if (!queue.known) return 'unknown';
  const signedUntil = new Date(Date.parse(lastSigned(key)) + settings.safetyMs).toISOString();
  if (queue.oldest === undefined || queue.oldest.at > signedUntil) return 'no';
  const {id, where, how} = queue.oldest;
  return `Keep ${key.record.name}: message ${id} (${where}) may be signed with it; ${how}.`;
}

function withdrawnStep(
  key: KeyEntry,
  withdrawal: NonNullable<KeyEntry['withdrawal']>,
  state: RotationState,
  facts: RotationFacts,
  record: RecordFacts,
): Step {
  const {name} = key.record;
  const {servers} = record;
  if (record.seen === 'revoked') {
    const queued = withdrawal.oldestQueuedAt === undefined ? {} : {oldestQueuedAt: withdrawal.oldestQueuedAt};
    return move(
      'revoked',
      {kind: 'revocation-seen', servers, ...queued},
      `${name} is revoked on every server.`,
    );
  }
  // Taken out instead of emptied: nothing is left that could be revoked.
  if (record.seen === 'absent') return destroy(key, facts, record);
  const waited = elapsedSince(withdrawal.at, facts.now, state.time?.jumps ?? []);
  return {
    waitsFor: record.seen === 'split' ? 'dns' : 'person',
    text: `Revoke ${name}: publish "${revokedValue(key)}" in its place.`,
    level: withdrawal.because === 'leaked' ? 'alarm' : waited > PATIENCE_MS ? 'warn' : 'ok',
  };
}

function revokedStep(key: KeyEntry, state: RotationState, facts: RotationFacts, record: RecordFacts): Step {
  const use = facts.inUse.get(key.record.name);
  if (use !== undefined) return usedStep(key, use, state, facts, record);
  const {name} = key.record;
  const left = revokedFor(key, facts) - inState(key, state, facts);
  if (record.seen === 'key') {
    return {
      waitsFor: 'person',
      text: `Revoke ${name} again: its key is back in the DNS. Publish "${revokedValue(key)}".`,
      level: 'warn',
    };
  }
  if (left > 0) {
    return {
      waitsFor: 'time',
      text:
        record.seen === 'absent'
          ? `${name} is out of the DNS already; its private key goes next.`
          : `Leave the empty record ${name}, then delete it.`,
      notBefore: new Date(facts.now.getTime() + left),
    };
  }
  if (record.seen === 'absent') return destroy(key, facts, record);
  return {
    waitsFor: record.seen === 'split' ? 'dns' : 'person',
    text: `Delete the record ${name} from the DNS.`,
    level: left < -PATIENCE_MS * 10 ? 'warn' : 'ok',
  };
}

/**
 * How long after its revocation was seen a key stays revoked. One that will be published at least until no cache can
 * hold its record any more: whoever has it could sign so that it verifies there.
 */
const revokedFor = ({ttlSeconds}: KeyEntry, {settings}: RotationFacts): number =>
  settings.disposal === 'publish'
    ? Math.max(settings.revokedMs, (ttlSeconds ?? UNSEEN_TTL_SECONDS) * 1000)
    : settings.revokedMs;

/** RFC 2181 §8 allows 68 years; nobody caches for longer than a week (BIND's and unbound's own limits). */
const UNSEEN_TTL_SECONDS = 7 * 86_400;

/**
 * What becomes of the private key of a selector that is gone. It is published only where every server was seen to
 * revoke it; one that was merely taken out of the DNS is destroyed, since caches may still have it.
 */
function destroy(key: KeyEntry, {settings, keyInUse}: RotationFacts, {servers}: RecordFacts): Step {
  const {name} = key.record;
  const use = keyInUse?.get(name);
  if (use !== undefined) {
    return {waitsFor: 'person', text: `${name} is gone, and its private key stays. ${use}`};
  }
  const isRevoked = key.state === 'revoked';
  const end = settings.disposal === 'publish' && !isRevoked ? 'shred' : settings.disposal;
  const why = end === settings.disposal ? '' : ' It is not published: its revocation was never seen.';
  return {
    act: {do: 'destroy', evidence: {kind: 'record-gone', servers, key: ENDS[end]}},
    waitsFor: 'nobody',
    text: `${name} is gone: ${WORDS[end]} its private key.${why}`,
  };
}

const ENDS = {shred: 'shredded', publish: 'published', keep: 'kept'} as const;
const WORDS = {shred: 'destroy', publish: 'publish', keep: 'forget'} as const;

const move = (to: KeyState, evidence: Evidence, text: string): Step => ({
  act: {do: 'move', to, evidence},
  waitsFor: 'nobody',
  text,
});

/** What a revoked record says (RFC 6376 §3.6.1: an empty p= means that the key was revoked). */
export const revokedValue = ({algorithm}: Pick<KeyEntry, 'algorithm'>): string =>
  `v=DKIM1; k=${algorithm}; p=`;
