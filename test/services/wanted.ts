/** What the tests of planning ask for, and how they carry it out. */
import {type DomainName, parseDomain, parseSelector, type Selector} from '../../src/domain/names.ts';
import {absolute} from '../../src/domain/paths.ts';
import type {Result} from '../../src/domain/result.ts';
import type {HostFacts} from '../../src/services/facts.ts';
import type {SignerSettings, SigningIntent, WantedDomain} from '../../src/services/intent.ts';
import {lookAtHost} from '../../src/services/look.ts';
import type {Candidate} from '../../src/services/opendkim/candidate.ts';
import type {OpenDkimTrial} from '../../src/services/opendkim/trial.ts';
import {readConfiguration} from '../../src/services/read-snapshot.ts';
import {planSigning, type SigningChange} from '../../src/services/signing.ts';
import type {ConfigurationSnapshot} from '../../src/services/snapshot.ts';
import {type FakeHost, sha256, testKey} from '../support/fake-host.ts';

export function value<T>(result: Result<T>): T {
  if (!result.ok) throw new TypeError(`${result.problem.id}: ${result.problem.message}`);
  return result.value;
}

export const domain = (text: string): DomainName => value(parseDomain(text));
export const selector = (text: string): Selector => value(parseSelector(text));

export type Wanted = SigningIntent & {readonly sign: readonly WantedDomain[]};

/** Stages a key on the host and asks for it. */
export function wantedOn(
  host: FakeHost,
  names: readonly string[],
  {rivals, ...more}: SignerSettings & Pick<SigningIntent, 'rivals'> = {},
  chosen = '202611',
): Wanted {
  host.files.directory('/var/lib/waxseal', {mode: 0o711});
  host.files.directory('/var/lib/waxseal/staged', {mode: 0o700});
  const sign = names.map(name => {
    const path = absolute(`/var/lib/waxseal/staged/${name}.${chosen}.pem`);
    const pem = testKey(chosen);
    host.files.put(path, pem, {mode: 0o600});
    return {domain: domain(name), selector: selector(chosen), key: {stagedPath: path, sha256: sha256(pem)}};
  });
  return {sign, settings: {subdomains: true, ...more}, ...(rivals === undefined ? {} : {rivals})};
}

export async function planOn(
  host: FakeHost,
  wanted: Wanted,
): Promise<{facts: HostFacts; snapshot: ConfigurationSnapshot; change: Result<SigningChange>}> {
  const facts = await lookAtHost(host);
  const snapshot = await readConfiguration(host, facts, wanted.sign);
  return {facts, snapshot, change: planSigning(facts, snapshot, wanted)};
}

/** The final texts that a plan is tried with. */
export const candidateOf = ({trial}: SigningChange): Candidate => (trial as OpenDkimTrial).candidate;
