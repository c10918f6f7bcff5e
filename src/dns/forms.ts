/** One record in every form a person may need. Pure text. */
import {keyTagAt} from '../dkim/index.ts';
import {type DnsName, relativeTo} from '../domain/names.ts';
import {adviceOf, recogniseProvider, type ValueForm} from './provider.ts';
import type {RecordForms} from './survey.ts';

export interface RecordToPublish {
  readonly apex: DnsName;
  readonly name: DnsName;
  /** The TXT value, strings joined. */
  readonly value: string;
  /** Default 3600. */
  readonly ttlSeconds?: number;
  /** Names of the zone's servers, by which the provider is recognised. */
  readonly servers?: readonly string[];
}

/** RFC 1035 §3.3: a character-string has one octet for its length. */
const MAX_STRING = 255;
/** With indent and quotes 77 columns: nothing wraps at 80. */
const SHORT_STRING = 71;
/** A key that is not longer than this, as Ed25519 keys, needs no string of its own. */
const SHORT_KEY = 62;
const DEFAULT_TTL = 3600;

/** Every form in which a person or a program may want to enter the record. */
export function recordForms(record: RecordToPublish): RecordForms {
  const {apex, name, value} = record;
  const ttl = record.ttlSeconds ?? DEFAULT_TTL;
  const strings = stringsOf(value);
  const relativeName = relativeTo(name, apex);
  const quotedStrings = strings.map(quoted).join(' ');
  const owner = `${name}.`;
  const provider = recogniseProvider(record.servers ?? []);
  return {
    absoluteName: name,
    zone: apex,
    relativeName,
    value,
    strings,
    zoneFile: `${owner} ${ttl} IN TXT ${quotedStrings}`,
    zoneFileWrapped: [
      `${owner} ${ttl} IN TXT (`,
      ...shortStrings(value).map(each => `    ${quoted(each)}`),
      ')',
    ].join('\n'),
    json: JSON.stringify({name, zone: apex, relativeName, type: 'TXT', ttl, value, strings}, undefined, 2),
    nsupdate: [
      `zone ${apex}.`,
      // Whatever stood there would be a second record, which makes both useless.
      `update delete ${owner} TXT`,
      `update add ${owner} ${ttl} IN TXT ${quotedStrings}`,
      'send',
      '',
    ].join('\n'),
    provider:
      provider === undefined
        ? undefined
        : {
            name: provider.name,
            advice: adviceOf(provider, {
              relativeName,
              absoluteName: name,
              valueOctets: Buffer.byteLength(value),
            }),
            fields: {
              name: provider.nameForm === 'relative' ? relativeName : name,
              value: valueField[provider.valueForm](value, quotedStrings),
            },
          },
  };
}

/** How the value is entered; quotes that belong to the entry and not to the record are there as the panel wants them. */
const valueField: Readonly<Record<ValueForm, (value: string, strings: string) => string>> = {
  plain: value => value,
  strings: (_value, strings) => strings,
  'one-pair': value => `"${value}"`,
};

/** The character-strings of a TXT record with this value (RFC 1035 §3.3). */
export const stringsOf = (value: string): readonly string[] => cut(value, MAX_STRING);

/** Pieces of at most `octets` octets, no character cut in two. At least one, which may be empty. */
function cut(text: string, octets: number): readonly string[] {
  const pieces: string[] = [];
  let piece = '';
  let size = 0;
  for (const character of text) {
    const more = Buffer.byteLength(character);
    if (size + more > octets) {
      pieces.push(piece);
      piece = '';
      size = 0;
    }
    piece += character;
    size += more;
  }
  return [...pieces, piece];
}

/** The tags before the key on the first line, then the key alone. */
function shortStrings(value: string): readonly string[] {
  const at = keyTagAt(value);
  const [head, key] =
    at > 0 && value.length - at > SHORT_KEY ? [value.slice(0, at), value.slice(at)] : ['', value];
  return [...(head === '' ? [] : cut(head, SHORT_STRING)), ...cut(key, SHORT_STRING)];
}

/** RFC 1035 §5.1: quotes and backslashes escaped, octets that are no printable ASCII as \DDD; nsupdate reads the same. */
function quoted(text: string): string {
  let out = '';
  for (const octet of Buffer.from(text)) {
    if (octet === 0x22 || octet === 0x5c) out += `\\${String.fromCharCode(octet)}`;
    else if (octet >= 0x20 && octet < 0x7f) out += String.fromCharCode(octet);
    else out += `\\${String(octet).padStart(3, '0')}`;
  }
  return `"${out}"`;
}
