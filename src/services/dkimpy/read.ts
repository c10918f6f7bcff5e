/** Reads what dkimpy-milter decides by. Nothing is changed. */
import {type AbsolutePath, absolute, parseAbsolutePath} from '../../domain/paths.ts';
import type {Decision} from '../../domain/source.ts';
import {visible} from '../../domain/text.ts';
import type {Ports} from '../../system/ports.ts';
import type {KeyFact} from '../key-fact.ts';
import {createKeyLook, type KeyMaterial, type KeyState} from '../key-look.ts';
import {parseSocket} from '../opendkim/socket.ts';
import {readText} from '../reading.ts';
import type {SignerView} from '../signer.ts';
import {execArguments, showUnits} from '../systemd.ts';
import {parseSettings, type Row, type Setting, tableOf, type Unread} from './config.ts';
import {type Model, PROGRAM, rowsOf, type TableName, wouldSign} from './decide.ts';

export const UNIT = 'dkimpy-milter.service';

export const CONFIGURATIONS = [
  absolute('/etc/dkimpy-milter/dkimpy-milter.conf'),
  absolute('/etc/dkimpy-milter.conf'),
] as const;

type ReadPorts = Pick<Ports, 'files' | 'commands' | 'users'>;

/** The dkimpy-milter of this host; none where it has no configuration. */
export async function dkimpySigners(
  ports: ReadPorts,
  serviceManager: 'systemd' | 'openrc' | 'sysv',
  signal?: AbortSignal,
): Promise<readonly SignerView[]> {
  const [unit = {}] =
    serviceManager === 'systemd'
      ? await showUnits(ports.commands, [UNIT], ['ActiveState', 'ExecStart', 'User'], signal)
      : [];
  const started = parseAbsolutePath(execArguments(unit['ExecStart'] ?? '')[1] ?? '');
  for (const path of started.ok ? [started.value] : CONFIGURATIONS) {
    const {text} = await readText(ports.files, path);
    if (text === undefined) continue;
    const model = await readModel(ports, parseSettings(text, path), unit['User'] ?? '');
    return [
      {
        ...{kind: 'dkimpy', program: PROGRAM, unit: UNIT, isRunning: unit['ActiveState'] === 'active'},
        endpoints: endpointsOf(model.settings.get('Socket')),
        rows: rowsOf(model),
        unread: unreadOf(model),
        idle: [],
        wouldSign: question => wouldSign(model, question),
      },
    ];
  }
  return [];
}

/** Where nothing is set it listens below /var/run, which is /run. */
const CUSTOMARY = ['/run', '/var/run'].map(at => absolute(`${at}/dkimpy-milter/dkimpy-milter.sock`));

function endpointsOf(socket: Setting | undefined): SignerView['endpoints'] {
  if (socket === undefined) {
    const source = {by: 'default', program: PROGRAM} as const;
    return CUSTOMARY.map(path => ({endpoint: {kind: 'unix', path}, source}));
  }
  const endpoint = parseSocket(socket.value);
  return endpoint === undefined ? [] : [{endpoint, source: socket.source}];
}

const TABLES: readonly TableName[] = ['SigningTable', 'KeyTable', 'KeyTableEd25519'];

async function readModel(
  ports: ReadPorts,
  settings: ReadonlyMap<string, Setting>,
  unitUser: string,
): Promise<Model> {
  const tables = new Map<TableName, readonly Row[] | Unread>();
  for (const name of TABLES) {
    const setting = settings.get(name);
    if (setting !== undefined) tables.set(name, await tableOf(ports.files, setting));
  }
  const named = rowsOf({settings, tables, keyState: () => MISSING}).flatMap(({keyPath}) => keyPath ?? []);
  const [user = ''] = (settings.get('UserID')?.value ?? PROGRAM).split(':');
  const account = await ports.users.user(unitUser === '' ? user : unitUser);
  const look = createKeyLook(ports, account, keyMaterial);
  const known = new Map<AbsolutePath, KeyState>();
  // Keys are read before it leaves root.
  const reader = unitUser === '' || unitUser === 'root' ? 'root' : 'account';
  for (const path of new Set(named)) known.set(path, await look.file(path, reader));
  return {settings, tables, keyState: path => known.get(path) ?? MISSING};
}

const MISSING: KeyState = {access: 'failed', why: 'is missing'};

/** RSA as PEM, Ed25519 as its seed in base64; `other`: something else in PEM. */
function keyMaterial(content: Uint8Array, fact: KeyFact): KeyMaterial | undefined {
  const text = Buffer.from(content).toString('latin1').trim();
  const isPem = text.includes('-----BEGIN');
  if (isPem) return fact.known && fact.algorithm === 'rsa' ? fact : {algorithm: 'other', bits: 0};
  return /^[A-Za-z0-9+/]{43}=$/.test(text) ? {algorithm: 'ed25519', bits: 256} : undefined;
}

function unreadOf({settings, tables}: Model): readonly Decision[] {
  return [...tables].flatMap(([name, table]): readonly Decision[] => {
    const setting = settings.get(name);
    if (setting === undefined || !('why' in table)) return [];
    const {value, source} = setting;
    return [{name, value: visible(value), source, says: `${name} ${table.why}.`}];
  });
}
