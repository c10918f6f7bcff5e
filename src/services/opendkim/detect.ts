/** What OpenDKIM is on this host: version, settings in force, tables, unit. */
import {type AbsolutePath, parseAbsolutePath} from '../../domain/paths.ts';
import {type Problem, problem} from '../../domain/result.ts';
import {visible, withoutPassword} from '../../domain/text.ts';
import type {Layout} from '../../layouts/layout.ts';
import type {KnownKey} from '../facts.ts';
import type {Found, LookContext} from '../look-context.ts';
import {tryReadText} from '../reading.ts';
import {execArguments, optionValue, showUnits, type UnitProperties} from '../systemd.ts';
import {configurationTexts} from './decide/instances.ts';
import {plainSettings, type Settings} from './decide/settings.ts';
import type {OpenDkimFacts} from './facts.ts';
import {definitions, effective, parseDataSet} from './parse.ts';
import {parseSocket, parseUmask} from './socket.ts';
import {policyScript} from './tables/current.ts';
import {readSigningRows} from './tables/read.ts';
import {domainOfPattern, isPath, labelOf} from './tables/rows.ts';

type Context = LookContext & {readonly layout: Layout};

/** Undefined where the program is not installed. */
export async function detectOpenDkim(context: Context): Promise<Found<OpenDkimFacts> | undefined> {
  const {ports, layout, systemd, signal} = context;
  const run = await ports.commands.run(['opendkim', '-V'], signal === undefined ? {} : {signal});
  if (run.ended === 'missing') return undefined;
  const [unit] = systemd
    ? await showUnits(ports.commands, [layout.opendkim.unit], UNIT_PROPERTIES, signal)
    : [];
  const argv = execArguments(unit?.['ExecStart'] ?? '');
  const named = parseAbsolutePath(optionValue(argv, 'x') ?? '');
  const configFile = named.ok ? named.value : layout.opendkim.configFile;
  const texts = await configurationTexts(ports.files, configFile);
  const settings = effective(definitions(configFile, path => texts.get(path)?.text));
  const tables = await readTables(ports, plainSettings(settings, configFile));
  const keyTable = parseDataSet(settings['keytable'] ?? '');
  const changesTo = optionValue(argv, 'u') ?? settings['userid'];
  const socketOverride = optionValue(argv, 'p') ?? '';
  const endpoint = parseSocket(socketOverride || (settings['socket'] ?? ''));
  const facts: OpenDkimFacts = {
    kind: 'opendkim',
    program: 'OpenDKIM',
    version: /OpenDKIM Filter v([^\s,]+)/.exec(run.stdout)?.[1] ?? '',
    configFile,
    settings,
    keys: tables.keys,
    keySources: [configFile, ...('path' in keyTable ? [keyTable.path] : [])],
    signedDomains: tables.signedDomains,
    unit: layout.opendkim.unit,
    active: systemd ? unit?.['ActiveState'] === 'active' : await isRunning(context),
    unitPidFile: unit?.['PIDFile'] ?? '',
    socketOverride,
    attachment: endpoint === undefined ? undefined : {by: 'milter', endpoint},
    user: nameOfUser(changesTo, unit, layout),
    group: nameOfGroup(changesTo, unit, layout),
    ...unitAccount(unit),
    ...(changesTo === undefined ? {} : {changesTo}),
    formerSockets: await formerSockets(context),
  };
  return {
    facts,
    blockers: [...unitBlockers(facts, unit), ...sourceBlockers(facts)],
    remarks: [...remarksOn(context, facts, unit), ...deadRows(facts, tables.deadRows)],
  };
}

const UNIT_PROPERTIES = [
  'LoadState',
  'ActiveState',
  'PIDFile',
  'ExecStart',
  'DropInPaths',
  'User',
  'Group',
  'SupplementaryGroups',
];

/** User=, Group= and SupplementaryGroups= (systemd.exec(5)), drop-ins included; nothing of what the unit leaves open. */
function unitAccount(
  unit: UnitProperties | undefined,
): Pick<OpenDkimFacts, 'unitUser' | 'unitGroup' | 'unitGroups'> {
  const user = unit?.['User'] ?? '';
  const group = unit?.['Group'] ?? '';
  const groups = (unit?.['SupplementaryGroups'] ?? '').split(/\s+/).filter(Boolean);
  return {
    ...(user === '' ? {} : {unitUser: user}),
    ...(group === '' ? {} : {unitGroup: group}),
    ...(groups.length === 0 ? {} : {unitGroups: groups}),
  };
}

const nameOfUser = (userId: string | undefined, unit: UnitProperties | undefined, layout: Layout): string => {
  const written = userId?.split(':')[0] ?? '';
  const ofUnit = unit?.['User'] ?? '';
  return written !== '' ? written : ofUnit !== '' ? ofUnit : layout.opendkim.user;
};

/** A process that does not start as root cannot change to UserID: the group of the unit stays. */
const nameOfGroup = (
  userId: string | undefined,
  unit: UnitProperties | undefined,
  layout: Layout,
): string => {
  const ofUnit = (unit?.['User'] ?? '') === '' ? undefined : (unit?.['Group'] ?? '');
  const written = ofUnit ?? userId?.split(':')[1] ?? '';
  return written === '' ? layout.opendkim.group : written;
};

/** A unit that is masked or missing cannot be restarted, which would show only after everything was written. */
function unitBlockers(facts: OpenDkimFacts, unit: UnitProperties | undefined): readonly Problem[] {
  const state = unit?.['LoadState'] ?? '';
  if (state !== 'masked' && state !== 'not-found') return [];
  const masked = state === 'masked';
  return [
    problem(
      'opendkim.unit',
      `${facts.unit} is ${masked ? 'masked' : 'not there'}, so OpenDKIM cannot be started.`,
      masked ? `Run: systemctl unmask ${facts.unit}` : 'Install OpenDKIM from the packages of this system.',
    ),
  ];
}

/** Sources of tables that this version leaves alone; it says so before anything is asked. */
function sourceBlockers(facts: OpenDkimFacts): readonly Problem[] {
  const blockers: Problem[] = [];
  for (const name of ['KeyTable', 'SigningTable'] as const) {
    const value = facts.settings[name.toLowerCase()];
    const set = value === undefined ? undefined : parseDataSet(value);
    if (set?.kind !== 'unsupported') continue;
    blockers.push(
      problem(
        'opendkim.tables',
        `${name} in ${facts.configFile} is kept in a ${visible(set.type)} source, which waxseal does not edit.`,
        'Add keys there by hand, or use tables in files: KeyTable file:/etc/opendkim/KeyTable.',
      ),
    );
  }
  if (facts.settings['setuppolicyscript'] !== undefined) {
    blockers.push(policyScript({opendkim: facts}));
  }
  return blockers;
}

/** Without systemd: the process that the PID file names is there. */
async function isRunning({ports, layout}: Context): Promise<boolean> {
  const pid = (await tryReadText(ports.files, layout.opendkim.pidFile))?.trim() ?? '';
  return /^\d+$/.test(pid) && (await ports.files.stat(`/proc/${pid}` as AbsolutePath)) !== undefined;
}

interface KnownTables {
  readonly keys: readonly KnownKey[];
  readonly signedDomains: readonly string[];
  readonly deadRows: readonly string[];
}

async function readTables({files}: LookContext['ports'], settings: Settings): Promise<KnownTables> {
  const {keys, signing, dead, domains} = await readSigningRows(files, settings);
  const [selector, path] = [settings('Selector')?.value, settings('KeyFile')?.value];
  const single = selector === undefined || path === undefined ? [] : domains;
  const labels = new Set(signing.map(row => labelOf(row.value)));
  const named = signing.filter(row => !dead.has(row)).map(row => domainOfPattern(row.key));
  const signed = new Set([...single.map(name => name.toLowerCase()), ...named.filter(name => name !== '')]);
  return {
    keys: [
      ...single.map(domain => ({label: '', domain, selector: selector ?? '', path: path ?? '', used: true})),
      ...keys.map(row => ({
        ...{label: row.label, domain: row.domain, selector: row.selector},
        // A row may carry the key itself instead of a path; it goes no further than this.
        path: isPath(row.path) ? row.path : '',
        used: labels.has(row.label),
      })),
    ],
    signedDomains: [...signed].map(domain => visible(domain)),
    deadRows: [...dead].map(row => visible(row.key)),
  };
}

function remarksOn(
  context: Context,
  facts: OpenDkimFacts,
  unit: UnitProperties | undefined,
): readonly Problem[] {
  const remarks: Problem[] = [];
  const {settings, configFile} = facts;
  const umask = parseUmask(settings['umask']);
  if (/^(local|unix|\/)/i.test(settings['socket'] ?? '') && (umask === undefined || (umask & 0o020) !== 0)) {
    remarks.push(
      problem(
        'opendkim.umask',
        `UMask in ${configFile} lets nobody but OpenDKIM's own user use its socket.`,
        'UMask 007 lets the group in; the plan sets it where it is needed.',
      ),
    );
  }
  if (facts.unitPidFile !== '' && samePath(settings['pidfile']) !== samePath(facts.unitPidFile)) {
    remarks.push(
      problem(
        'opendkim.pid-file',
        `PidFile in ${configFile} is not the unit's ${visible(facts.unitPidFile)}: systemctl restart hangs for 90 s.`,
        'The plan sets it to the file that the unit waits for.',
      ),
    );
  }
  if (facts.socketOverride !== '') {
    remarks.push(
      problem(
        'opendkim.socket-override',
        `${facts.unit} is started with "-p ${visible(facts.socketOverride)}", which wins over Socket in ${configFile}.`,
        `See ${visible(unit?.['DropInPaths'] ?? '') || 'the unit'}; systemctl revert ${facts.unit} takes it away.`,
      ),
    );
  }
  remarks.push(...defaultsRemark(context, facts), ...domainIgnored(facts));
  return remarks;
}

const samePath = (path: string | undefined): string => (path ?? '').replace(/^\/var\/run\//, '/run/');

/**
 * SOCKET of somebody's own in /etc/default/opendkim: read by the init script only, and only where opendkim.conf has no
 * Socket (daemons/opendkim.md#default-file). The package's own line refers to a variable and says nothing.
 */
async function formerSockets({ports, layout}: Context): Promise<readonly string[]> {
  const {defaultsFile} = layout.opendkim;
  const text = defaultsFile === undefined ? '' : ((await tryReadText(ports.files, defaultsFile)) ?? '');
  const written = [...text.matchAll(/^[ \t]*SOCKET=["']?([^"'\s#]+)/gm)].map(match => match[1] ?? '');
  return written.filter(socket => !socket.includes('$')).map(socket => visible(socket));
}

/** Under systemd that file is a wish that has no effect. */
function defaultsRemark(context: Context, facts: OpenDkimFacts): readonly Problem[] {
  if (!context.systemd) return [];
  const socket = facts.formerSockets?.at(-1);
  const inEffect = facts.socketOverride === '' ? facts.settings['socket'] : facts.socketOverride;
  if (socket === undefined || socket === inEffect) return [];
  return [
    problem(
      'opendkim.default-socket',
      `SOCKET=${socket} in ${context.layout.opendkim.defaultsFile} has no effect: the systemd unit does not read that file.`,
      `Socket in ${facts.configFile} counts.`,
    ),
  ];
}

function deadRows(facts: OpenDkimFacts, rows: readonly string[]): readonly Problem[] {
  if (rows.length === 0) return [];
  const more = rows.length > 3 ? ` and ${rows.length - 3} more` : '';
  return [
    problem(
      'opendkim.dead-rows',
      `Rows of the SigningTable match no sender, and nothing is logged: ${rows.slice(0, 3).join(', ')}${more}.`,
      `With refile: a domain is *@example.org, with file: it is example.org; see SigningTable in ${facts.configFile}.`,
    ),
  ];
}

function domainIgnored(facts: OpenDkimFacts): readonly Problem[] {
  const {domain, keytable} = facts.settings;
  if (domain === undefined || keytable === undefined) return [];
  return [
    problem(
      'opendkim.domain-ignored',
      `Domain ${visible(withoutPassword(domain))} in ${facts.configFile} has no effect, because there is a KeyTable.`,
      'Name the domain in the SigningTable, and remove the line.',
    ),
  ];
}
