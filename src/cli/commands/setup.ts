import type {ExitCode} from '../../domain/errors.ts';
import {createOperations} from '../../jobs/setup/operations.ts';
import {type Context, resolversOf} from '../context.ts';
import {domainTexts, runFlow} from '../session.ts';

/** `waxseal setup`, and `waxseal` alone: the main job, from the first look to the live test. */
export async function setup(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  const resolvers = resolversOf(context.flags);
  const list = await domainTexts(context);
  const {texts} = list;
  const flags = texts.length === 0 ? context.flags : {...context.flags, domain: texts};
  const operations = createOperations(ports, {
    resolvers,
    namedFiles: await context.namedFiles(),
    environment: context.outside.environment,
  });
  return await runFlow(context, {operations, clock: ports.clock, sandbox: false, list}, flags);
}
