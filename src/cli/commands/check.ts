import {checkHost, checkSigners} from '../../doctor/host.ts';
import {checkRecord} from '../../doctor/records.ts';
import type {ExitCode} from '../../domain/errors.ts';
import {proveMilter} from '../../proof/milter-probe.ts';
import type {Check} from '../../proof/proof.ts';
import {lookAtHost} from '../../services/look.ts';
import {type Context, resolversOf} from '../context.ts';
import {checkLines, tell} from '../print.ts';
import {proving} from '../proving.ts';
import {chosen, stateOf} from '../state-report.ts';

/** `waxseal check`: host, records and signer; exit 4 where a check failed. Changes nothing, sends nothing. */
export async function check(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  const facts = await lookAtHost(ports);
  const checks: Check[] = [...checkHost(facts), ...checkSigners(facts)];
  if (facts.blockers.length === 0) {
    const given = resolversOf(context.flags);
    const resolvers = given.length === 0 ? undefined : given;
    const keys = chosen(context, await stateOf(ports)).filter(
      ({state}) => state === 'active' || state === 'retiring' || state === 'ready',
    );
    for (const key of keys) checks.push(await checkRecord(ports, key, {resolvers}));
    if (facts.opendkim !== undefined && facts.opendkim.signedDomains.length > 0) {
      const {endpoint, domains, lookup} = await proving(context, ports);
      for (const each of domains) checks.push(await proveMilter(ports, {...each, endpoint, lookup}));
    }
  }
  const failed = checks.filter(({status}) => status === 'fail').length;
  const exitCode: ExitCode = failed > 0 ? 4 : 0;
  return await tell(context, {exitCode, checks}, [
    ...checks.flatMap(checkLines),
    '',
    failed === 0 ? 'No problem found.' : `${failed} of ${checks.length} checks failed.`,
  ]);
}
