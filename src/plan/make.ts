import {UsageError} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import {isFinal, type Step} from '../services/step.ts';
import type {Clock, Random} from '../system/ports.ts';
import type {Plan, RunId} from './plan.ts';

const RUN_ID = /^\d{8}T\d{6}Z-[0-9a-f]{4}$/;

export const isRunId = (text: string): text is RunId => RUN_ID.test(text);

/** `20261121T101500Z-3f9a`: the time, so that runs sort, and four random digits against two in one second. */
export function newRunId(clock: Pick<Clock, 'now'>, random: Random): RunId {
  const time = clock.now().toISOString().replace(/[-:]/g, '').replace(/\.\d+/, '');
  return `${time}-${Buffer.from(random.bytes(2)).toString('hex')}` as RunId;
}

/**
 * Puts the steps of services together to a plan. Throws UsageError where two steps want the same file: their order
 * would decide silently which one wins.
 */
export function makePlan(wanted: {
  readonly purpose: Plan['purpose'];
  readonly title: string;
  readonly domains: Plan['domains'];
  readonly steps: readonly Step[];
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
}): Plan {
  const seen = new Set<string>();
  for (const step of wanted.steps) {
    for (const mark of [`id ${step.id}`, ...('path' in step ? [`path ${step.path}`] : [])]) {
      if (seen.has(mark)) {
        throw new UsageError(
          problem(
            'plan.twice',
            `The plan has the ${mark} twice.`,
            'This is a fault in waxseal; please report it.',
          ),
        );
      }
      seen.add(mark);
    }
  }
  const final = wanted.steps.findIndex(isFinal);
  if (final >= 0 && !wanted.steps.slice(final).every(isFinal)) {
    throw new UsageError(
      problem(
        'plan.order',
        'The plan goes on after a step that cannot be taken back.',
        'This is a fault in waxseal; please report it.',
      ),
    );
  }
  return {
    version: 1,
    id: newRunId(wanted.clock, wanted.random),
    purpose: wanted.purpose,
    madeAt: wanted.clock.now().toISOString(),
    title: wanted.title,
    domains: wanted.domains,
    steps: wanted.steps,
  };
}
