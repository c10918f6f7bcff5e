/** Whether a message comes from a client that OpenDKIM signs for: the beginning of mlfi_eoh, and mlfi_connect. */
import {visible} from '../../../domain/text.ts';
import {lowerCase, type SetRow} from './data-set.ts';
import {matchHost} from './hosts.ts';
import type {NamedSet} from './model.ts';
import type {Trace} from './trace.ts';

export type Origin = 'yes' | 'no' | 'unknown';

/** mlfi_connect. */
export function isPeer(trace: Trace): boolean {
  const peers = trace.set('PeerList');
  if (peers === undefined) return false;
  const {name, address} = trace.asked.client;
  const client = {name: name.startsWith('[') ? '' : lowerCase(name), address};
  const found =
    peers.set === undefined ? {isIn: 'unread' as const, row: undefined} : matchHost(peers.set, client);
  if (found.isIn === 'unread') return unreadHost(trace, peers, found.row) !== 'unknown';
  if (!found.isIn) return false;
  trace.note(peers.setting, `${trace.client()} is in PeerList, so OpenDKIM ignores this mail.`, found.row);
  return true;
}

/** A yes of MTA, MacroList, InternalHosts or the login is enough; but a no of MacroList takes a yes of MTA back. */
export function originOf(trace: Trace): Origin {
  const before = trace.open.length;
  const named = byMta(trace);
  const listed = byMacros(trace) ?? named;
  const found = [listed, listed === 'yes' ? listed : byHost(trace)];
  if (!found.includes('yes')) found.push(byLogin(trace));
  if (found.includes('yes')) {
    // What could not be followed does not matter any more.
    trace.open.length = before;
    return 'yes';
  }
  return found.includes('unknown') ? 'unknown' : 'no';
}

function byMta(trace: Trace): Origin {
  const mtas = trace.set('MTA');
  if (mtas === undefined) return 'no';
  const name = trace.macro('{daemon_name}');
  const row = mtas.set === undefined ? 'unread' : name === undefined ? undefined : mtas.set.first(name);
  if (row === 'unread') return trace.unread(mtas.setting, trace.unreadable(mtas));
  const called = name === undefined ? 'a service without a name' : `the service ${visible(name)}`;
  if (row === undefined) {
    trace.note(mtas.setting, `This mail comes by ${called}, which isn't in MTA.`);
    return 'no';
  }
  trace.note(mtas.setting, `This mail comes by ${called}, which is in MTA: it counts as internal.`, row);
  return 'yes';
}

/** Each macro that has a value is compared, and the last of them decides (mlfi_eoh never sets "done"). */
function byMacros(trace: Trace): Origin | undefined {
  const macros = trace.set('MacroList');
  if (macros === undefined) return undefined;
  if (macros.set === undefined) return trace.unread(macros.setting, trace.unreadable(macros));
  let match: SetRow | undefined;
  let isCompared = false;
  for (const {key} of macros.set.rows) {
    const value = trace.macro(`{${key}}`);
    if (value === undefined) continue;
    isCompared = true;
    match = macros.set.all(key).find((row): row is SetRow => row !== 'unread' && accepts(row, value));
  }
  const says =
    match === undefined
      ? 'No macro has a value of MacroList.'
      : `The macro ${visible(match.key)} has a value of MacroList: this mail counts as internal.`;
  trace.note(macros.setting, says, match);
  return match !== undefined ? 'yes' : isCompared ? 'no' : undefined;
}

function byHost(trace: Trace): Origin {
  const hosts = trace.set('InternalHosts');
  if (hosts === undefined) return 'no';
  const found =
    hosts.set === undefined
      ? {isIn: 'unread' as const, row: undefined}
      : matchHost(hosts.set, trace.asked.client);
  if (found.isIn === 'unread') return unreadHost(trace, hosts, found.row);
  if (found.isIn) {
    trace.note(hosts.setting, `${trace.client()} is in InternalHosts.`, found.row);
    return 'yes';
  }
  if ((trace.macro('{auth_type}') ?? '') !== '') {
    trace.note(hosts.setting, `${trace.client()} isn't in InternalHosts.`, found.row);
    return 'no';
  }
  const only = trace.verifies()
    ? 'so OpenDKIM only verifies this mail'
    : "so OpenDKIM doesn't sign this mail";
  trace.note(
    hosts.setting,
    `${trace.client()} isn't in InternalHosts and isn't logged in, ${only}.`,
    found.row,
  );
  return 'no';
}

function unreadHost(trace: Trace, hosts: NamedSet, row: SetRow | undefined): 'unknown' {
  if (row === undefined) return trace.unread(hosts.setting, trace.unreadable(hosts));
  const at = {...hosts.setting, value: row.key, source: row.source};
  return trace.unread(at, `OpenDKIM may or may not find ${visible(row.key)}. Without the brackets it does.`);
}

function byLogin(trace: Trace): Origin {
  const method = trace.macro('{auth_type}') ?? '';
  if (method === '') return 'no';
  trace.note(
    {name: '{auth_type}', value: method, source: trace.byDefault()},
    'The client is logged in: OpenDKIM signs its mail like that of an internal host.',
  );
  return 'yes';
}

/** A row of MacroList without a value accepts any. */
const accepts = (row: SetRow, value: string): boolean =>
  row.value === '' || row.value.split('|').some(wanted => wanted.trim() === value);
