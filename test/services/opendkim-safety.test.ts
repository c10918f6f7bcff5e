/** Numbers and bits that are the safety themselves: each decision as a table of inputs and what is decided. */
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {chooseSocket} from '../../src/services/opendkim/choose-socket.ts';
import {type OpenDkimFacts, openDkimOf} from '../../src/services/opendkim/facts.ts';
import type {OpenDkimHost} from '../../src/services/opendkim/host.ts';
import {keyFits} from '../../src/services/opendkim/plan-keys.ts';
import {mayReload} from '../../src/services/opendkim/start.ts';
import {postfixOf} from '../../src/services/postfix/facts.ts';
import {postfixReach} from '../../src/services/postfix/reach.ts';
import type {PostfixHost} from '../../src/services/postfix/steps.ts';
import type {FileSnapshot} from '../../src/services/snapshot.ts';
import type {FileStat} from '../../src/system/ports.ts';
import {fixtureHost} from '../support/fake-host.ts';
import {planOn, value, wantedOn} from './wanted.ts';

const KEY = absolute('/etc/dkimkeys/example.com/202611.private');
const CONFIG = absolute('/etc/opendkim.conf');

type Host = OpenDkimHost & PostfixHost;

/** A host that signs as waxseal sets it up. */
async function hostWith(opendkim: Partial<OpenDkimFacts> = {}): Promise<Host> {
  const host = fixtureHost('debian-13');
  const {facts, snapshot} = await planOn(host, wantedOn(host, ['example.com']));
  const {layout} = facts;
  const [found, postfix] = [openDkimOf(facts), postfixOf(facts)];
  if (layout === undefined || postfix === undefined || found === undefined) throw new TypeError('no host');
  return {facts, snapshot, layout, postfix, opendkim: {...found, ...opendkim}};
}

const daemon = (host: Host) => {
  const user = host.snapshot.users[host.opendkim.user];
  if (user === undefined) throw new TypeError('no user');
  return user;
};

/** The host with a file of this owner and mode in place of what is at `path`. */
function withFile(host: Host, path: FileSnapshot['path'], stat: Partial<FileStat>): Host {
  const own: FileStat = {
    ...{kind: 'file', mode: 0o600, uid: 0, gid: 0, size: 1, links: 1, device: 1, inode: 1, modifiedMs: 0},
    ...stat,
  };
  const entries = {...host.snapshot.entries, [path]: {path, stat: own, text: '', sha256: ''}};
  return {...host, snapshot: {...host.snapshot, entries}};
}

it('takes the right to write by an access list off a configuration file that it rewrites', async () => {
  const rewritten = async (rights: number) => {
    const host = fixtureHost('debian-13');
    host.files.put(CONFIG, host.files.text(CONFIG), {mode: 0o664});
    host.files.lists.set(CONFIG, {group: 0, named: [{kind: 'user', id: 1000, rights}]});
    const {snapshot, change} = await planOn(host, wantedOn(host, ['example.com']));
    const step = value(change).steps.find(each => each.kind === 'file' && each.path === CONFIG);
    return [snapshot.entries[CONFIG]?.isListed, step?.kind === 'file' ? step.after.mode : undefined];
  };
  expect(await rewritten(6)).toEqual([true, 0o644]);
  // Only the right to pass a directory.
  expect(await rewritten(1)).toEqual([undefined, 0o664]);
});

describe('the UMask of a socket of OpenDKIM', () => {
  // Only one that gives the group (Postfix) the right to write, and nobody else any, may stay.
  it.each([
    ['000', '007'],
    ['001', '007'],
    ['002', undefined],
    ['003', undefined],
    ['004', '007'],
    ['005', '007'],
    ['006', undefined],
    ['007', undefined],
    ['7', undefined],
    ['0007', undefined],
    ['017', undefined],
    ['020', '007'],
    ['022', '007'],
    ['027', '007'],
    ['077', '007'],
    ['777', '007'],
    ['8', '007'],
    ['none', '007'],
    [undefined, '007'],
  ])('%s: written as %s', async (umask, written) => {
    const {settings} = (await hostWith()).opendkim;
    const socket = 'local:/var/spool/postfix/opendkim/opendkim.sock';
    const {umask: _old, ...rest} = settings;
    const host = await hostWith({
      settings: {...rest, socket, ...(umask === undefined ? {} : {umask})},
    });
    const chosen = value(chooseSocket(host, postfixReach(host), 'auto')).settings.find(
      ({name}) => name === 'UMask',
    )?.value;
    expect(chosen).toBe(written);
  });

  it('is nothing where it listens on a port', async () => {
    const host = await hostWith({
      attachment: {by: 'milter', endpoint: {kind: 'tcp', host: '127.0.0.1', port: 8891}},
      settings: {socket: 'inet:8891@localhost', umask: '000'},
    });
    expect(value(chooseSocket(host, postfixReach(host), 'auto')).settings).toEqual([]);
  });
});

describe('a reload instead of a restart', () => {
  const running = async (settings: Readonly<Record<string, string>> = {}, active = true) =>
    withFile(await hostWith({active, settings}), CONFIG, {mode: 0o644});

  it.each([
    ['KeyTable', true],
    ['SigningTable', true],
    ['Canonicalization', true],
    ['InternalHosts', true],
    ['UMask', false],
    ['umask', false],
    ['Socket', false],
    ['UserID', false],
    ['PidFile', false],
    ['Background', false],
    ['AutoRestart', false],
    ['Mode', false],
    ['MilterDebug', false],
    ['QueryCache', false],
  ])('is enough for a new %s: %s', async (name, enough) => {
    const host = await running();
    expect(mayReload(host, [{name, value: 'x'}])).toBe(enough);
    expect(
      mayReload(host, [
        {name: 'KeyTable', value: 'x'},
        {name, value: 'x'},
      ]),
    ).toBe(enough);
  });

  it('is enough for a running unit of systemd alone', async () => {
    const host = await running();
    expect(mayReload(host, [])).toBe(true);
    expect(mayReload(await running({}, false), [])).toBe(false);
    expect(mayReload({...host, facts: {...host.facts, serviceManager: 'sysv'}}, [])).toBe(false);
  });

  // With KeyFile OpenDKIM keeps the key that it read as root, and takes over nothing of the tables.
  it('is not enough where KeyFile is set', async () => {
    expect(mayReload(await running({keyfile: '/etc/dkimkeys/old.private'}), [])).toBe(false);
  });

  it.each([
    ['its own', 0o400, 'daemon', 'root', true],
    ['its own, not readable', 0o044, 'daemon', 'root', false],
    ['of its group', 0o640, 'root', 'daemon', true],
    ['of its group, not readable', 0o604, 'root', 'daemon', false],
    ['of root, for everybody', 0o644, 'root', 'root', true],
    ['of root alone', 0o600, 'root', 'root', false],
  ] as const)('needs a configuration that its user can read: %s', async (_, mode, owner, group, enough) => {
    const host = await running();
    const {uid, gid} = daemon(host);
    const stat = {mode, uid: owner === 'root' ? 0 : uid, gid: group === 'root' ? 0 : gid};
    expect(mayReload(withFile(host, CONFIG, stat), [])).toBe(enough);
  });
});

describe('a key that is in its place already', () => {
  const ROOT = 'root';
  it.each([
    [0o600, 'daemon', ROOT, true],
    [0o400, 'daemon', ROOT, true],
    [0o200, 'daemon', ROOT, false],
    [0o000, 'daemon', ROOT, false],
    // Others: not one bit of theirs, be it only the right to run it.
    [0o601, 'daemon', ROOT, false],
    [0o602, 'daemon', ROOT, false],
    [0o604, 'daemon', ROOT, false],
    // The group: only OpenDKIM's own, and only where nobody else is in it.
    [0o640, 'daemon', 'daemon', true],
    [0o660, 'daemon', 'daemon', true],
    [0o640, 'daemon', ROOT, false],
    [0o620, 'daemon', ROOT, false],
    [0o640, ROOT, 'daemon', true],
    [0o600, ROOT, 'daemon', false],
    [0o620, ROOT, 'daemon', false],
    [0o600, ROOT, ROOT, false],
    [0o640, 'other', 'daemon', false],
    [0o600, 'other', 'daemon', false],
  ] as const)('%o of %s:%s stays as it is: %s', async (mode, owner, group, fits) => {
    const host = await hostWith();
    const {uid, gid} = daemon(host);
    const ids = {daemon: [uid, gid], root: [0, 0], other: [1000, 1000]} as const;
    const stat = {mode, uid: ids[owner][0], gid: ids[group][1]};
    const known = withFile(host, KEY, stat);
    const entry = known.snapshot.entries[KEY];
    if (entry === undefined) throw new TypeError('no key');
    expect(keyFits(known, entry)).toBe(fits);
  });

  it('is not shared with who else is in the group', async () => {
    const host = await hostWith();
    const {uid, gid} = daemon(host);
    const known = withFile(host, KEY, {mode: 0o640, uid, gid});
    const entry = known.snapshot.entries[KEY];
    if (entry === undefined) throw new TypeError('no key');
    const name = Object.values(host.snapshot.groups).find(group => group.gid === gid)?.name ?? '';
    const group = known.snapshot.groups[name];
    if (group === undefined) throw new TypeError('no group');
    const groups = {...known.snapshot.groups, [name]: {...group, members: ['postfix']}};
    expect(keyFits({...known, snapshot: {...known.snapshot, groups}}, entry)).toBe(false);
  });

  it('is not shared by an access list', async () => {
    const host = await hostWith();
    const {uid, gid} = daemon(host);
    const known = withFile(host, KEY, {mode: 0o640, uid, gid});
    const entry = known.snapshot.entries[KEY];
    if (entry === undefined) throw new TypeError('no key');
    expect(keyFits(known, entry)).toBe(true);
    expect(keyFits(known, {...entry, isListed: true})).toBe(false);
  });

  it.each(['directory', 'symlink'] as const)('is no %s', async kind => {
    const host = await hostWith();
    const known = withFile(host, KEY, {kind, mode: 0o600, uid: daemon(host).uid});
    const entry = known.snapshot.entries[KEY];
    if (entry === undefined) throw new TypeError('no key');
    expect(keyFits(known, entry)).toBe(false);
  });
});
