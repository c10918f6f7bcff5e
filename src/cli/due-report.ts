/** What is due, as the JSON contract and a person see it. */
import {displayDomain} from '../domain/names.ts';
import {visible} from '../domain/text.ts';
import type {DomainReport} from '../flow/report.ts';
import type {Check} from '../proof/proof.ts';
import {type Due, entryFinder, type RotationState} from '../rotation/index.ts';
import {domainReportOf} from './state-report.ts';

const two = (value: number): string => String(value).padStart(2, '0');

/** `2027-05-20 14:05 (UTC+02:00)`: in the time of this host, as a person reads a clock. */
export function localTime(at: Date): string {
  const east = -at.getTimezoneOffset();
  const zone = `UTC${east < 0 ? '-' : '+'}${two(Math.floor(Math.abs(east) / 60))}:${two(Math.abs(east) % 60)}`;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())} (${east === 0 ? 'UTC' : zone})`;
}

const WAITS: Readonly<Record<Due['waitsFor'], string>> = {
  nobody: 'now',
  nothing: 'nothing to do',
  time: 'time',
  dns: 'waits for the DNS',
  queue: 'waits for the queue',
  person: 'WAITS FOR YOU',
  clock: 'WAITS FOR THE CLOCK',
};

/** When a step comes, in words. */
const whenOf = ({waitsFor, notBefore}: Due): string =>
  notBefore === undefined ? WAITS[waitsFor] : `not before ${localTime(notBefore)}`;

/** The time line: what comes first stands first. */
export function dueLines(all: readonly Due[]): readonly string[] {
  const rank = (step: Due): number => step.notBefore?.getTime() ?? (step.waitsFor === 'nothing' ? 9e15 : 0);
  return all
    .toSorted((one, other) => rank(one) - rank(other))
    .flatMap(step => [
      `${displayDomain(step.domain)}  ${step.selector}  ${step.algorithm}  ${step.state}  ${whenOf(step)}`,
      `    ${visible(step.text)}`,
    ]);
}

/** One check a key: `rotate.next`. */
export const dueChecks = (all: readonly Due[]): readonly Check[] =>
  all.map(step => ({
    id: 'rotate.next',
    title: `${step.selector}._domainkey.${step.domain}`,
    status: step.level === 'alarm' ? 'fail' : step.level === 'warn' ? 'warn' : 'pass',
    evidence: `${step.state}; ${step.notBefore === undefined ? WAITS[step.waitsFor] : `not before ${step.notBefore.toISOString()}`}`,
    cause: '',
    fix: visible(step.text),
  }));

/** The domains of a report, with what the scheduler says comes next. */
export const dueReports = (state: RotationState, all: readonly Due[], now: Date): readonly DomainReport[] => {
  const find = entryFinder(state);
  return all.flatMap(step => {
    const key = find(step);
    if (key === undefined) return [];
    const date = step.notBefore === undefined ? '' : ` Not before ${step.notBefore.toISOString()}.`;
    return [{...domainReportOf(key, now), nextStep: `${visible(step.text)}${date}`}];
  });
};
