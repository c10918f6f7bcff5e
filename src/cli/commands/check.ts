import {checkExposure} from '../../doctor/exposure.ts';
import {checkHost, checkSigners} from '../../doctor/host.ts';
import {checkNotes} from '../../doctor/notes.ts';
import {MOST_POLICIES, policiesOf, policyChecks} from '../../doctor/policies.ts';
import {sendingFacts} from '../../doctor/sending.ts';
import type {ExitCode} from '../../domain/errors.ts';
import type {DomainName} from '../../domain/names.ts';
import {counted} from '../../domain/text.ts';
import {checkMail} from '../../jobs/check/mail.ts';
import type {Check} from '../../proof/proof.ts';
import {loadState} from '../../rotation/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import {look} from '../../services/look.ts';
import {SIGNER} from '../../services/registry.ts';
import type {Ports} from '../../system/ports.ts';
import {isSet} from '../arguments.ts';
import {type Context, resolversOf, rootPorts} from '../context.ts';
import {adviceLines, checkLines, tell} from '../print.ts';
import {domainsOf} from '../state-report.ts';

/**
 * `waxseal check`: every domain that the host signs on every way in, its keys and records, and what else is odd; exit 4
 * where something is wrong or could not be told. Changes nothing, sends nothing.
 */
export async function check(context: Context): Promise<ExitCode> {
  if (isSet(context.flags, 'dns')) return await (await import('./check-dns.ts')).checkDns(context);
  const ports = await rootPorts(context, 'Only root sees what there is to check.');
  const {signal} = context;
  const host = await look(ports, signal);
  const {facts} = host;
  const state = await loadState(ports.files);
  const wanted = domainsOf(context);
  const resolvers = resolversOf(context.flags);
  const mail = await checkMail(ports, host, {
    known: state.ok ? state.value.keys : [],
    ...{wanted, resolvers, signal},
  });
  const checks = [
    ...checkHost(facts),
    ...checkSigners(facts),
    ...(await checkNotes(ports)),
    ...(facts.signer === undefined
      ? []
      : await checkExposure(ports, facts.signer, SIGNER.decidingFiles(facts))),
    ...mail.checks,
  ];
  const advice = await checkPolicies(context, ports, facts, wanted ?? mail.signed);
  const exitCode: ExitCode = checks.some(isProblem) ? 4 : 0;
  return await tell(context, {exitCode, checks, advice}, [
    ...checks.flatMap(checkLines),
    ...adviceLines(advice),
    '',
    ending(checks, mail.signed.length),
  ]);
}

/** A warning about signing counts: what could not be told is not called right. */
const isProblem = ({id, status}: Check): boolean =>
  status === 'fail' ||
  (status === 'warn' && (/^mail\.(?!login|row|idle|unproven)/.test(id) || id === 'host.signs-nothing'));

function ending(checks: readonly Check[], signed: number): string {
  const problems = checks.filter(isProblem).length;
  if (problems > 0) return `${counted(problems, 'problem')} in ${counted(checks.length, 'check')}.`;
  const notices = checks.filter(({status}) => status === 'warn').length;
  const isAllKnown = !checks.some(({id, status}) => id === 'mail.unproven' && status === 'warn');
  const also = notices === 0 ? '' : `, ${counted(notices, 'notice')}`;
  const signing = `${counted(signed, 'domain')} ${signed === 1 ? 'is' : 'are'} signing${also}.`;
  return isAllKnown
    ? `${signing} No problem found.`
    : `${signing} Nothing wrong was found, but not all that handles signed mail is known.`;
}

/** SPF, DMARC, MX and PTR of what is signed here, or of `--domain`: advice, whatever it says. */
async function checkPolicies(
  context: Context,
  ports: Ports,
  facts: HostFacts,
  signed: readonly DomainName[],
): Promise<readonly Check[]> {
  const {signal} = context;
  const resolvers = resolversOf(context.flags);
  const domains = signed.slice(0, MOST_POLICIES);
  if (domains.length === 0) return [];
  const sending = await sendingFacts(ports, facts, {resolvers, signal});
  const all = await Promise.all(
    domains.map(async domain =>
      policyChecks(domain, await policiesOf(ports, domain, sending, {resolvers, signal}), sending),
    ),
  );
  return all.flat();
}
