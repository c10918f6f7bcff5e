/** Effective values: what one service of master.cf reads, and where it stands (postconf(5), master(5)). Pure. */
import {type AbsolutePath, below} from '../../../domain/paths.ts';
import type {Source} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import {expansionOf, type Parameters} from '../expand.ts';
import {type MasterService, parseMasterCf} from '../master.ts';
import {inForce, parseMainCf} from '../parse.ts';
import {BUILT_IN, defaultAction} from './defaults.ts';

/** The configuration of one instance, as texts. */
export interface PostfixConfiguration {
  /** '' where there is one instance only. */
  readonly instance: string;
  readonly directory: AbsolutePath;
  /** Undefined where it cannot be read. */
  readonly mainCf: string | undefined;
  readonly masterCf: string | undefined;
  /** What `postconf -d` says; a name that is missing has the value of Postfix's source text. */
  readonly defaults: ReadonlyMap<string, string>;
  /** Groups of the account `mail_owner`, its own among them. */
  readonly groups: readonly string[];
  /** Rows of lookup tables, by the word that names them: `texthash:/etc/postfix/canonical`; undefined where unreadable. */
  readonly tables: ReadonlyMap<string, string | undefined>;
}

export interface Setting {
  readonly name: string;
  /** As it is written. */
  readonly raw: string;
  /** With its references expanded by the service that reads it. */
  readonly value: string;
  /** Where Postfix cannot expand it. */
  readonly fault: string | undefined;
  readonly setBy: 'master.cf' | 'main.cf' | 'default';
  /** The service that has its own: `submission/inet`; '' for main.cf. */
  readonly service: string;
  readonly source: Source;
}

export interface ServiceSettings {
  readonly service: string;
  get(name: string): Setting;
  /** Value with its references expanded. */
  value(name: string): string;
  /** The setting of main.cf that the service's own one has beaten; undefined where there is none. */
  beaten(name: string): Setting | undefined;
}

export interface Row extends MasterService {
  /** First column: `smtp`, `127.0.0.1:10025`. */
  readonly label: string;
  readonly type: string;
  readonly source: Source;
  /** An option that ends the program at start, in Postfix's words. */
  readonly fault: string | undefined;
}

export interface ReadConfiguration {
  readonly configuration: PostfixConfiguration;
  /** One a service, in order; of several with one name the last. */
  readonly rows: readonly Row[];
  /** A line of main.cf that ends every program, in Postfix's words. */
  readonly fault: {readonly says: string; readonly source: Source} | undefined;
  readonly main: ServiceSettings;
  of(row: Row | undefined): ServiceSettings;
  row(name: string): Row | undefined;
  readonly byDefault: Source;
}

export function readConfiguration(configuration: PostfixConfiguration): ReadConfiguration {
  const mainPath = below(configuration.directory, 'main.cf');
  const masterPath = below(configuration.directory, 'master.cf');
  const mainText = configuration.mainCf ?? '';
  const masterText = configuration.masterCf ?? '';
  const lines = parseMainCf(mainText);
  const mainLine = lineNumbers(mainText);
  const masterLine = lineNumbers(masterText);
  const version = configuration.defaults.get('mail_version') ?? '';
  const byDefault: Source = {by: 'default', program: `Postfix ${visible(version)}`.trim()};
  const defaults = withDefaults(configuration.defaults);
  const at = (path: AbsolutePath, line: number): Source => ({by: 'file', path, line});
  const rows = rowsIn(masterText).map(row => ({...row, source: at(masterPath, masterLine(row.start))}));

  const settingsFor = (row: Row | undefined): ServiceSettings => {
    const known = new Map<string, Setting>();
    const place = (name: string, isOwn: boolean): Omit<Setting, 'value' | 'fault'> => {
      const option = isOwn ? row?.options.findLast(one => one.name === name) : undefined;
      if (option !== undefined && row !== undefined) {
        const source = at(masterPath, masterLine(option.start));
        return {name, raw: oneLine(option.value), setBy: 'master.cf', service: row.name, source};
      }
      const line = inForce(lines, name);
      if (line !== undefined) {
        const source = at(mainPath, mainLine(line.start));
        return {name, raw: line.value, setBy: 'main.cf', service: '', source};
      }
      const raw = predefined(name, row) ?? defaults.get(name) ?? '';
      return {name, raw, setBy: 'default', service: '', source: byDefault};
    };
    const parameters: Parameters = {
      get: name => (name === 'mydomain' ? domainOf(place(name, true), parameters) : place(name, true).raw),
    };
    const expanded = (setting: Omit<Setting, 'value' | 'fault'>): Setting => {
      const {text, fault} = expansionOf(
        setting.name === 'mydomain' ? domainOf(setting, parameters) : setting.raw,
        parameters,
      );
      return {...setting, value: text, fault};
    };
    const get = (name: string): Setting => {
      const found = known.get(name) ?? expanded(place(name, true));
      known.set(name, found);
      return found;
    };
    return {
      service: row?.name ?? '',
      get,
      value: name => get(name).value,
      beaten: name => {
        if (get(name).setBy !== 'master.cf') return undefined;
        const general = place(name, false);
        return general.setBy === 'main.cf' && general.raw !== '' ? expanded(general) : undefined;
      },
    };
  };

  const services = new Map<string, ServiceSettings>();
  const of = (row: Row | undefined): ServiceSettings => {
    const name = row?.name ?? '';
    const found = services.get(name) ?? settingsFor(row);
    services.set(name, found);
    return found;
  };
  const broken = unreadableLine(mainText);
  return {
    configuration,
    rows,
    fault:
      broken === undefined
        ? undefined
        : {
            says: `${mainPath}, line ${broken.line}: ${broken.why}: "${visible(broken.text)}"`,
            source: at(mainPath, broken.line),
          },
    main: of(undefined),
    of,
    row: name => rows.find(row => row.name === name),
    byDefault,
  };
}

/** `postconf -d`, then what Postfix's source text has. */
function withDefaults(asked: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const action = defaultAction(asked.get('mail_version') ?? '');
  return new Map([
    ...Object.entries(BUILT_IN),
    ...(action === undefined ? [] : ([['milter_default_action', action]] as const)),
    ...asked,
  ]);
}

/** Names that exist for each service (postconf(5), service_name and process_name). */
function predefined(name: string, row: Row | undefined): string | undefined {
  if (name === 'service_name') return row?.label;
  return name === 'process_name' ? row?.command : undefined;
}

/** Where it is not set it is $myhostname without its first label (postconf(5), mydomain). */
function domainOf(setting: Omit<Setting, 'value' | 'fault'>, parameters: Parameters): string {
  if (setting.setBy !== 'default') return setting.raw;
  const name = expansionOf('$myhostname', parameters).text;
  const dot = name.indexOf('.');
  return dot < 0 ? setting.raw : name.slice(dot + 1);
}

const oneLine = (value: string): string => value.replaceAll(/[\r\n]/g, ' ');

/** Gives the line, from 1, on which an offset of the text is. */
function lineNumbers(text: string): (offset: number) => number {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return offset => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  };
}

const OWN_PROGRAMS: ReadonlySet<string> = new Set(['smtpd', 'cleanup', 'pickup', 'qmqpd', 'bounce']);

function rowsIn(text: string): readonly Omit<Row, 'source'>[] {
  const found = new Map<string, Omit<Row, 'source'>>();
  for (const service of parseMasterCf(text)) {
    const [label = '', type = ''] = service.columns;
    // master(8) takes the last of several with one name.
    found.delete(service.name);
    const fault = OWN_PROGRAMS.has(service.command) ? brokenOption(service.words) : undefined;
    found.set(service.name, {...service, label, type, fault});
  }
  return [...found.values()];
}

/** An option without `=`: the program ends as soon as it is started. */
function brokenOption(words: readonly string[]): string | undefined {
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    if (!word.startsWith('-o')) continue;
    const text = word === '-o' ? words[at + 1] : word.slice(2);
    if (word === '-o') at += 1;
    if (text === undefined) return 'option requires an argument -- o';
    if (!text.startsWith('{') && !/^[^\s=]+=/.test(text))
      return `invalid "-o ${visible(text)}" option value: missing '=' after attribute name`;
  }
  return undefined;
}

/** The first logical line that is no assignment (split_nameval(3)). */
function unreadableLine(text: string): {line: number; why: string; text: string} | undefined {
  const logical: {line: number; text: string}[] = [];
  for (const [index, physical] of text.split('\n').entries()) {
    if (/^\s*(#|$)/.test(physical)) continue;
    const last = logical.at(-1);
    if (!/^\s/.test(physical)) logical.push({line: index + 1, text: physical.trimEnd()});
    else if (last !== undefined) last.text += ` ${physical.trim()}`;
  }
  for (const one of logical) {
    if (one.text.startsWith('=')) return {...one, why: 'missing attribute name'};
    if (!/^[^\s=]+\s*=/.test(one.text)) return {...one, why: "missing '=' after attribute name"};
  }
  return undefined;
}
