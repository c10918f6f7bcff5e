/** Whom Postfix lets in at a port, and whom it takes for whom (SMTPD_ACCESS_README, XCLIENT_README). Pure. */
import {addressOctets, isInNetwork, parseNetwork} from '../../../dns/address.ts';
import type {Decision} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import type {Believed, Entrance, OwnClients, Submitter} from '../../mta.ts';
import {tokens, words} from '../parse.ts';
import {RESTRICTIONS} from './login.ts';
import {isLoopback} from './rows.ts';
import {decision, stated} from './says.ts';
import type {ReadConfiguration, Row, ServiceSettings, Setting} from './settings.ts';
import {type TableWord, tableWords} from './tables.ts';

export type Applies = 'yes' | 'no' | 'depends';

type Clients = Pick<Entrance, 'refuses' | 'own' | 'believes' | 'isLocal'>;

/** @param front what hands connections on to the service */
export function smtpClients(read: ReadConfiguration, row: Row, front: Row | undefined): Clients {
  const settings = read.of(row);
  return {
    refuses: by => restricted(settings, by),
    own: ownClients(settings),
    believes: address => believedBy(settings, front === undefined ? undefined : read.of(front), address),
    ...(isLoopback(read, front ?? row) ? {isLocal: true} : {}),
  };
}

/** Nobody but the clients in qmqpd_authorized_clients (qmqpd(8)). */
export function qmqpClients(read: ReadConfiguration, row: Row): Clients {
  const settings = read.of(row);
  const allowed = settings.get('qmqpd_authorized_clients');
  return {
    refuses: ({address}) =>
      inNetworks(settings, allowed.name, address) === 'no'
        ? decision(allowed, `${stated(allowed)}, so ${visible(address)} may not send by QMQP.`)
        : undefined,
    ...(isLoopback(read, row) ? {isLocal: true} : {}),
  };
}

function ownClients(settings: ServiceSettings): OwnClients {
  const networks = settings.get('mynetworks');
  return {
    clients: words(networks.value).map(word => visible(word)),
    covers: address =>
      (({yes: true, no: false, depends: 'unknown'}) as const)[inNetworks(settings, networks.name, address)],
    decision: decision(networks, `${stated(networks)}.`),
  };
}

/** A list that ends with a plain `reject` or `defer` before anything lets this client pass. */
function restricted(settings: ServiceSettings, by: Submitter): Decision | undefined {
  for (const name of RESTRICTIONS) {
    const setting = settings.get(name);
    const end = ends(
      settings,
      tokens(setting.value).map(({text}) => text),
      by,
    );
    if (end === 'refused')
      return decision(setting, `${stated(setting)}, which lets in no mail of ${visible(by.address)}.`);
  }
  return undefined;
}

function ends(
  settings: ServiceSettings,
  restrictions: readonly string[],
  {address, authenticated}: Submitter,
): 'refused' | 'open' {
  let isWarning = false;
  for (const word of restrictions) {
    const wasWarning = isWarning;
    isWarning = word === 'warn_if_reject';
    if (isWarning || (wasWarning && /^(?:reject|defer)/.test(word))) continue;
    if (word === 'reject' || word === 'defer') return 'refused';
    if (word === 'permit_sasl_authenticated' && !authenticated) continue;
    if (word === 'permit_mynetworks' && inNetworks(settings, 'mynetworks', address) === 'no') continue;
    // What depends on the message or on DNS may refuse it, and need not.
    if (/^(?:reject_|defer_)/.test(word)) continue;
    return 'open';
  }
  return 'open';
}

/** The tables of `check_client_access` and the like, with the list of restrictions that names each. */
export const accessTables = (
  settings: ServiceSettings,
): readonly {readonly setting: Setting; readonly word: TableWord}[] =>
  RESTRICTIONS.flatMap(name => {
    const setting = settings.get(name);
    const found = tokens(setting.value).map(({text}) => text);
    return found.flatMap((text, at) =>
      /^check_[a-z_]+_access$/.test(found[at - 1] ?? '')
        ? tableWords(text).map(word => ({setting, word}))
        : [],
    );
  });

/** XCLIENT tells an address and a login (XCLIENT_README), the PROXY protocol an address. */
function believedBy(
  settings: ServiceSettings,
  front: ServiceSettings | undefined,
  address: string,
): Believed | undefined {
  const proxy =
    front === undefined
      ? settings.get('smtpd_upstream_proxy_protocol')
      : front.get('postscreen_upstream_proxy_protocol');
  if (proxy.value.trim() !== '') {
    const says = `${stated(proxy)}: whoever connects tells which client it is.`;
    return {decision: decision(proxy, says), asLoggedIn: false, isForProxy: true};
  }
  const hosts = settings.get('smtpd_authorized_xclient_hosts');
  if (inNetworks(settings, hosts.name, address) !== 'yes') return undefined;
  const says = `${stated(hosts)}, so ${visible(address)} may say that it is another client, or logged in.`;
  return {decision: decision(hosts, says), asLoggedIn: true, isForProxy: false};
}

/** Whether a list of networks has an address; the first word that does decides (match_list(3)). */
export function inNetworks(settings: ServiceSettings, name: string, address: string): Applies {
  const octets = addressOctets(address);
  let answer: Applies = 'no';
  for (const word of words(settings.value(name))) {
    const text = word.replace(/^!+/, '');
    const isIn = (word.length - text.length) % 2 === 0;
    const network = parseNetwork(text);
    const isEverything = text.startsWith('static:');
    if (network === undefined && !isEverything) answer = 'depends';
    else if (
      isEverything ||
      (octets !== undefined && network !== undefined && isInNetwork(octets, network.octets, network.bits))
    )
      return isIn ? 'yes' : answer;
  }
  return answer;
}
