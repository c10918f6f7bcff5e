/** JSON Schema (draft 2020-12) of what `--json` writes: docs/reference/json.md in words, this in code. */

const text = {type: 'string'} as const;
const textOrNull = {type: ['string', 'null']} as const;

const time = {
  type: ['string', 'null'],
  pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z$',
} as const;

const object = <P extends Readonly<Record<string, unknown>>>(properties: P) => ({
  type: 'object' as const,
  properties,
  required: Object.keys(properties),
  // Readers must accept new fields; what is written today has exactly these.
  additionalProperties: false as const,
});

const list = <I>(items: I) => ({type: 'array' as const, items});

const server = object({name: text, address: text, status: text, serial: {type: ['integer', 'null']}});
const problem = {id: text, message: text, hint: text};

const dns = object({
  at: time,
  agreed: {type: 'boolean'},
  settled: {type: 'boolean'},
  resolver: {enum: ['not-asked', 'matching', 'absent', 'wrong', 'timeout', 'failed']},
  negativeTtlSeconds: {type: 'integer'},
  targets: list(object({name: text, zone: text, servers: list(server)})),
  dname: textOrNull,
  caches: list(
    object({kind: {enum: ['negative', 'old']}, where: {enum: ['resolver', 'anywhere']}, until: time}),
  ),
  dnssec: {
    anyOf: [
      {type: 'null'},
      object({status: {enum: ['validated', 'insecure', 'unchecked', 'bogus']}, expiresAt: time}),
    ],
  },
  weaker: {anyOf: [{type: 'null'}, object(problem)]},
  mistakes: list(object({...problem, servers: list(text)})),
  remarks: list(object(problem)),
});

const domain = object({
  domain: text,
  selector: text,
  algorithm: {enum: ['rsa', 'ed25519', null]},
  bits: {type: ['integer', 'null']},
  state: {enum: ['by-hand', 'staged', 'pending', 'ready', 'active', 'retiring', 'revoked', 'removed']},
  keyPath: textOrNull,
  record: object({name: text, zone: text, relativeName: text, value: text, strings: list(text)}),
  servers: list(server),
  dns: {anyOf: [{type: 'null'}, dns]},
  publishedAt: time,
  activatedAt: time,
  provenAt: time,
  nextStep: text,
});

const change = object({
  kind: {enum: ['write', 'mkdir', 'chown', 'group', 'package', 'service', 'sql']},
  target: text,
  action: text,
  diff: text,
});

const check = object({
  id: text,
  title: text,
  status: {enum: ['pass', 'warn', 'fail', 'skip']},
  evidence: text,
  cause: text,
  fix: text,
});

export const reportSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'waxseal report',
  ...object({
    schemaVersion: {const: 1},
    command: text,
    result: {enum: ['ok', 'pending', 'problems', 'failed']},
    exitCode: {enum: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130, 143]},
    changed: {type: 'boolean'},
    domains: list(domain),
    changes: list(change),
    checks: list(check),
    advice: list(check),
    error: {anyOf: [{type: 'null'}, object({id: text, message: text, hint: text})]},
  }),
} as const;
