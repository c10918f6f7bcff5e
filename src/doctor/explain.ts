/** Whether mail from an address would be signed, and why or why not: the running signer is asked; nothing is sent. */

import type {DomainName} from '../domain/names.ts';
import {parseAbsolutePath} from '../domain/paths.ts';
import {matchesWildcard} from '../domain/scan.ts';
import {visible} from '../domain/text.ts';
import {type ProbeOutcome, probeMilter} from '../milter/client.ts';
import {composeProof, proofToken} from '../proof/message.ts';
import {endpointText} from '../proof/milter-probe.ts';
import type {Check} from '../proof/proof.ts';
import type {OpenDkimFacts} from '../services/opendkim/facts.ts';
import {parseDataSet} from '../services/opendkim/parse.ts';
import {labelOf, parseListTable, parseTable, type TableRow} from '../services/opendkim/tables.ts';
import type {Ports, SocketEndpoint} from '../system/ports.ts';

export interface Question {
  /** Address as it stands in the From field. */
  readonly from: string;
  readonly domain: DomainName;
  /** IP address of the client that hands the mail in. */
  readonly client: string;
  readonly authenticated: boolean;
}

type ExplainPorts = Pick<Ports, 'sockets' | 'clock' | 'random' | 'commands' | 'files'>;

/** One check `explain.signed`: by which row and with which key, or the signer's own reason. */
export async function explainSigning(
  ports: ExplainPorts,
  host: {readonly endpoint: SocketEndpoint; readonly opendkim: OpenDkimFacts},
  question: Question,
  signal: AbortSignal,
): Promise<Check> {
  const token = proofToken(ports.random);
  const since = ports.clock.now();
  const outcome = await ask(ports, host.endpoint, question, token, signal);
  const how = question.authenticated ? ', logged in' : '';
  const title = `Mail from ${visible(question.from)} by ${visible(question.client)}${how}`;
  const of = (status: Check['status'], evidence: string, cause = '', fix = ''): Check => ({
    ...{id: 'explain.signed', title, status},
    ...{evidence: visible(evidence), cause: visible(cause), fix},
  });
  if (outcome.ended !== 'answered') {
    const where = endpointText(host.endpoint);
    return of(
      'fail',
      `${where}: ${outcome.detail}`,
      'The signer cannot be asked.',
      'systemctl status opendkim',
    );
  }
  const field = outcome.added.find(({name}) => /^dkim-signature$/i.test(name));
  if (field !== undefined) return of('pass', await signedBy(ports, host.opendkim, question, field.value));
  const reasons = await reasonsIn(ports, token, since);
  const {reply} = outcome;
  if (reply.verdict !== 'accept') {
    return of(
      'fail',
      `refused: ${reply.verdict === 'reply' ? `${reply.code} ${reply.text}` : reply.verdict}`,
      reasons || 'The signer gave no reason.',
      'The key cannot be used. The line of the signer names it; waxseal check tells more.',
    );
  }
  return of(
    'fail',
    'not signed',
    reasons || 'The signer gave no reason. With LogWhy yes in opendkim.conf it gives one.',
    'The client must be in InternalHosts or log in, and SigningTable must have a row for the address.',
  );
}

const ask = (
  ports: ExplainPorts,
  endpoint: SocketEndpoint,
  {from, domain, client, authenticated}: Question,
  token: string,
  signal: AbortSignal,
): Promise<ProbeOutcome> => {
  const mail = composeProof(token, domain, ports.clock.now());
  const isLocal = client === '127.0.0.1' || client === '::1';
  return probeMilter(
    ports,
    endpoint,
    {
      client: {
        host: isLocal ? 'localhost' : `[${client}]`,
        address: client,
        port: 40_000,
        ...(authenticated ? {authType: 'PLAIN'} : {}),
      },
      helo: 'localhost',
      serverName: domain,
      queueId: token.toUpperCase(),
      from,
      recipients: [mail.recipient],
      headers: mail.headers.map(field =>
        field.name.toLowerCase() === 'from' ? {...field, value: `<${from}>`} : field,
      ),
      body: mail.body,
    },
    {signal},
  );
};

/** The domain that signed, from the evidence of a check `explain.signed` that passed. */
export const signerIn = (evidence: string): string | undefined =>
  /^signed by selector \S+ for ([^,\s]+)/.exec(evidence)?.[1];

async function signedBy(
  ports: Pick<Ports, 'files'>,
  opendkim: OpenDkimFacts,
  {from}: Question,
  field: string,
): Promise<string> {
  const tags = field.split(/[;\s]+/);
  const tag = (name: string): string =>
    tags.find(each => each.startsWith(`${name}=`))?.slice(name.length + 1) || '?';
  const key = opendkim.keys.find(
    ({domain, selector}) => domain.toLowerCase() === tag('d') && selector === tag('s'),
  );
  const rows = await signingRows(ports, opendkim.settings['signingtable']);
  const row = rows.find(each => labelOf(each.value) === key?.label && covers(each.key, from));
  return [
    `signed by selector ${tag('s')} for ${tag('d')}`,
    ...(row === undefined ? [] : [`by the row "${row.key}" of the signing table`]),
    ...(key === undefined || key.path === '' ? [] : [`with the key ${key.path}`]),
  ].join(', ');
}

async function signingRows(
  ports: Pick<Ports, 'files'>,
  value: string | undefined,
): Promise<readonly TableRow[]> {
  const set = parseDataSet(value ?? '');
  if (set.kind === 'list') return parseListTable(set.entries);
  const path = set.kind === 'unsupported' ? undefined : parseAbsolutePath(set.path);
  const content = path?.ok === true ? await ports.files.read(path.value) : undefined;
  return parseTable(new TextDecoder().decode(content));
}

/**
 * Patterns as the signing table has them: `*@domain`, a whole address, `domain`, `.domain`
 * (daemons/opendkim.md#tables).
 */
function covers(pattern: string, from: string): boolean {
  const address = from.toLowerCase();
  const host = address.slice(address.lastIndexOf('@') + 1);
  const wanted = pattern.toLowerCase();
  if (wanted.includes('*')) return matchesWildcard(wanted, address);
  return wanted === address || wanted === host || (wanted.startsWith('.') && host.endsWith(wanted));
}

/** What the signer logged about this message, its queue id left out; '' where it said nothing. */
async function reasonsIn(ports: Pick<Ports, 'commands'>, token: string, since: Date): Promise<string> {
  const from = `@${Math.floor(since.getTime() / 1000)}`;
  const {stdout} = await ports.commands.run([
    'journalctl',
    '-t',
    'opendkim',
    '--since',
    from,
    '-o',
    'cat',
    '--no-pager',
  ]);
  const id = `${token.toUpperCase()}: `;
  return stdout
    .split('\n')
    .filter(line => line.includes(id))
    .map(line => line.slice(line.indexOf(id) + id.length).trim())
    .join('; ');
}
