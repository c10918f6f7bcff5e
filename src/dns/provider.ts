/** DNS providers, told by the names of their servers, and what their panels make of a TXT record. A table; no lookups. */
import {type Problem, problem} from '../domain/result.ts';

/** How a value of more than 255 octets is entered. */
export type ValueForm =
  /** One line without quotation marks; the provider cuts it. */
  | 'plain'
  /** `"..." "..."`: strings of 255 octets at most. */
  | 'strings'
  /** One pair of quotation marks around the whole. */
  | 'one-pair';

export interface Provider {
  /** Stable: `route53`. */
  readonly id: string;
  readonly name: string;
  /** Matches the name of a name server, lower case, without the final dot. */
  readonly servers: RegExp;
  readonly nameForm: 'relative' | 'absolute';
  readonly valueForm: ValueForm;
  /** Octets of a TXT value it can store, where a limit is known. */
  readonly maxOctets?: number;
  readonly notes?: readonly string[];
}

/** Names of servers as the providers publish them; limits as dnscontrol's provider audits and bug threads found them. */
export const PROVIDERS: readonly Provider[] = [
  {
    id: 'route53',
    name: 'Amazon Route 53',
    servers: /^ns-\d+\.awsdns-\d+\.(?:com|net|org|co\.uk)$/,
    nameForm: 'relative',
    valueForm: 'strings',
    notes: [
      'A string of more than 255 octets is refused (CharacterStringTooLong): enter all strings on one line.',
    ],
  },
  {
    id: 'cloudflare',
    name: 'Cloudflare',
    servers: /\.ns\.cloudflare\.com$/,
    nameForm: 'relative',
    valueForm: 'plain',
  },
  {
    id: 'google-cloud',
    name: 'Google Cloud DNS',
    servers: /^ns-cloud-[a-e]\d\.googledomains\.com$/,
    nameForm: 'relative',
    valueForm: 'strings',
  },
  {
    id: 'azure',
    name: 'Azure DNS',
    servers: /\.azure-dns\.(?:com|net|org|info)$/,
    nameForm: 'relative',
    valueForm: 'plain',
    maxOctets: 4096,
  },
  {id: 'gandi', name: 'Gandi', servers: /\.gandi\.net$/, nameForm: 'relative', valueForm: 'strings'},
  {
    id: 'hetzner',
    name: 'Hetzner',
    servers: /\.ns\.hetzner\.(?:com|de)$|\.(?:your-server|first-ns)\.de$|\.second-ns\.(?:com|de)$/,
    nameForm: 'relative',
    valueForm: 'strings',
  },
  {
    id: 'hurricane',
    name: 'Hurricane Electric',
    servers: /^ns\d\.he\.net$/,
    nameForm: 'relative',
    valueForm: 'strings',
  },
  {
    id: 'dnsimple',
    name: 'DNSimple',
    servers: /\.dnsimple(?:-edge)?\.(?:com|net|org)$/,
    nameForm: 'relative',
    valueForm: 'plain',
    maxOctets: 1000,
  },
  {
    id: 'digitalocean',
    name: 'DigitalOcean',
    servers: /^ns\d\.digitalocean\.com$/,
    nameForm: 'relative',
    valueForm: 'plain',
    maxOctets: 500,
  },
  {
    id: 'namecom',
    name: 'Name.com',
    servers: /\.name\.com$/,
    nameForm: 'relative',
    valueForm: 'plain',
    maxOctets: 500,
  },
  {
    id: 'alibaba',
    name: 'Alibaba Cloud DNS',
    servers: /\.(?:alidns|hichina)\.com$/,
    nameForm: 'relative',
    valueForm: 'plain',
    maxOctets: 511,
  },
  {
    id: 'tencent',
    name: 'DNSPod (Tencent Cloud)',
    servers: /\.dnspod\.(?:net|com)$|\.dnsv\d\.com$/,
    nameForm: 'relative',
    valueForm: 'plain',
  },
  {
    id: 'loopia',
    name: 'Loopia',
    servers: /\.loopia\.se$/,
    nameForm: 'relative',
    valueForm: 'plain',
    maxOctets: 450,
  },
  {
    id: 'sakura',
    name: 'Sakura Cloud',
    servers: /\.gslb\d*\.sakura\.ne\.jp$|\.dns\.ne\.jp$/,
    nameForm: 'relative',
    valueForm: 'plain',
    maxOctets: 500,
  },
  {
    id: 'transip',
    name: 'TransIP',
    servers: /^ns\d\.transip\.(?:net|nl|eu)$/,
    nameForm: 'relative',
    valueForm: 'plain',
    maxOctets: 1024,
  },
  {
    id: 'namecheap',
    name: 'Namecheap',
    servers: /\.registrar-servers\.com$/,
    nameForm: 'relative',
    valueForm: 'plain',
    notes: ['Quotation marks become part of the record there.'],
  },
  {
    id: 'vultr',
    name: 'Vultr',
    servers: /^ns\d\.vultr\.com$/,
    nameForm: 'relative',
    valueForm: 'one-pair',
    notes: ['A value cut into several strings is refused.'],
  },
  {id: 'porkbun', name: 'Porkbun', servers: /\.porkbun\.com$/, nameForm: 'relative', valueForm: 'plain'},
  {id: 'ns1', name: 'NS1 or Netlify', servers: /\.nsone\.net$/, nameForm: 'relative', valueForm: 'plain'},
  {id: 'vercel', name: 'Vercel', servers: /\.vercel-dns\.com$/, nameForm: 'relative', valueForm: 'plain'},
  {id: 'luadns', name: 'LuaDNS', servers: /\.luadns\.net$/, nameForm: 'relative', valueForm: 'plain'},
  {
    id: 'gcore',
    name: 'Gcore',
    servers: /\.gcorelabs\.net$|\.gcdn\.services$/,
    nameForm: 'relative',
    valueForm: 'plain',
  },
  {id: 'domeneshop', name: 'Domeneshop', servers: /\.hyp\.net$/, nameForm: 'relative', valueForm: 'plain'},
  {
    id: 'dnsmadeeasy',
    name: 'DNS Made Easy',
    servers: /\.dnsmadeeasy\.com$/,
    nameForm: 'relative',
    valueForm: 'strings',
  },
  {
    id: 'wordpress',
    name: 'WordPress.com',
    servers: /^ns\d\.wordpress\.com$/,
    nameForm: 'relative',
    valueForm: 'plain',
    maxOctets: 255,
  },
  {
    id: 'linode',
    name: 'Linode (Akamai)',
    servers: /^ns\d\.linode\.com$/,
    nameForm: 'relative',
    valueForm: 'plain',
    notes: ['Choose a TTL of an hour: the default is a day or more.'],
  },
  {
    id: 'cloudns',
    name: 'ClouDNS',
    servers: /\.cloudns\.(?:net|uk)$/,
    nameForm: 'relative',
    valueForm: 'plain',
    notes: ['Quotation marks are refused there.'],
  },
  {
    id: 'desec',
    name: 'deSEC',
    servers: /^ns\d\.desec\.(?:io|org)$/,
    nameForm: 'relative',
    valueForm: 'strings',
    notes: ['Without quotation marks it is refused.'],
  },
  {
    id: 'godaddy',
    name: 'GoDaddy',
    servers: /\.domaincontrol\.com$/,
    nameForm: 'relative',
    valueForm: 'plain',
    notes: ['The domain is appended to the name field: with the whole name the domain would be in it twice.'],
  },
  {
    id: 'ionos',
    name: 'IONOS',
    servers: /\.ui-dns\.(?:com|org|de|biz)$/,
    nameForm: 'relative',
    valueForm: 'plain',
    notes: ['The domain is appended to the name field: with the whole name the domain would be in it twice.'],
  },
];

/** The provider that runs most of the given servers; undefined where none is known. */
export function recogniseProvider(servers: readonly string[]): Provider | undefined {
  const names = servers.map(name => name.toLowerCase().replace(/\.$/, ''));
  const counted = PROVIDERS.map(provider => ({
    provider,
    count: names.filter(name => provider.servers.test(name)).length,
  }));
  const best = counted.reduce<(typeof counted)[number] | undefined>(
    (most, each) => (each.count > (most?.count ?? 0) ? each : most),
    undefined,
  );
  return best?.provider;
}

export interface RecordShape {
  readonly relativeName: string;
  readonly absoluteName: string;
  readonly valueOctets: number;
}

/** What to enter in that panel, a sentence a line. */
export function adviceOf(provider: Provider, record: RecordShape): readonly string[] {
  const tooLong = sizeProblem(provider, record.valueOctets);
  return [
    provider.nameForm === 'relative'
      ? `Name: ${record.relativeName} (without the domain).`
      : `Name: ${record.absoluteName} (the whole name).`,
    VALUE_ADVICE[provider.valueForm],
    ...(provider.maxOctets === undefined || tooLong !== undefined
      ? []
      : [`It stores ${provider.maxOctets} octets at most; this value has ${record.valueOctets}.`]),
    ...(provider.notes ?? []),
    ...(tooLong === undefined ? [] : [`${tooLong.message} ${tooLong.hint}`]),
  ];
}

const VALUE_ADVICE: Readonly<Record<ValueForm, string>> = {
  plain: 'Value: the whole value as one line, without quotation marks.',
  strings: 'Value: as strings of at most 255 octets, "..." "..." on one line.',
  'one-pair': 'Value: the whole value in one pair of quotation marks.',
};

/** Octets of the shortest record of a key of 2048 bits: `v=DKIM1; p=` and 392 of Base64. */
const LEAST_RSA = 403;

/** Problem `dns.provider-limit` where the provider cannot store a TXT value of that many octets. */
export function sizeProblem(provider: Provider, valueOctets: number): Problem | undefined {
  if (provider.maxOctets === undefined || valueOctets <= provider.maxOctets) return undefined;
  return problem(
    'dns.provider-limit',
    `${provider.name} stores at most ${provider.maxOctets} octets in a TXT record; this one has ${valueOctets}.`,
    provider.maxOctets < LEAST_RSA
      ? 'No RSA key that is worth having fits: delegate the name by CNAME or NS to another provider, or use an Ed25519 key.'
      : 'Use a smaller key, or delegate the name by CNAME or NS to another provider.',
  );
}
