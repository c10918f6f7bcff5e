/** The state file as the JSON contract and a person see it. */

import {UsageError} from '../domain/errors.ts';
import {parseDomain} from '../domain/names.ts';
import {problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {DomainReport} from '../flow/report.ts';
import {type KeyEntry, loadState, nextStep, type RotationState} from '../rotation/index.ts';
import type {Ports} from '../system/ports.ts';
import {listOf} from './arguments.ts';
import type {Context} from './context.ts';

/** RFC 1035 §3.3: a character-string holds 255 octets. */
const MAX_STRING = 255;

export const stringsOf = (value: string): readonly string[] =>
  Array.from({length: Math.ceil(value.length / MAX_STRING)}, (_, index) =>
    value.slice(index * MAX_STRING, (index + 1) * MAX_STRING),
  );

/** Loads the state; a damaged file is an error that names it. */
export async function stateOf(ports: Pick<Ports, 'files'>): Promise<RotationState> {
  const state = await loadState(ports.files);
  if (!state.ok) throw new UsageError(state.problem);
  return state.value;
}

/** The keys that the flags name: all, or those of `--domain`; an unknown domain is an error. */
export function chosen(context: Context, state: RotationState): readonly KeyEntry[] {
  const names = listOf(context.flags, 'domain').flatMap(text => text.split(','));
  if (names.length === 0) return state.keys;
  return names.flatMap(text => {
    const domain = parseDomain(text);
    if (!domain.ok) throw new UsageError(domain.problem);
    const keys = state.keys.filter(key => key.domain === domain.value);
    if (keys.length > 0) return keys;
    throw new UsageError(
      problem(
        'domain.unknown',
        `waxseal has no key for ${visible(domain.value)} on this host.`,
        `Set it up with: waxseal setup --domain ${visible(domain.value)}`,
      ),
    );
  });
}

export function domainReportOf(entry: KeyEntry, now: Date): DomainReport {
  const next = nextStep(entry, now);
  return {
    domain: entry.domain,
    selector: entry.selector,
    algorithm: entry.algorithm,
    bits: entry.bits,
    state: entry.state,
    keyPath: entry.keyPath ?? entry.stagedPath ?? null,
    record: {...entry.record, strings: stringsOf(entry.record.value)},
    servers: [],
    publishedAt: entry.publishedAt ?? null,
    activatedAt: entry.activatedAt ?? null,
    nextStep: next.due === undefined ? next.text : `${next.text} Not before ${next.due.toISOString()}.`,
  };
}
