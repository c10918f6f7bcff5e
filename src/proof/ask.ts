/** What a running signer does with the mail of one sender: it is asked on its socket; nothing is sent. */
import {visible} from '../domain/text.ts';
import {probeMilter} from '../milter/client.ts';
import type {Ports, SocketEndpoint} from '../system/ports.ts';
import {composeProof, proofToken} from './message.ts';
import {asInternalClient, PATIENT} from './milter-probe.ts';

type AskPorts = Pick<Ports, 'sockets' | 'clock' | 'random'>;

export interface Signature {
  /** d= and s=, lower case. */
  readonly domain: string;
  readonly selector: string;
  /** a=, lower case; undefined where it is not there. */
  readonly algorithm: string | undefined;
}

/** What the signer did with the mail of one sender. */
export type Mark =
  | {readonly state: 'signed'; readonly by: readonly Signature[]}
  | {readonly state: 'unsigned'}
  /** It refuses or defers the mail, or does not answer. */
  | {readonly state: 'broken'; readonly why: string};

export interface AskedSender {
  readonly address: string;
  /** Sender of the envelope, '' for a bounce. Default: that of From. */
  readonly envelope?: string;
  /** Default: a program of this host. */
  readonly client?: {readonly name: string; readonly address: string};
  /** Macros that tell of the client, by name as they are sent. */
  readonly macros?: ReadonlyMap<string, string>;
}

/** One conversation. `isSilent`: the next one would take minutes, too. Rejects only with the reason of an abort. */
export async function askSigner(
  ports: AskPorts,
  endpoint: SocketEndpoint,
  {address, envelope, client, macros}: AskedSender,
  signal?: AbortSignal,
): Promise<{readonly mark: Mark; readonly isSilent: boolean}> {
  const domain = address.slice(address.lastIndexOf('@') + 1);
  const mail = composeProof(proofToken(ports.random), domain, ports.clock.now(), address);
  const internal = asInternalClient(mail, domain);
  const daemon = macros?.get('{daemon_name}');
  const method = macros?.get('{auth_type}');
  const login = macros?.get('{auth_authen}');
  const message = {
    ...internal,
    ...(envelope === undefined ? {} : {from: envelope}),
    client: {
      ...(client === undefined
        ? internal.client
        : {host: client.name, address: client.address, port: 40_000}),
      ...(method === undefined ? {} : {authType: method}),
      ...(login === undefined ? {} : {login}),
    },
    ...(daemon === undefined ? {} : {macros: {'{daemon_name}': daemon}}),
  };
  const outcome = await probeMilter(ports, endpoint, message, {
    ...PATIENT,
    ...(signal === undefined ? {} : {signal}),
  });
  if (outcome.ended !== 'answered') {
    return {
      mark: {state: 'broken', why: outcome.detail},
      isSilent: outcome.ended === 'unreachable' || outcome.cause === 'timeout',
    };
  }
  const {reply} = outcome;
  if (reply.verdict !== 'accept') {
    const why = reply.verdict === 'reply' ? `${reply.code} ${visible(reply.text)}` : reply.verdict;
    return {mark: {state: 'broken', why}, isSilent: false};
  }
  const by = outcome.added.flatMap(header =>
    header.name.toLowerCase() === 'dkim-signature' ? signatureOf(header.value) : [],
  );
  return {mark: by.length === 0 ? {state: 'unsigned'} : {state: 'signed', by}, isSilent: false};
}

function signatureOf(field: string): readonly Signature[] {
  const tags = new Map(
    field.split(';').map(tag => {
      const at = tag.indexOf('=');
      return [
        tag.slice(0, at).trim(),
        tag
          .slice(at + 1)
          .replaceAll(/\s+/g, '')
          .toLowerCase(),
      ];
    }),
  );
  const [domain, selector] = [tags.get('d'), tags.get('s')];
  return domain === undefined || selector === undefined ? [] : [{domain, selector, algorithm: tags.get('a')}];
}
