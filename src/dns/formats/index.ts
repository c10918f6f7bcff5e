/** One record in the languages of the programs that keep DNS. Pure text; docs/reference/formats.md has the table. */
import {keyTagAt} from '../../dkim/index.ts';
import type {RecordForms} from '../survey.ts';
import {hclString, identifier, octalEscapes, octalStrings, shellWord} from './quoting.ts';

export {type DelegationKind, delegation} from './delegation.ts';

const DEFAULT_TTL = 3600;

export interface RecordFormat {
  /** What `--format` takes. */
  readonly id: string;
  /** What it is, in a few words. */
  readonly title: string;
  /** The whole document, without a final line break. `ttlSeconds` default 3600. */
  render(record: RecordForms, ttlSeconds?: number): string;
}

/** Change batch of `aws route53 change-resource-record-sets --change-batch file://FILE`. */
const route53: RecordFormat = {
  id: 'route53',
  title: 'Route 53 change batch (JSON)',
  render: ({absoluteName, strings}, ttl = DEFAULT_TTL) =>
    json({
      Comment: `DKIM key ${absoluteName}`,
      Changes: [
        {
          Action: 'UPSERT',
          ResourceRecordSet: {
            Name: `${absoluteName}.`,
            Type: 'TXT',
            TTL: ttl,
            ResourceRecords: [{Value: octalStrings(strings).join(' ')}],
          },
        },
      ],
    }),
};

/** The provider adds the outer quotes; `""` within begins the next string (its documentation, "records"). */
const terraform: RecordFormat = {
  id: 'terraform',
  title: 'Terraform or OpenTofu, aws_route53_record',
  render: ({absoluteName, zone, strings}, ttl = DEFAULT_TTL) =>
    [
      `resource "aws_route53_record" "${identifier(absoluteName)}" {`,
      `  zone_id = data.aws_route53_zone.${identifier(zone)}.zone_id`,
      `  name    = ${hclString(`${absoluteName}.`)}`,
      `  type    = "TXT"`,
      `  ttl     = ${ttl}`,
      `  records = [${hclString(strings.map(octalEscapes).join('""'))}]`,
      '}',
      '',
      `data "aws_route53_zone" "${identifier(zone)}" {`,
      `  name = ${hclString(`${zone}.`)}`,
      '}',
    ].join('\n'),
};

/**
 * Provider hashicorp/dns: RFC 2136, any server. It puts the text between quotes, has it read as a zone file is, and cuts
 * it itself; what it reads back has no cuts, so a text with cuts would be changed by every run.
 */
const terraformDns: RecordFormat = {
  id: 'terraform-dns',
  title: 'Terraform or OpenTofu, dns_txt_record_set (RFC 2136)',
  render: ({absoluteName, zone, relativeName, value}, ttl = DEFAULT_TTL) =>
    [
      `resource "dns_txt_record_set" "${identifier(absoluteName)}" {`,
      `  zone = ${hclString(`${zone}.`)}`,
      ...(relativeName === '@' ? [] : [`  name = ${hclString(relativeName)}`]),
      `  txt  = [${hclString(zoneString(value).slice(1, -1))}]`,
      `  ttl  = ${ttl}`,
      '}',
    ].join('\n'),
};

/** A part of `ZONE.yaml`. octoDNS wants every `;` escaped, and cuts long values itself. */
const octodns: RecordFormat = {
  id: 'octodns',
  title: 'octoDNS (YAML)',
  render: ({relativeName, zone, value}, ttl = DEFAULT_TTL) =>
    [
      `# ${zone}.yaml`,
      `${yamlString(relativeName === '@' ? '' : relativeName)}:`,
      `  ttl: ${ttl}`,
      '  type: TXT',
      `  value: ${yamlString(value.replaceAll(';', '\\;'))}`,
    ].join('\n'),
};

/** Beside the `D()` of the zone, which names the provider. */
const dnscontrol: RecordFormat = {
  id: 'dnscontrol',
  title: 'dnscontrol (JavaScript)',
  render: ({relativeName, zone, value}, ttl = DEFAULT_TTL) =>
    [
      `D_EXTEND(${scriptString(zone)},`,
      `  TXT(${scriptString(relativeName)}, ${scriptString(value)}, TTL(${ttl})),`,
      ');',
    ].join('\n'),
};

/** Body of `PATCH /api/v1/servers/localhost/zones/ZONE` of the PowerDNS API. */
const powerdns: RecordFormat = {
  id: 'powerdns',
  title: 'PowerDNS API (JSON)',
  render: ({absoluteName, zoneFile}, ttl = DEFAULT_TTL) =>
    json({
      rrsets: [
        {
          name: `${absoluteName}.`,
          type: 'TXT',
          ttl,
          changetype: 'REPLACE',
          records: [{content: zoneFile.slice(zoneFile.indexOf('"')), disabled: false}],
        },
      ],
    }),
};

/** One command for a shell on the PowerDNS host. */
const pdnsutil: RecordFormat = {
  id: 'pdnsutil',
  title: 'PowerDNS command line',
  render: ({zone, relativeName, zoneFile}, ttl = DEFAULT_TTL) =>
    [
      'pdnsutil',
      'replace-rrset',
      zone,
      relativeName,
      'TXT',
      String(ttl),
      zoneFile.slice(zoneFile.indexOf('"')),
    ]
      .map(shellWord)
      .join(' '),
};

/** A zone file line with a relative owner, in strings of 250 within parentheses (daemons/opendkim.md#tools). */
const genzone: RecordFormat = {
  id: 'genzone',
  title: 'zone file in strings of 250, as genkey and genzone write it',
  render: ({absoluteName, zone, value, relativeName}) => {
    const at = keyTagAt(value);
    const head = at > 0 ? value.slice(0, at) : '';
    const strings = [...(head === '' ? [] : [head]), ...pieces(value.slice(head.length), GENZONE_STRING)];
    return [
      `; DKIM key of the zone ${zone}`,
      `${relativeName}\tIN\tTXT\t( ${strings.map(zoneString).join('\n\t  ')} )  ; ----- DKIM key ${absoluteName}`,
    ].join('\n');
  },
};

const GENZONE_STRING = 250;

/** In the order of the reference page. */
export const FORMATS: readonly RecordFormat[] = [
  route53,
  terraform,
  terraformDns,
  octodns,
  dnscontrol,
  powerdns,
  pdnsutil,
  genzone,
];

const json = (value: unknown): string => JSON.stringify(value, undefined, 2);

/** Single-quoted: only the quote itself is special. What a line cannot hold goes between double quotes, as in JSON. */
const yamlString = (text: string): string =>
  /^[ -~]*$/.test(text) ? `'${text.replaceAll("'", "''")}'` : JSON.stringify(text);

/** JSON is a part of JavaScript but for two line separators of old engines; dnscontrol's is one of them. */
const scriptString = (text: string): string =>
  JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');

/** At most `octets` octets each, no character cut in two. */
function pieces(text: string, octets: number): readonly string[] {
  const out: string[] = [];
  let piece = '';
  for (const character of text) {
    if (Buffer.byteLength(piece) + Buffer.byteLength(character) > octets) {
      out.push(piece);
      piece = '';
    }
    piece += character;
  }
  return [...out, piece];
}

/** RFC 1035 §5.1. */
function zoneString(text: string): string {
  let out = '';
  for (const octet of Buffer.from(text)) {
    if (octet === 0x22 || octet === 0x5c) out += `\\${String.fromCharCode(octet)}`;
    else if (octet >= 0x20 && octet < 0x7f) out += String.fromCharCode(octet);
    else out += `\\${String(octet).padStart(3, '0')}`;
  }
  return `"${out}"`;
}
