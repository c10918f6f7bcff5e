/** Who hands in mail at the entrances of a host: its own programs, people who log in, and strangers. */
import type {Entrance} from '../services/mta.ts';
import type {Client} from './would-sign.ts';
import {LOCALHOST} from './would-sign.ts';

/** One way on which mail of this host's own domains comes in. */
export interface OwnWay {
  readonly entrance: Entrance;
  readonly client: Client;
  readonly authenticated: boolean;
  /** For a sentence: `mail from programs (sendmail)`, `mail from logged-in clients on port 587`. */
  readonly text: string;
}

/** An address for documentation (RFC 5737 §3): no host of any network. */
const SOMEWHERE: Client = {name: 'client.invalid', address: '198.51.100.77'};

/**
 * Ways that must sign. What only the MTA itself makes (bounces, forwards) and ways back of a filter, which belong to the
 * entrance before the filter, are none.
 */
export function ownWays(entrances: readonly Entrance[]): readonly OwnWay[] {
  return entrances.flatMap(waysOf).filter(({entrance, client: {address}, authenticated}) => {
    // What is not let in, is not meant to come this way.
    return entrance.refuses?.({address, authenticated}) === undefined;
  });
}

function waysOf(entrance: Entrance): readonly OwnWay[] {
  const {kind, login} = entrance;
  const local: OwnWay = {
    ...{entrance, client: LOCALHOST, authenticated: false},
    text: kind === 'smtp' ? `mail from this host ${portText(entrance)}` : entranceText(entrance),
  };
  const loggedIn: OwnWay = {
    ...{entrance, client: SOMEWHERE, authenticated: true},
    text: `mail from logged-in clients ${portText(entrance)}`,
  };
  switch (kind) {
    case 'local':
    case 'qmqp':
      return [local];
    case 'smtp':
    case 'postscreen':
      return login === 'no' ? [local] : login === 'must' ? [loggedIn] : [local, loggedIn];
    case 'submission':
    case 'submissions':
      return [login === 'no' ? local : loggedIn];
    default:
      return [];
  }
}

const portText = ({listensOn, id}: Entrance): string =>
  listensOn === '' ? `(${id})` : /^\d+$/.test(listensOn) ? `on port ${listensOn}` : `at ${listensOn}`;

const NAMES: Partial<Record<Entrance['kind'], string>> = {
  local: 'mail from programs (sendmail)',
  qmqp: 'mail by QMQP',
  bounce: 'bounces',
  notice: 'notices to the postmaster',
  forward: 'forwarded mail',
  pipe: 'mail from lists and filters (sendmail)',
  'way-back': 'mail that comes back from a filter',
};

/** An entrance in the user's words. */
export const entranceText = (entrance: Entrance): string => {
  const name = NAMES[entrance.kind];
  const where = entrance.instance === '' ? '' : ` of the instance ${entrance.instance}`;
  return `${name ?? `mail ${portText(entrance)}`}${where}`;
};

/** True where hosts elsewhere can connect: not for a port of the loopback address, nor a socket. */
export const isPublic = ({kind, listensOn, isLocal}: Entrance): boolean =>
  isLocal !== true &&
  ['smtp', 'postscreen', 'submission', 'submissions', 'way-back', 'qmqp'].includes(kind) &&
  listensOn !== '' &&
  !/^(?:127\.|localhost\b|\[?::1\b|\/|unix:)/.test(listensOn);
