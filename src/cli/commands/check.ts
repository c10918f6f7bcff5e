import {checkExposure} from '../../doctor/exposure.ts';
import {checkHost, checkSigners} from '../../doctor/host.ts';
import {checkActiveKeys} from '../../doctor/keys.ts';
import {checkNotes} from '../../doctor/notes.ts';
import {MOST_POLICIES, policiesOf, policyChecks} from '../../doctor/policies.ts';
import {checkRecord} from '../../doctor/records.ts';
import {sendingFacts} from '../../doctor/sending.ts';
import {type ExitCode, ProblemsFound} from '../../domain/errors.ts';
import {parseDomain} from '../../domain/names.ts';
import {proveMilter} from '../../jobs/live-test.ts';
import type {Check} from '../../proof/proof.ts';
import {loadState} from '../../rotation/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import {lookAtHost} from '../../services/look.ts';
import type {Ports} from '../../system/ports.ts';
import {isSet} from '../arguments.ts';
import {type Context, mustBeRoot, resolversOf} from '../context.ts';
import {adviceLines, checkLines, tell} from '../print.ts';
import {proving} from '../proving.ts';
import {domainsOf} from '../state-report.ts';

/** `waxseal check`: host, records and signer; exit 4 where a check failed. Changes nothing, sends nothing. */
export async function check(context: Context): Promise<ExitCode> {
  if (isSet(context.flags, 'dns')) return await (await import('./check-dns.ts')).checkDns(context);
  const ports = await context.ports();
  mustBeRoot(ports, 'Only root sees what there is to check.');
  const facts = await lookAtHost(ports, context.signal);
  const checks = [
    ...checkHost(facts),
    ...checkSigners(facts),
    ...(await checkNotes(ports)),
    ...(facts.signer === undefined ? [] : await checkExposure(ports, facts.signer)),
    ...(facts.blockers.length === 0 ? await checkSigning(context, ports, facts) : []),
  ];
  const advice = await checkPolicies(context, ports, facts);
  const failed = checks.filter(({status}) => status === 'fail').length;
  const exitCode: ExitCode = failed > 0 ? 4 : 0;
  return await tell(context, {exitCode, checks, advice}, [
    ...checks.flatMap(checkLines),
    ...adviceLines(advice),
    '',
    failed === 0 ? 'No problem found.' : `${failed} of ${checks.length} checks failed.`,
  ]);
}

async function checkSigning(context: Context, ports: Ports, facts: HostFacts): Promise<readonly Check[]> {
  const {signal} = context;
  const domains = domainsOf(context);
  const state = await loadState(ports.files);
  const all = state.ok ? state.value.keys : [];
  const keys = all.filter(({domain}) => domains === undefined || domains.includes(domain));
  const checks: Check[] = [...checkActiveKeys(keys, facts.signer)];
  const resolvers = resolversOf(context.flags);
  for (const key of keys.filter(({state}) => ['ready', 'active', 'retiring'].includes(state))) {
    checks.push(await checkRecord(ports, key, {resolvers, signal, known: all}));
  }
  const isSigning = (facts.signer?.signedDomains.length ?? 0) > 0;
  if (!isSigning && domains === undefined) return [...checks, signsNothing];
  try {
    const {endpoint, domains: signed, lookup} = await proving(context, ports);
    for (const each of signed) checks.push(await proveMilter(ports, {...each, endpoint, lookup, signal}));
  } catch (error) {
    // What was found before must be told, too.
    if (!(error instanceof ProblemsFound)) throw error;
    checks.push(unproven(error));
  }
  return checks;
}

/** SPF, DMARC, MX and PTR of what is signed here, or of `--domain`: advice, whatever it says. */
async function checkPolicies(context: Context, ports: Ports, facts: HostFacts): Promise<readonly Check[]> {
  const {signal} = context;
  const resolvers = resolversOf(context.flags);
  const signed = (facts.signer?.signedDomains ?? []).flatMap(text => {
    const domain = parseDomain(text);
    return domain.ok ? [domain.value] : [];
  });
  const domains = (domainsOf(context) ?? signed).slice(0, MOST_POLICIES);
  if (domains.length === 0) return [];
  const sending = await sendingFacts(ports, facts, {resolvers, signal});
  const all = await Promise.all(
    domains.map(async domain =>
      policyChecks(domain, await policiesOf(ports, domain, sending, {resolvers, signal}), sending),
    ),
  );
  return all.flat();
}

const unproven = ({id, message, hint}: ProblemsFound): Check => ({
  ...{id, title: 'Mail of this host is signed', status: 'fail'},
  ...{evidence: message, cause: '', fix: hint},
});

const signsNothing: Check = {
  id: 'host.signs-nothing',
  title: 'Mail of this host is signed',
  status: 'warn',
  evidence: 'the signer has no table row for any domain',
  cause: 'DKIM is not set up on this host.',
  fix: 'Begin with: waxseal setup',
};
