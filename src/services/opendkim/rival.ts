/** A second OpenDKIM, beside the one that waxseal serves. */
import {type SocketEndpoint, sameEndpoint} from '../../domain/endpoint.ts';
import {absolute} from '../../domain/paths.ts';
import {milterEndpoint, type Rival, unreadDomains} from '../facts.ts';
import {milters} from '../handed-to.ts';
import {tryReadText} from '../reading.ts';
import type {RivalContext} from '../signer.ts';
import {openDkimDomains, runningOpenDkims} from './domains.ts';
import {openDkimOf} from './facts.ts';
import {OPENDKIM} from './hints.ts';
import {parseSocket} from './socket.ts';

/**
 * Another daemon where OpenDKIM is customary, beside the entry of the known one. Whether it signs nobody can say
 * without sending mail; where nobody listens, the entry is only a remnant, and the plan says so.
 */
export async function secondOpenDkim(context: RivalContext): Promise<Rival | undefined> {
  const {files} = context.ports;
  const own = openDkimOf(context);
  const known = milterEndpoint(own);
  const all = milters(context.entrances);
  if (known === undefined || !all.some(({endpoint}) => sameEndpoint(endpoint, known))) return undefined;
  const former = (own?.formerSockets ?? []).flatMap(socket => parseSocket(socket) ?? []);
  for (const {endpoint, evidence} of all) {
    if (endpoint === undefined || [known, ...former].some(each => sameEndpoint(each, endpoint))) continue;
    if (!isCustomary(endpoint) || !(await isListening(context, endpoint))) continue;
    const configs = await runningOpenDkims(files, own?.configFile ?? absolute('/etc/opendkim.conf'));
    return {
      ...{kind: 'opendkim', program: OPENDKIM.program},
      evidence: `${evidence}, where another program listens`,
      signs: 'perhaps',
      // Of several running ones nobody can tell which one listens there.
      domains:
        configs.length === 1
          ? await openDkimDomains(files, 'that OpenDKIM', configs)
          : unreadDomains('the configuration of that OpenDKIM'),
    };
  }
  return undefined;
}

const isCustomary = (endpoint: SocketEndpoint): boolean =>
  endpoint.kind === 'unix'
    ? /\/opendkim\.sock$/.test(endpoint.path)
    : endpoint.port === 8891 && /^(127\.0\.0\.1|::1|localhost)$/.test(endpoint.host);

/** Without connecting: what the kernel lists as listening (proc_pid_net(5), state 0A), or a socket that is there. */
async function isListening({ports}: RivalContext, endpoint: SocketEndpoint): Promise<boolean> {
  if (endpoint.kind === 'unix')
    return (await ports.files.stat(endpoint.path).catch(() => undefined))?.kind === 'socket';
  const port = endpoint.port.toString(16).toUpperCase().padStart(4, '0');
  // proc(5): slot, local address, remote address, state; 0A is "listening".
  const isListed = (line: string): boolean => {
    const [, local, remote, state] = line.trim().split(/ +/);
    return local?.endsWith(`:${port}`) === true && remote?.endsWith(':0000') === true && state === '0A';
  };
  const tables = ['/proc/net/tcp', '/proc/net/tcp6'].map(path => tryReadText(ports.files, absolute(path)));
  return (await Promise.all(tables)).some(text => text?.split('\n').some(isListed));
}
