/** What was proven is what is applied: the two are compared by hash before anything is touched. */
import {createHash} from 'node:crypto';
import {fail, ok, problem, type Result} from '../domain/result.ts';
import type {Plan} from '../plan/plan.ts';
import {type FileStep, octetsOfText} from '../services/step.ts';
import type {ProvenFile} from '../services/trial.ts';
import type {Ports} from '../system/ports.ts';

const sha256Of = (octets: Uint8Array): string => createHash('sha256').update(octets).digest('hex');

/**
 * Whether every file will be, once the plan is carried out, what it was when the configuration was proven: those that the
 * plan writes, and those that it leaves alone and that are on the host. Problems: `plan.unproven` where the plan would
 * write something else, `plan.stale` where the host has other content now.
 */
export async function asProven(
  ports: Pick<Ports, 'files'>,
  plan: Plan,
  proven: readonly ProvenFile[],
): Promise<Result<true>> {
  const written = new Map(
    plan.steps.flatMap(step => (step.kind === 'file' ? [[step.path as string, step] as const] : [])),
  );
  for (const {path, sha256} of proven) {
    const step = written.get(path);
    const content = step === undefined ? undefined : textOf(step);
    if (content !== undefined && sha256Of(content) !== sha256) {
      return fail(
        problem(
          'plan.unproven',
          `The plan would write another ${path} than the one that was tested.`,
          'Nothing on this host has changed. This is a bug in waxseal: report it with this line.',
        ),
      );
    }
    if (content === undefined && sha256Of((await ports.files.read(path)) ?? new Uint8Array(0)) !== sha256) {
      return fail(
        problem(
          'plan.stale',
          `${path} has changed since the new configuration was tested.`,
          'Nothing on this host has changed. Run waxseal again: it makes a new plan.',
        ),
      );
    }
  }
  return ok(true);
}

const textOf = ({after}: FileStep): Uint8Array | undefined =>
  after.content.from === 'text' ? octetsOfText(after.content) : undefined;
