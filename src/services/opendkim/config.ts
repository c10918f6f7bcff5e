/** opendkim.conf and its tables as files: what must stand in them, and the steps that write it. */
import type {AbsolutePath} from '../../domain/paths.ts';
import {fail, ok, problem, type Result} from '../../domain/result.ts';
import {entryOf, ownerOf, textOf, textStep} from '../files.ts';
import type {FileStep} from '../step.ts';
import type {CandidateFile} from './candidate.ts';
import {commentOut, type Setting, setParameters, withoutIncludes} from './edit.ts';
import type {OpenDkimHost} from './host.ts';
import {definitions, includesOf, isTrue} from './parse.ts';

/** A table that OpenDKIM's user may not read works only until the next reload (daemons/opendkim.md#tables): it is given to its group. */
export function tableStep(
  host: OpenDkimHost,
  path: AbsolutePath,
  text: string,
  why: string,
): readonly FileStep[] {
  const steps = textStep(host.snapshot, path, text, why);
  const stat = entryOf(host.snapshot, path).stat;
  if (stat === undefined || readable(host, stat)) return steps;
  const owner = {user: ownerOf(host.snapshot, stat).user, group: host.layout.opendkim.group};
  return steps.map(step => ({...step, after: {...step.after, owner, mode: (stat.mode & 0o700) | 0o040}}));
}

export function readable(
  host: OpenDkimHost,
  stat: {readonly uid: number; readonly gid: number; readonly mode: number},
): boolean {
  const user = host.snapshot.users[host.opendkim.user];
  if (stat.uid === user?.uid) return (stat.mode & 0o400) !== 0;
  return stat.gid === user?.gid ? (stat.mode & 0o040) !== 0 : (stat.mode & 0o004) !== 0;
}

/** What must hold for any signing: mode, user, the unit's PID file. Set only where it does not hold. */
export function basicSettings(host: OpenDkimHost): readonly Setting[] {
  const {settings, unitPidFile, user} = host.opendkim;
  const wanted: Setting[] = [];
  if (settings['mode'] !== undefined && !settings['mode'].includes('s'))
    wanted.push({name: 'Mode', value: 'sv'});
  // A daemon that systemd starts as its user cannot change to another.
  if (settings['userid'] === undefined && host.opendkim.unitUser === undefined)
    wanted.push({name: 'UserID', value: user});
  if (host.facts.serviceManager === 'systemd' && unitPidFile !== '') {
    // With another PID file or in the foreground systemctl restart hangs for 90 s and kills the daemon (daemons/opendkim.md#start-and-restart).
    if (runPath(settings['pidfile'] ?? '') !== runPath(unitPidFile))
      wanted.push({name: 'PidFile', value: unitPidFile});
    if (settings['background'] !== undefined && !isTrue(settings['background'])) {
      wanted.push({name: 'Background', value: 'yes'});
    }
  }
  if (Object.keys(settings).length === 0) {
    wanted.push({name: 'Syslog', value: 'yes'}, {name: 'OversignHeaders', value: 'From'});
  }
  return wanted;
}

const runPath = (path: string): string => path.replace(/^\/var\/run\//, '/run/');

export function canonicalizationSetting(host: OpenDkimHost, wanted: string): Result<readonly Setting[]> {
  if (wanted === '') return ok([]);
  if (!/^(simple|relaxed)(\/(simple|relaxed))?$/.test(wanted)) {
    return fail(
      problem(
        'canonicalization.syntax',
        `${JSON.stringify(wanted)} is not a canonicalization.`,
        'Write relaxed/relaxed, relaxed/simple, simple/relaxed or simple/simple.',
      ),
    );
  }
  const now = host.opendkim.settings['canonicalization'] ?? 'simple';
  return ok(bothParts(now) === bothParts(wanted) ? [] : [{name: 'Canonicalization', value: wanted}]);
}

/** `relaxed` alone means relaxed/simple (daemons/opendkim.md#tables). */
const bothParts = (value: string): string => {
  const [header = 'simple', body = 'simple'] = value.toLowerCase().split('/');
  return `${header}/${body}`;
};

/** The form for one key; OpenDKIM ignores it as soon as there is a KeyTable. */
export const SINGLE_KEY = ['Domain', 'Selector', 'KeyFile'] as const;

interface ConfigChange {
  readonly steps: readonly FileStep[];
  /** opendkim.conf and every file that it includes, as they will be. */
  readonly files: readonly CandidateFile[];
  /** The same in one text. */
  readonly flat: string;
}

/**
 * Each setting is changed in the file where it is in force, be it an included one; new ones go into the main file. Lines
 * of the `dropped` parameters are commented out wherever they stand.
 */
export function editConfig(
  host: OpenDkimHost,
  settings: readonly Setting[],
  dropped: readonly string[],
  why = 'Set up OpenDKIM',
): Result<ConfigChange> {
  const {configFile} = host.opendkim;
  const known = (path: AbsolutePath): string | undefined => host.snapshot.entries[path]?.text;
  const main = textOf(host.snapshot, configFile);
  if (!main.ok) return main;
  const all = definitions(configFile, known);
  const places = new Map(all.map(definition => [definition.name, definition.file]));
  const texts = new Map<AbsolutePath, string>();
  const steps: FileStep[] = [];
  for (const file of withIncludes(configFile, known)) {
    const text = known(file) ?? '';
    const own = settings.filter(setting => (places.get(setting.name.toLowerCase()) ?? configFile) === file);
    const single = dropped.length === 0 ? text : commentOut(text, dropped);
    const next = own.length === 0 ? single : setParameters(single, own);
    texts.set(file, next);
    if (next !== text) steps.push(...textStep(host.snapshot, file, next, why));
  }
  return ok({
    steps,
    files: [...texts].map(([path, text]) => {
      const {path: realPath, encoding} = entryOf(host.snapshot, path);
      return {realPath, text, ...(encoding === undefined ? {} : {encoding})};
    }),
    flat: withoutIncludes(texts.get(configFile) ?? '', path => texts.get(path as AbsolutePath)),
  });
}

/** The main file and what it includes, each once; an Include of a file that is not there is none. */
function withIncludes(
  main: AbsolutePath,
  known: (path: AbsolutePath) => string | undefined,
): readonly AbsolutePath[] {
  const found = [main];
  for (const path of found) {
    for (const inner of includesOf(known(path) ?? '')) {
      if (!found.includes(inner) && known(inner) !== undefined) found.push(inner);
    }
  }
  return found;
}
