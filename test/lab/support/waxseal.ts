/** The program under test as a script on the host sees it: arguments, exit code, one JSON document. */
import {expect} from 'vitest';
import type {Internet} from './dns.ts';
import type {Host} from './host.ts';
import {describeOutcome, LONG_MS, type Outcome, type Running, type RunOptions, until} from './process.ts';

export interface DomainReport {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: string;
  readonly bits: number;
  readonly state: string;
  readonly keyPath: string | null;
  readonly record: {
    readonly name: string;
    readonly zone: string;
    readonly relativeName: string;
    readonly value: string;
    readonly strings: readonly string[];
  };
  readonly servers: readonly {
    readonly name: string;
    readonly address: string;
    readonly status: string;
    readonly serial: number | null;
  }[];
  readonly dns: {readonly resolver: string; readonly weaker: {readonly id: string} | null} | null;
  readonly publishedAt: string | null;
  readonly activatedAt: string | null;
  readonly nextStep: string;
}

export interface Report {
  readonly schemaVersion: number;
  readonly command: string;
  readonly result: string;
  readonly exitCode: number;
  readonly changed: boolean;
  readonly domains: readonly DomainReport[];
  readonly changes: readonly {
    readonly kind: string;
    readonly target: string;
    readonly action: string;
    readonly diff: string;
  }[];
  readonly checks: readonly {readonly id: string; readonly status: string; readonly evidence: string}[];
  readonly advice: readonly {readonly id: string; readonly status: string; readonly evidence: string}[];
  readonly error: {readonly id: string; readonly message: string; readonly hint: string} | null;
}

/** The documented form, as vitest matchers: written from the documentation, not from the program's own schema. */
const text = expect.any(String);
const CONTRACT = {
  schemaVersion: 1,
  command: text,
  result: expect.stringMatching(/^(ok|pending|problems|failed)$/),
  exitCode: expect.any(Number),
  changed: expect.any(Boolean),
  domains: expect.any(Array),
  changes: expect.any(Array),
  checks: expect.any(Array),
  advice: expect.any(Array),
  error: expect.toSatisfy(value => value === null || typeof value === 'object'),
};
const DOMAIN = {
  domain: text,
  selector: text,
  algorithm: expect.stringMatching(/^(rsa|ed25519)$/),
  bits: expect.any(Number),
  state: expect.stringMatching(/^(staged|pending|ready|active|retiring|revoked|removed|by-hand)$/),
  keyPath: expect.toSatisfy(value => value === null || typeof value === 'string'),
  record: {name: text, zone: text, relativeName: text, value: text, strings: expect.any(Array)},
  servers: expect.any(Array),
  publishedAt: expect.toSatisfy(value => value === null || typeof value === 'string'),
  activatedAt: expect.toSatisfy(value => value === null || typeof value === 'string'),
  provenAt: expect.toSatisfy(value => value === null || typeof value === 'string'),
  nextStep: text,
  dns: expect.toSatisfy(value => value === null || typeof value === 'object'),
};
const SERVER = {
  name: text,
  address: text,
  status: text,
  serial: expect.toSatisfy(value => value === null || typeof value === 'number'),
};
const CHANGE = {
  kind: expect.stringMatching(/^(write|mkdir|chown|group|package|service|sql)$/),
  target: text,
  action: text,
  diff: text,
};
const CHECK = {
  id: text,
  title: text,
  status: expect.stringMatching(/^(pass|warn|fail|skip)$/),
  evidence: text,
  cause: text,
  fix: text,
};
const ERROR = {id: text, message: text, hint: text};

const RESULTS: Readonly<Record<number, string>> = {0: 'ok', 3: 'pending', 4: 'problems'};

/** Reads the one JSON document of a run and holds it against the contract and against the exit status. */
export function reportOf(outcome: Outcome): Report {
  expect(outcome.stdout.trim().split('\n'), describeOutcome(outcome)).toHaveLength(1);
  const report: Report = JSON.parse(outcome.stdout);
  expect(report).toEqual(CONTRACT);
  for (const domain of report.domains) {
    expect(domain).toEqual(DOMAIN);
    for (const server of domain.servers) expect(server).toEqual(SERVER);
    expect(domain.record.strings.join('')).toBe(domain.record.value);
    for (const string of domain.record.strings) expect(string.length).toBeLessThanOrEqual(255);
  }
  for (const change of report.changes) expect(change).toEqual(CHANGE);
  for (const check of [...report.checks, ...report.advice]) expect(check).toEqual(CHECK);
  if (report.error !== null) expect(report.error).toEqual(ERROR);
  expect(report.exitCode).toBe(outcome.status);
  expect(report.result).toBe(RESULTS[report.exitCode] ?? 'failed');
  return report;
}

/** Private keys appear in no output whatever: neither armoured nor as the bare base64 of their middle. */
async function expectNoSecrets(host: Host, outcome: Outcome): Promise<void> {
  const shown = outcome.stdout + outcome.stderr;
  expect(shown).not.toContain('PRIVATE KEY');
  const keys = await host.exec([
    'find',
    '/etc/dkimkeys',
    '/var/lib/waxseal',
    '-type',
    'f',
    '(',
    '-name',
    '*.private',
    '-o',
    '-name',
    '*.pem',
    ')',
    '-exec',
    'sed',
    '-n',
    '5p',
    '{}',
    ';',
  ]);
  for (const line of keys.stdout.split('\n').filter(line => line.length >= 32)) {
    expect(shown).not.toContain(line);
  }
}

/** Runs waxseal without a terminal and with nothing on its standard input. */
export async function waxseal(
  host: Host,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  const outcome = await host.exec(['waxseal', ...argv], {timeoutMs: LONG_MS, ...options});
  await expectNoSecrets(host, outcome);
  return outcome;
}

/** Runs waxseal with --json; the exit code has to be the one that is expected. */
export async function waxsealJson(host: Host, argv: readonly string[], exitCode: number): Promise<Report> {
  const outcome = await waxseal(host, [...argv, '--json']);
  expect(outcome.status, `waxseal ${argv.join(' ')}: ${describeOutcome(outcome)}`).toBe(exitCode);
  return reportOf(outcome);
}

export const launchWaxseal = (host: Host, argv: readonly string[]): Running =>
  host.launch(['waxseal', ...argv], {timeoutMs: LONG_MS});

/** The record that a waiting run wants to see, asked for as a script would: by another command, meanwhile. */
export function awaitedRecord(host: Host, domain: string): Promise<DomainReport> {
  return until(
    `the record of ${domain}`,
    async () => {
      const outcome = await host.exec(['waxseal', 'record', '--domain', domain, '--json']);
      if (outcome.status !== 0) return undefined;
      return reportOf(outcome).domains.find(each => each.domain === domain && each.record.value !== '');
    },
    {withinMs: LONG_MS, everyMs: 250},
  );
}

/** A key is made and its record is on every server, so that the next run goes straight to the plan. */
export async function makeReady(
  host: Host,
  internet: Internet,
  options: readonly string[] = [],
): Promise<DomainReport> {
  const report = await waxsealJson(
    host,
    ['setup', '--domain', 'example.com', '--yes', '--no-wait', ...options],
    3,
  );
  const [domain] = report.domains;
  if (domain === undefined) throw new Error('the report names no domain');
  await internet.publishEverywhere(domain.record.zone, domain.record.name, domain.record.strings);
  return domain;
}
