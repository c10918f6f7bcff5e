/** How a changed configuration comes into force: checked, then taken over by the running OpenDKIM, or by a restart. */
import type {SocketEndpoint} from '../../domain/endpoint.ts';
import {entryOf} from '../files.ts';
import {COMMAND_MS} from '../limits.ts';
import {serviceStep} from '../manager.ts';
import type {CheckStep, ServiceStep, Step} from '../step.ts';
import {readable} from './config.ts';
import type {Setting} from './edit.ts';
import type {OpenDkimHost} from './host.ts';

/** What a running OpenDKIM does not take over by SIGUSR1 (opendkim(8), daemons/opendkim.md#reload). */
const FIXED_AT_START = new Set([
  'socket',
  'userid',
  'umask',
  'pidfile',
  'background',
  'autorestart',
  'mode',
  'milterdebug',
  'querycache',
]);

/**
 * Whether a running OpenDKIM can take the change over without ending. While it restarts, mail passes unsigned or is
 * refused, of all domains that it signs already. It reads its files again as its own user, so it must be able to.
 */
export function mayReload(host: OpenDkimHost, settings: readonly Setting[]): boolean {
  const {opendkim, snapshot, facts} = host;
  const stat = entryOf(snapshot, opendkim.configFile).stat;
  return (
    opendkim.active &&
    facts.serviceManager === 'systemd' &&
    opendkim.settings['keyfile'] === undefined &&
    stat !== undefined &&
    readable(host, stat) &&
    settings.every(({name}) => !FIXED_AT_START.has(name.toLowerCase()))
  );
}

/** Checks the configuration, has OpenDKIM take it over and waits until it answers. */
export const startSteps = (
  host: OpenDkimHost,
  endpoint: SocketEndpoint | undefined,
  action: ServiceStep['action'] = 'restart',
): readonly Step[] => [check(host), action === 'reload' ? reload(host, endpoint) : restart(host, endpoint)];

const check = (host: OpenDkimHost): CheckStep => ({
  kind: 'check',
  id: 'check:opendkim',
  why: 'Let OpenDKIM check its configuration',
  argv: ['opendkim', '-n', '-x', host.opendkim.configFile],
  timeoutMs: COMMAND_MS,
});

/** For a unit that has no reload of its own systemd restarts it; whether the change is in force is for the live test. */
const reload = ({facts, opendkim}: OpenDkimHost, endpoint: SocketEndpoint | undefined): ServiceStep =>
  serviceStep(facts.serviceManager, {
    ...request(opendkim, endpoint),
    why: 'Let the running OpenDKIM take over the new configuration',
    action: 'reload',
    verb: 'reload-or-restart',
  });

const restart = ({facts, opendkim}: OpenDkimHost, endpoint: SocketEndpoint | undefined): ServiceStep =>
  serviceStep(facts.serviceManager, {
    ...request(opendkim, endpoint),
    why: opendkim.active ? 'Restart OpenDKIM with the new configuration' : 'Start OpenDKIM',
    action: 'restart',
  });

const request = ({unit, active}: OpenDkimHost['opendkim'], endpoint: SocketEndpoint | undefined) => ({
  unit,
  endpoint,
  // systemctl may say yes although the daemon dies 100 ms later (daemons/opendkim.md#start-and-restart).
  steadyMs: 2000,
  wasActive: active,
});
