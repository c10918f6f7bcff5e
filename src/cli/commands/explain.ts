import {type ExitCode, UsageError} from '../../domain/errors.ts';
import {parseDomain} from '../../domain/names.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {probeMilter} from '../../milter/client.ts';
import {composeProof, proofToken} from '../../proof/message.ts';
import {isSet, textOf} from '../arguments.ts';
import type {Context} from '../context.ts';
import {tell} from '../print.ts';
import {proving} from '../proving.ts';

/** `waxseal explain FROM [--client IP] [--authenticated]`: asks the running signer, without sending anything. */
export async function explain(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  const [from, ...more] = context.operands;
  const domain = from === undefined ? undefined : parseDomain(from.slice(from.lastIndexOf('@') + 1));
  if (from === undefined || more.length > 0 || domain === undefined) {
    throw new UsageError(problem('usage.operand', 'Give one address.', 'waxseal explain alice@example.org'));
  }
  if (!domain.ok) throw new UsageError(domain.problem);
  const {endpoint} = await proving(context, ports);
  const token = proofToken(ports.random);
  const mail = composeProof(token, domain.value, ports.clock.now());
  const client = textOf(context.flags, 'client') ?? '127.0.0.1';
  const outcome = await probeMilter(ports, endpoint, {
    client: {
      host: client === '127.0.0.1' ? 'localhost' : `[${client}]`,
      address: client,
      port: 40_000,
      ...(isSet(context.flags, 'authenticated') ? {authType: 'PLAIN'} : {}),
    },
    helo: 'localhost',
    serverName: domain.value,
    queueId: token.toUpperCase(),
    from,
    recipients: [mail.recipient],
    headers: mail.headers.map(field =>
      field.name.toLowerCase() === 'from' ? {...field, value: `<${from}>`} : field,
    ),
    body: mail.body,
  });
  const field =
    outcome.ended === 'answered' ? outcome.added.find(({name}) => /^dkim-signature$/i.test(name)) : undefined;
  const tag = (name: string): string =>
    visible(new RegExp(`\\b${name}=([^;\\s]+)`).exec(field?.value ?? '')?.[1] ?? '?');
  const signed = field !== undefined;
  const evidence = signed
    ? `signed by selector ${tag('s')} for ${tag('d')}`
    : outcome.ended === 'answered'
      ? 'not signed'
      : visible(outcome.detail);
  const reasons = await ports.commands.run([
    'journalctl',
    '-t',
    'opendkim',
    '-n',
    '20',
    '-o',
    'cat',
    '--no-pager',
  ]);
  const why = reasons.stdout
    .split('\n')
    .filter(line => line.includes(token.toUpperCase()))
    .map(line => visible(line));
  const check = {
    id: 'explain.signed',
    title: `Mail from ${visible(from)} by ${client}`,
    status: signed ? ('pass' as const) : ('fail' as const),
    evidence,
    cause: signed
      ? ''
      : why.join(' ') || 'The signer gave no reason; set LogWhy yes in opendkim.conf to learn it.',
    fix: signed
      ? ''
      : 'The client must be in InternalHosts or log in, and SigningTable must have a row for the address.',
  };
  return await tell(context, {exitCode: signed ? 0 : 4, checks: [check]}, [
    `${check.title}: ${evidence}`,
    ...(signed ? [] : [`cause: ${check.cause}`, `fix: ${check.fix}`]),
  ]);
}
