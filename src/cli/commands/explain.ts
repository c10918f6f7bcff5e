import {addressOctets} from '../../dns/address.ts';
import {type Explained, stepLines} from '../../doctor/answer.ts';
import {checkNotes} from '../../doctor/notes.ts';
import {addressIn, fieldOf} from '../../domain/author.ts';
import {type ExitCode, HostError, type UsageError} from '../../domain/errors.ts';
import {parseDomain} from '../../domain/names.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {type Client, lookAtHostPicture} from '../../host/index.ts';
import {agreement, type ExplainRequest, explainAll, explainChecks, standFor} from '../../jobs/explain.ts';
import type {Check} from '../../proof/proof.ts';
import type {HostFacts} from '../../services/facts.ts';
import {look} from '../../services/look.ts';
import {isQueueId, queuedMail} from '../../services/registry.ts';
import type {Ports} from '../../system/ports.ts';
import {isSet, listOf, textOf} from '../arguments.ts';
import {type Context, rootPorts} from '../context.ts';
import {checkLines, tell} from '../print.ts';
import {taken, usage} from '../usage.ts';

/**
 * `waxseal explain FROM|QUEUE-ID [--message FILE] [--entrance ID] [--client IP] [--authenticated] [--login NAME]
 * [--envelope ADDRESS] [--to ADDRESS]`: the way of the message through this host, decision by decision. Sends nothing;
 * exit 4 where it would not leave signed.
 */
export async function explain(context: Context): Promise<ExitCode> {
  const {signal} = context;
  const client = clientOf(context);
  const sender = await senderOf(context);
  const ports = await rootPorts(context, 'Only root sees what decides about mail.');
  const host = await look(ports, signal);
  const {facts} = host;
  if (facts.mta === undefined) {
    const [blocker] = facts.blockers;
    throw new HostError(
      blocker ?? problem('host.no-mta', 'There is no mail server on this host.', 'Run it on the mail host.'),
    );
  }
  const message =
    'queueId' in sender ? await queued(ports, facts, sender.queueId) : {recipients: [], ...sender};
  const to = listOf(context.flags, 'to');
  const login = textOf(context.flags, 'login');
  const envelope = textOf(context.flags, 'envelope')?.replace(/^<(.*)>$/, '$1');
  const picture = await lookAtHostPicture(ports, host, {reach: true, signal});
  const explained = taken(
    explainAll(picture, {
      entrance: textOf(context.flags, 'entrance'),
      authenticated: isSet(context.flags, 'authenticated'),
      ...message,
      ...(login === undefined ? {} : {login, authenticated: true}),
      ...(envelope === undefined ? {} : {envelope}),
      client: client ?? message.client,
      recipients: to.length > 0 ? to : message.recipients,
    }),
  );
  const answers = explainChecks(explained);
  const notes = [
    ...(await agreement(ports, explained, await standFor(ports, facts), signal)),
    ...(await checkNotes(ports, 'warn')),
  ];
  const isSigned =
    answers.every(({status}) => status === 'pass') && notes.every(({status}) => status !== 'fail');
  return await tell(context, {exitCode: isSigned ? 0 : 4, checks: [...answers, ...notes]}, [
    ...explained.flatMap((each, at) => answerLines(each, answers[at])),
    ...notes.flatMap(noteLines),
  ]);
}

/** The verdict, then the way to it. */
const answerLines = (
  explained: Explained,
  check: Parameters<typeof checkLines>[0] | undefined,
): readonly string[] => [...(check === undefined ? [] : checkLines(check)), ...stepLines(explained)];

/** That the signer agrees is no verdict of its own. */
const noteLines = (note: Check): readonly string[] =>
  note.status === 'pass' ? [`      ${visible(note.title)}: ${visible(note.evidence)}`] : checkLines(note);

type Asked = Pick<ExplainRequest, 'from' | 'sender'> & {
  readonly client?: Client;
  readonly recipients?: readonly string[];
};

/** A message of the queue, as it came in. */
async function queued(
  ports: Pick<Ports, 'commands'>,
  facts: HostFacts,
  id: string,
): Promise<
  Asked & Pick<ExplainRequest, 'recipients'> & {readonly authenticated: boolean; readonly entrance?: string}
> {
  const mail = await queuedMail(ports, facts, id);
  if (mail === undefined) {
    throw usage(
      'usage.operand',
      `The queue has no message ${visible(id)}.`,
      'Check the id; a message that has left is not in the queue any more.',
    );
  }
  const {client, isLoggedIn, ...message} = mail;
  return {
    ...message,
    authenticated: isLoggedIn,
    ...(client === undefined ? {entrance: 'local'} : {client}),
  };
}

async function senderOf(context: Context): Promise<Asked | {readonly queueId: string}> {
  const [operand] = context.operands;
  const file = textOf(context.flags, 'message');
  if (file !== undefined) return await messageFile(context, file);
  if (operand === undefined) throw operandError('The address is missing.');
  if (isQueueId(operand)) return {queueId: operand};
  const address = /^([^\s<>@]+)@([^\s<>@]+)$/.exec(operand);
  if (address === null) throw operandError(`"${visible(operand)}" is not a mail address.`);
  const domain = taken(parseDomain(address[2] ?? ''));
  return {from: `${address[1]}@${domain}`};
}

async function messageFile(context: Context, file: string): Promise<Asked> {
  const content = await (await context.namedFiles()).read(context.pathOf(file));
  const text = content === undefined ? '' : Buffer.from(content).toString('latin1');
  const from = addressIn(fieldOf(text, 'from') ?? '');
  if (from === undefined) {
    const what =
      content === undefined ? `There is no file ${visible(file)}.` : `${visible(file)} has no From address.`;
    throw usage('usage.message', what, 'Give a message with its header.');
  }
  const sender = addressIn(fieldOf(text, 'sender') ?? '');
  return {from, ...(sender === undefined ? {} : {sender})};
}

const operandError = (message: string): UsageError =>
  usage('usage.operand', message, 'waxseal explain alice@example.org');

function clientOf(context: Context): Client | undefined {
  const client = textOf(context.flags, 'client');
  if (client === undefined) return undefined;
  if (addressOctets(client) === undefined) {
    throw usage(
      'usage.client',
      `"${visible(client)}" is not an IP address.`,
      'Write it as --client 192.0.2.1 or --client 2001:db8::1.',
    );
  }
  const isLocal = client === '127.0.0.1' || client === '::1';
  return {name: isLocal ? 'localhost' : `[${client}]`, address: client};
}
