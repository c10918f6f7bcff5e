/** Zone data of the sandbox and how an authoritative server answers from it (RFC 1034 §4.3.2). Pure but for the data. */
import {type Answer, AUTHORITATIVE_ANSWER, encode, type Question, TRUNCATED_RESPONSE} from 'dns-packet';

export type ZoneRecord =
  | {
      readonly name: string;
      readonly ttl: number;
      readonly type: 'A' | 'AAAA' | 'NS' | 'CNAME';
      readonly data: string;
    }
  | {readonly name: string; readonly ttl: number; readonly type: 'TXT'; readonly data: readonly string[]};

/** Names are lower case without a final dot. Immutable: a change is a new one with a higher serial. */
export interface ZoneData {
  readonly apex: string;
  readonly primary: string;
  readonly serial: number;
  /** TTL and MINIMUM of the SOA, seconds. */
  readonly negativeTtl: number;
  readonly records: readonly ZoneRecord[];
}

export interface Reply {
  readonly rcode: 0 | 2 | 3 | 5;
  readonly authoritative: boolean;
  readonly answers: readonly Answer[];
  readonly authorities: readonly Answer[];
  readonly additionals: readonly Answer[];
}

export const refusal: Reply = {rcode: 5, authoritative: false, answers: [], authorities: [], additionals: []};

export const within = (name: string, zone: string): boolean =>
  zone === '' || name === zone || name.endsWith(`.${zone}`);

export const soaOf = (zone: ZoneData): Answer => ({
  type: 'SOA',
  name: zone.apex === '' ? '.' : zone.apex,
  ttl: zone.negativeTtl,
  data: {
    mname: zone.primary,
    rname: `hostmaster.${zone.apex}`,
    serial: zone.serial,
    refresh: 3600,
    retry: 600,
    expire: 604_800,
    minimum: zone.negativeTtl,
  },
});

const asAnswer = (record: ZoneRecord): Answer =>
  record.type === 'TXT'
    ? {type: 'TXT', name: record.name, ttl: record.ttl, data: [...record.data]}
    : {type: record.type, name: record.name, ttl: record.ttl, data: record.data};

/** The answer out of the zones that this server carries; REFUSED outside of them. */
export function replyFrom(zones: readonly ZoneData[], question: Pick<Question, 'name' | 'type'>): Reply {
  const name = question.name.toLowerCase().replace(/\.$/, '');
  const zone = deepest(zones, name);
  if (zone === undefined) return refusal;
  const cut = delegation(zone, name);
  if (cut.length > 0) {
    const targets = new Set(cut.map(record => record.data));
    const glue = zone.records.filter(
      record => (record.type === 'A' || record.type === 'AAAA') && targets.has(record.name),
    );
    return {
      rcode: 0,
      authoritative: false,
      answers: [],
      authorities: cut.map(asAnswer),
      additionals: glue.map(asAnswer),
    };
  }
  return inZone(zone, name, question.type);
}

export const deepest = (zones: readonly ZoneData[], name: string): ZoneData | undefined =>
  zones
    .filter(zone => within(name, zone.apex))
    .sort((left, right) => right.apex.length - left.apex.length)
    .at(0);

const delegation = (zone: ZoneData, name: string): readonly ZoneRecord[] =>
  zone.records.filter(
    record => record.type === 'NS' && record.name !== zone.apex && within(name, record.name),
  );

function inZone(zone: ZoneData, name: string, type: string): Reply {
  const own = zone.records.filter(record => record.name === name);
  const at = own.length > 0 ? own : wildcard(zone, name);
  const answers: Answer[] = at
    .filter(record => record.type === type || record.type === 'CNAME')
    .map(asAnswer);
  if (type === 'SOA' && name === zone.apex) answers.push(soaOf(zone));
  const exists =
    at.length > 0 || name === zone.apex || zone.records.some(record => record.name.endsWith(`.${name}`));
  return {
    rcode: exists ? 0 : 3,
    authoritative: true,
    answers,
    authorities: answers.length === 0 ? [soaOf(zone)] : [],
    additionals: [],
  };
}

/** RFC 4592: the wildcard of the closest encloser, its owner replaced by the name asked for. */
function wildcard(zone: ZoneData, name: string): readonly ZoneRecord[] {
  for (let rest = name; rest !== zone.apex && rest.includes('.'); ) {
    rest = rest.slice(rest.indexOf('.') + 1);
    const found = zone.records.filter(record => record.name === `*.${rest}`);
    if (found.length > 0) return found.map(record => ({...record, name}));
    if (zone.records.some(record => within(record.name, rest))) return [];
  }
  return [];
}

/** Octets of a reply to a query of which the question is repeated as it came, case and all. */
export function encodeReply(
  query: {readonly id: number; readonly question: Question; readonly recursion: boolean},
  reply: Reply,
  limit: number,
): Buffer {
  const flags =
    (reply.authoritative ? AUTHORITATIVE_ANSWER : 0) | (query.recursion ? 0x0180 : 0) | reply.rcode;
  const whole = encode({
    type: 'response',
    id: query.id,
    flags,
    questions: [query.question],
    answers: [...reply.answers],
    authorities: [...reply.authorities],
    additionals: [...reply.additionals],
  });
  if (whole.length <= limit) return whole;
  return encode({
    type: 'response',
    id: query.id,
    flags: flags | TRUNCATED_RESPONSE,
    questions: [query.question],
  });
}
