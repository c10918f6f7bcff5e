import {explainSigning} from '../../doctor/explain.ts';
import {checkNotes} from '../../doctor/notes.ts';
import {type ExitCode, UsageError} from '../../domain/errors.ts';
import {parseDomain} from '../../domain/names.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {isSet, textOf} from '../arguments.ts';
import {type Context, mustBeRoot} from '../context.ts';
import {checkLines, tell} from '../print.ts';
import {proving} from '../proving.ts';

/** `waxseal explain FROM [--client IP] [--authenticated]`: asks the running signer, without sending anything. */
export async function explain(context: Context): Promise<ExitCode> {
  const question = questionOf(context);
  const ports = await context.ports();
  mustBeRoot(ports, 'Only root may ask the signer and read its log.');
  const {facts, endpoint} = await proving(context, ports);
  const {signer: opendkim} = facts;
  if (opendkim === undefined) throw new TypeError('proved without a signer');
  const check = await explainSigning(ports, {endpoint, opendkim}, question, context.signal);
  const exitCode: ExitCode = check.status === 'pass' ? 0 : 4;
  const checks = [check, ...(await checkNotes(ports, 'warn'))];
  return await tell(context, {exitCode, checks}, checks.flatMap(checkLines));
}

function questionOf(context: Context): Parameters<typeof explainSigning>[2] {
  const [from] = context.operands;
  if (from === undefined) {
    throw new UsageError(
      problem('usage.operand', 'The address is missing.', 'waxseal explain alice@example.org'),
    );
  }
  const address = /^([^\s<>@]+)@([^\s<>@]+)$/.exec(from);
  if (address === null) {
    throw new UsageError(
      problem(
        'usage.operand',
        `"${visible(from)}" is not a mail address.`,
        'waxseal explain alice@example.org',
      ),
    );
  }
  const domain = parseDomain(address[2] ?? '');
  if (!domain.ok) throw new UsageError(domain.problem);
  const client = textOf(context.flags, 'client') ?? '127.0.0.1';
  if (!isAddress(client)) {
    throw new UsageError(
      problem(
        'usage.client',
        `"${visible(client)}" is not an IP address.`,
        'Write it as --client 192.0.2.1 or --client 2001:db8::1.',
      ),
    );
  }
  return {
    from: `${address[1]}@${domain.value}`,
    domain: domain.value,
    client,
    authenticated: isSet(context.flags, 'authenticated'),
  };
}

/** IPv4 in dotted form, or IPv6 as a URL would take it. */
function isAddress(text: string): boolean {
  const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (octets !== null) return octets.slice(1).every(octet => Number(octet) <= 255);
  return /^[0-9a-f:.]+$/i.test(text) && text.includes(':') && URL.canParse(`http://[${text}]/`);
}
