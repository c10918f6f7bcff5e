/**
 * A mail host, its DNS, its owner and its receivers over years, in numbers: what the scheduler decides is done to the
 * model, and the model knows what really happens. Real time is `t`; the host sees only its clock.
 */
import {type DnsName, parseDnsName, parseDomain, type Selector} from '../../src/domain/names.ts';
import type {Result} from '../../src/domain/result.ts';
import {
  activate,
  addEntry,
  DEFAULT_SETTINGS,
  type Due,
  due,
  earliestArrival,
  findEntry,
  isComing,
  type KeyEntry,
  newEntry,
  noteTime,
  proposeSelector,
  putEntry,
  type RecordFacts,
  type RotationFacts,
  type RotationSettings,
  type RotationState,
  transition,
} from '../../src/rotation/index.ts';

export const take = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(result.problem.message);
  return result.value;
};

const SECOND = 1000;
export const HOUR = 3600 * SECOND;
export const DAY = 24 * HOUR;
const NEGATIVE = HOUR;
const TTL = HOUR;
const LIFETIME = 5 * DAY;
const EPOCH = Date.parse('2027-01-01T00:00:00Z');

const domain = take(parseDomain('example.org'));
const zone = take(parseDnsName('example.org'));

type Shown = 'key' | 'revoked' | 'other' | undefined;

interface Message {
  readonly selector: Selector;
  readonly acceptedAt: number;
  /** The host's clock when it came in. */
  readonly stamp: number;
  /** When it leaves the queue of this host. */
  leavesAt: number;
  /** When the receiver looks its key up. */
  verifiedAt: number;
}

/** A crash: thrown out of the middle of a run. */
class Crash extends Error {}

export class Model {
  t = EPOCH;
  offset = 0;
  boot = 1;
  bootedAt = EPOCH;
  state: RotationState = {keys: []};
  settings: RotationSettings = {...DEFAULT_SETTINGS, disposal: 'shred'};
  /** What the signer really does, whatever the state file says. */
  signs: Selector | undefined;
  /** The primary's history of each name, by real time. */
  readonly zone = new Map<DnsName, {readonly at: number; readonly shows: Shown}[]>();
  lag = 5 * 60 * SECOND;
  /** Somebody broke a record of his own accord at that time: what fails by it is not the scheduler's fault. */
  readonly spoiled = new Map<DnsName, number>();
  queue: Message[] = [];
  readonly faults: string[] = [];
  removals = 0;
  switches = 0;
  verified = 0;
  crashes = 0;
  removed = false;
  dnsSilent = false;

  constructor() {
    this.enterKey(false);
    const [first] = this.state.keys;
    if (first === undefined) throw new Error('no key');
    this.show(first.record.name, 'key');
    this.t += 2 * DAY;
    const seen = this.records().get(first.record.name);
    let entry = take(transition(first, 'pending', {kind: 'record-shown'}, this.now()));
    entry = take(
      transition(entry, 'ready', {kind: 'servers-agree', servers: seen?.servers ?? []}, this.now()),
    );
    this.state = take(putEntry(this.state, entry));
    this.state = take(
      activate(
        this.state,
        domain,
        entry.selector,
        {kind: 'signing-proven', run: 'setup', checks: ['live']},
        this.now(),
      ),
    );
    this.signs = entry.selector;
  }

  now = (): Date => new Date(this.t + this.offset);

  fault(text: string): void {
    this.faults.push(`${new Date(this.t).toISOString()} ${text}`);
  }

  show(name: DnsName, shows: Shown): void {
    const history = this.zone.get(name) ?? [];
    history.push({at: this.t, shows});
    this.zone.set(name, history);
  }

  /** What a server shows, `behind` milliseconds after the primary. */
  shown(name: DnsName, at: number, behind: number): Shown {
    return this.zone.get(name)?.findLast(each => each.at <= at - behind)?.shows;
  }

  records(): ReadonlyMap<DnsName, RecordFacts> {
    return new Map(
      this.state.keys.map(({record: {name}}) => {
        const views = [this.shown(name, this.t, 0), this.shown(name, this.t, this.lag)];
        const all = (wanted: Shown): boolean => views.every(view => view === wanted);
        const seen = this.dnsSilent
          ? 'unknown'
          : views.includes('other')
            ? 'other'
            : all('key')
              ? 'key'
              : all('revoked')
                ? 'revoked'
                : all(undefined)
                  ? 'absent'
                  : 'split';
        return [
          name,
          {
            seen,
            servers: [{address: '192.0.2.1'}, {address: '192.0.2.2'}],
            resolver: seen === 'key' ? 'key' : 'unknown',
            ttlSeconds: TTL / SECOND,
            negativeSeconds: NEGATIVE / SECOND,
          } satisfies RecordFacts,
        ];
      }),
    );
  }

  facts(): RotationFacts {
    const now = this.now();
    const waiting = this.queue.filter(({leavesAt}) => leavesAt > this.t);
    const jumps = this.state.time?.jumps ?? [];
    const stamps = waiting.map(({stamp}) => earliestArrival(stamp, now, jumps));
    const oldest = stamps.length === 0 ? undefined : Math.min(...stamps);
    return {
      now,
      settings: this.settings,
      records: this.records(),
      inUse: new Map(),
      queue: {
        known: true,
        lifetimeSeconds: LIFETIME / SECOND,
        bounceSeconds: LIFETIME / SECOND,
        ...(oldest === undefined
          ? {}
          : {oldest: {at: new Date(oldest).toISOString(), id: '4abc', where: 'deferred', how: 'deliver it'}}),
      },
    };
  }

  /** One run of `rotate --advance`; `crashAt` acts are done whole, the next is cut off in its middle. */
  advance(crashAt = Number.POSITIVE_INFINITY): readonly Due[] {
    this.state = {
      ...this.state,
      time: noteTime(this.state.time, {
        now: this.now(),
        boot: String(this.boot),
        uptimeMs: this.t - this.bootedAt,
      }),
    };
    let left = crashAt;
    try {
      for (let round = 0; round < 50; round += 1) {
        const all = due(this.state, this.facts());
        this.checkNames(all);
        const next = all.find(each => each.act !== undefined);
        if (next === undefined) return all;
        left -= 1;
        this.perform(next, left < 0);
        this.checkState();
      }
      this.fault('a run finds no end');
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      this.crashes += 1;
    }
    return [];
  }

  checkNames(all: readonly Due[]): void {
    const alive = this.state.keys.filter(({state}) => state !== 'removed').length;
    if (all.length !== alive) this.fault('a key has no next step');
    for (const each of all) {
      if (each.text === '') this.fault(`${each.selector} has a next step without a name`);
      if ((each.act === undefined) === (each.waitsFor === 'nobody'))
        this.fault(`${each.text} waits for nobody`);
      if (each.waitsFor === 'time' && (each.notBefore === undefined || each.notBefore <= this.now())) {
        this.fault(`"${each.text}" waits for a time that is over`);
      }
    }
  }

  checkState(): void {
    const active = this.state.keys.filter(({state}) => state === 'active').length;
    const coming = this.state.keys.filter(isComing).length;
    if (active > 1) this.fault(`${active} keys sign`);
    if (coming > 1) this.fault(`${coming} keys are on their way`);
  }

  private entry(step: Due): KeyEntry {
    const found = findEntry(this.state, step.domain, step.selector);
    if (found === undefined) throw new Error('no such key');
    return found;
  }

  private enterKey(standby: boolean): void {
    const used = new Set(this.state.keys.map(({selector}) => selector));
    const selector = proposeSelector(this.now(), name => used.has(name));
    const entry = newEntry(
      {
        domain,
        selector,
        algorithm: 'rsa',
        bits: 2048,
        cacheSeconds: NEGATIVE / SECOND,
        ttlSeconds: TTL / SECOND,
        ...(standby ? {standby: true} : {}),
        record: {
          name: take(parseDnsName(`${selector}._domainkey.example.org`)),
          zone,
          relativeName: `${selector}._domainkey`,
          value: 'v=DKIM1; k=rsa; p=AAAA',
        },
      },
      {kind: 'self-test', fingerprint: 'f'},
      this.now(),
    );
    this.state = take(addEntry(this.state, entry));
  }

  /** Does what is due; a crash comes after its effect on the world and before it is written down. */
  private perform(step: Due, crash: boolean): void {
    const {act} = step;
    if (act === undefined) return;
    const entry = this.entry(step);
    switch (act.do) {
      case 'stage':
        if (crash) throw new Crash();
        this.enterKey(act.standby);
        return;
      case 'publish':
        if (crash) throw new Crash();
        this.state = take(
          putEntry(this.state, take(transition(entry, 'pending', {kind: 'record-shown'}, this.now()))),
        );
        return;
      case 'move':
        if (crash) throw new Crash();
        this.state = take(putEntry(this.state, take(transition(entry, act.to, act.evidence, this.now()))));
        return;
      case 'switch': {
        this.checkVisible(entry);
        this.signs = entry.selector;
        this.switches += 1;
        if (crash) throw new Crash();
        const evidence = {kind: 'signing-proven', run: `r${this.switches}`, checks: ['live.milter']} as const;
        this.state = take(activate(this.state, domain, entry.selector, evidence, this.now()));
        return;
      }
      case 'note': {
        if (crash) throw new Crash();
        const {clearSince: _old, ...rest} = entry;
        const noted = act.clearSince === undefined ? rest : {...rest, clearSince: act.clearSince};
        this.state = take(putEntry(this.state, noted));
        return;
      }
      case 'note-use':
        throw new TypeError('no key is in use here');
      case 'withdraw':
        if (crash) throw new Crash();
        if (this.signs === entry.selector) this.fault(`${entry.selector} signs and is to be withdrawn`);
        this.state = take(
          putEntry(this.state, {
            ...entry,
            withdrawal: {at: this.now().toISOString(), because: act.because},
          }),
        );
        return;
      case 'destroy':
        if (crash) throw new Crash();
        this.removals += 1;
        this.state = take(putEntry(this.state, take(transition(entry, 'removed', act.evidence, this.now()))));
    }
  }

  /** A verifier may have asked just before the last server got the record, and remembers for NEGATIVE. */
  private checkVisible(entry: KeyEntry): void {
    const {name} = entry.record;
    const leaked = this.state.keys.some(key => key.state === 'active' && key.leakedAt !== undefined);
    const since = leaked ? this.t : this.t - NEGATIVE;
    for (const at of [since, this.t]) {
      for (const behind of [0, this.lag]) {
        const shows = this.shown(name, at, behind);
        if (shows !== 'key') this.fault(`${entry.selector} begins to sign and a server shows ${shows}`);
      }
    }
  }

  /** Mail goes on: a message now, signed by what signs, verified after `delay`. */
  send(delay: number, held: number, share = 1): void {
    if (this.signs === undefined) return;
    // A part of the delay in the queue of this host, the rest in that of the next.
    const leavesAt = this.t + Math.min(delay, LIFETIME) * share + held;
    this.queue.push({
      selector: this.signs,
      acceptedAt: this.t,
      stamp: this.t + this.offset,
      leavesAt,
      // After this host it may spend some hours more in others.
      verifiedAt:
        leavesAt + Math.min(delay, LIFETIME) * (held > 0 ? 0 : 1 - share) + Math.min(delay, 12 * HOUR),
    });
  }

  /** Lets real time go by; messages are verified on their way. */
  pass(ms: number): void {
    const until = this.t + ms;
    const ripe = this.queue.filter(({verifiedAt}) => verifiedAt <= until);
    for (const message of ripe) this.verify(message);
    this.queue = this.queue.filter(({verifiedAt}) => verifiedAt > until);
    this.t = until;
  }

  private verify(message: Message): void {
    const entry = findEntry(this.state, domain, message.selector);
    if (entry === undefined) return;
    const {name} = entry.record;
    this.verified += 1;
    // A cache makes the record live longer, never shorter: the hardest case is a verifier without one.
    const good = [0, this.lag].every(behind => this.shown(name, message.verifiedAt, behind) === 'key');
    if (good || entry.leakedAt !== undefined || this.spoiled.has(name)) return;
    this.fault(
      `a message of ${new Date(message.acceptedAt).toISOString()} signed by ${message.selector} fails (${entry.state})`,
    );
  }

  /** The owner does what he is asked for, and nothing else. */
  obey(all: readonly Due[], isWrong: boolean): void {
    for (const step of all) {
      if (step.waitsFor !== 'person') continue;
      const {record, state} = this.entry(step);
      if (state === 'pending') this.show(record.name, isWrong ? 'other' : 'key');
      else if (state === 'active') this.show(record.name, 'key');
      else if (state === 'retiring') {
        this.show(record.name, this.entry(step).withdrawal === undefined ? 'key' : 'revoked');
      } else if (state === 'revoked')
        this.show(record.name, this.records().get(record.name)?.seen === 'key' ? 'revoked' : undefined);
    }
  }

  /** The clock of the host is set. A step forward while the host is off cannot be told from the host being off. */
  jump(ms: number, reboot: boolean): void {
    this.offset += ms;
    if (!reboot) return;
    this.boot += 1;
    this.bootedAt = this.t;
  }

  /** Somebody breaks a record without being asked. */
  spoil(at: number): void {
    const names = [...this.zone.keys()];
    const name = names[at % names.length];
    if (name === undefined || this.shown(name, this.t, 0) !== 'key') return;
    this.spoiled.set(name, this.t);
    this.show(name, undefined);
  }

  leak(): void {
    const active = this.state.keys.find(({state}) => state === 'active');
    if (active === undefined || active.leakedAt !== undefined) return;
    this.state = take(putEntry(this.state, {...active, leakedAt: this.now().toISOString()}));
  }

  removeDomain(): void {
    this.removed = true;
    this.signs = undefined;
    for (const key of this.state.keys) {
      const next = isComing(key)
        ? transition(key, 'removed', {kind: 'abandoned', why: 'domain removed'}, this.now())
        : key.state === 'active'
          ? transition(key, 'retiring', {kind: 'signing-stopped', run: 'r'}, this.now())
          : undefined;
      if (next !== undefined) this.state = take(putEntry(this.state, take(next)));
    }
  }
}
