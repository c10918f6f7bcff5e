import type {ExitCode} from '../../domain/errors.ts';
import {displayDomain} from '../../domain/names.ts';
import {isSet} from '../arguments.ts';
import type {Context} from '../context.ts';
import {tell} from '../print.ts';
import {chosen, domainReportOf, stateOf} from '../state-report.ts';

/** `waxseal status`: every domain, its key, the state and the next step. Loads no view. */
export async function status(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  const now = ports.clock.now();
  const keys = chosen(context, await stateOf(ports)).filter(({state}) => state !== 'removed');
  const domains = keys.map(key => domainReportOf(key, now));
  const lines = keys.flatMap((key, index) => [
    `${displayDomain(key.domain)}  ${key.selector}  ${key.algorithm} ${key.bits}  ${key.state}`,
    `    ${domains[index]?.nextStep ?? ''}`,
    ...(isSet(context.flags, 'verbose')
      ? key.log.map(({at, from, to, evidence}) => `    ${at}  ${from} -> ${to}  ${evidence.kind}`)
      : []),
  ]);
  return await tell(
    context,
    {exitCode: 0, domains},
    lines.length === 0 ? ['No keys yet. Begin with: waxseal setup'] : lines,
  );
}
