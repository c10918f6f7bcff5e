/** Which list of milters decides for an entrance, and what it beat (MILTER_README; setup_milters in smtpd.c). Pure. */
import type {Decision} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import type {ClientMilters, MilterHop} from '../../mta.ts';
import {tokens, words} from '../parse.ts';
import {isFatal, type ListReader, type MilterHops, parseMilterList} from './milter-list.ts';
import {isChrooted, queueDirectory} from './rows.ts';
import {beatenBy, decision, placed, type Subject, stated} from './says.ts';
import type {ReadConfiguration, Row, ServiceSettings, Setting} from './settings.ts';
import {rowsOf, tableWords} from './tables.ts';

export interface Chosen {
  readonly milters: MilterHops;
  /** Never empty. */
  readonly decidedBy: readonly Decision[];
  readonly byClient: readonly ClientMilters[];
  /** A table that cannot be read may send clients to other milters. */
  readonly isUncertain: boolean;
}

/** What smtpd hands its mail to, by the order of its own source text. */
export function smtpdList(read: ReadConfiguration, row: Row, subject: Subject): Chosen {
  const settings = read.of(row);
  const broken = brokenService(read, row, subject);
  if (broken !== undefined) return broken;
  const options = settings.get('receive_override_options');
  const list = settings.get('smtpd_milters');
  if (hasNoMilters(options)) return silenced(options, settings, [list], subject);
  const reader = readerFor(read, row, settings);
  const {byClient, isUncertain} = mapped(read, settings, reader, subject);
  const isOff = list.value.trim().toUpperCase() === 'DISABLE';
  const chosen = listed(list, isOff ? '' : list.value, settings, settings, reader, subject);
  return {...chosen, byClient, isUncertain};
}

/** What cleanup hands mail to that comes by another way than SMTP. */
export function cleanupList(
  read: ReadConfiguration,
  cleanup: Row | undefined,
  /** Settings of the program that hands the mail in, where its `no_milters` counts. */
  entering: ServiceSettings | undefined,
  subject: Subject,
): Chosen {
  const settings = read.of(cleanup);
  const broken = brokenService(read, cleanup, subject);
  if (broken !== undefined) return broken;
  const list = settings.get('non_smtpd_milters');
  const options = entering?.get('receive_override_options');
  if (options !== undefined && entering !== undefined && hasNoMilters(options))
    return silenced(options, entering, [list], subject);
  return {
    ...listed(list, list.value, settings, entering, readerFor(read, cleanup, settings), subject),
    byClient: [],
    isUncertain: false,
  };
}

/** A list that cleanup cannot read ends it when it starts: whatever hands mail to it, SMTP as well, can take none. */
export function brokenCleanup(
  read: ReadConfiguration,
  cleanup: Row | undefined,
  subject: Subject,
): Chosen | undefined {
  const settings = read.of(cleanup);
  const list = settings.get('non_smtpd_milters');
  const milters = hopsOf(list, list.value, settings, readerFor(read, cleanup, settings));
  if (!isFatal(milters) || milters.onConnect === true) return undefined;
  const why = decision(list, outcome(list, milters, subject));
  return {milters, decidedBy: [why], byClient: [], isUncertain: false};
}

export const hasNoMilters = (options: Setting): boolean => words(options.value).includes('no_milters');

const readerFor = (read: ReadConfiguration, row: Row | undefined, settings: ServiceSettings): ListReader => ({
  queueDirectory: queueDirectory(read),
  chroot: isChrooted(read, row),
  defaultAction: settings.value('milter_default_action').trim(),
  protocol: settings.value('milter_protocol'),
});

/** A line that ends the program before it reads any list. */
function brokenService(
  read: ReadConfiguration,
  row: Row | undefined,
  {mail, verb}: Subject,
): Chosen | undefined {
  const fault = read.fault ?? (row?.fault === undefined ? undefined : {says: row.fault, source: row.source});
  if (fault === undefined) return undefined;
  const isMain = read.fault !== undefined;
  const why: Decision = {
    name: isMain ? 'main.cf' : visible(row?.name ?? ''),
    value: '',
    source: fault.source,
    says: `Postfix can't read its configuration (${fault.says}), so it can't ${verb} ${mail}.`,
  };
  return {milters: {fatal: fault.says}, decidedBy: [why], byClient: [], isUncertain: false};
}

function silenced(
  options: Setting,
  settings: ServiceSettings,
  lists: readonly Setting[],
  subject: Subject,
): Chosen {
  const what =
    options.setBy === 'master.cf' ? stated(options) : 'receive_override_options in main.cf has no_milters';
  const general = settings.beaten('receive_override_options');
  const maps = settings.get('smtpd_milter_maps');
  const beaten = [...(subject.verb === 'accept' ? [maps] : []), ...lists].filter(one => one.raw !== '');
  return {
    milters: [],
    decidedBy: [
      decision(options, `${what}, so no milter sees ${subject.mail}.`),
      ...(general === undefined ? [] : [beatenBy(options, general, subject)]),
      ...beaten.map(one => beatenBy(options, one, subject)),
    ],
    byClient: [],
    isUncertain: false,
  };
}

/** A list as the service reads it: without expansion nothing works, with one wrong word neither. */
function listed(
  list: Setting,
  value: string,
  settings: ServiceSettings,
  entering: ServiceSettings | undefined,
  reader: ListReader,
  subject: Subject,
): Pick<Chosen, 'milters' | 'decidedBy'> {
  const milters = hopsOf(list, value, settings, reader);
  const general = settings.beaten(list.name);
  const options = entering?.beaten('receive_override_options');
  const own = entering?.get('receive_override_options');
  return {
    milters,
    decidedBy: [
      decision(list, outcome(list, milters, subject)),
      ...(general === undefined ? [] : [beatenBy(list, general, subject)]),
      // The service's own options replace a no_milters of main.cf: that is why mail is filtered at all.
      ...(own !== undefined && options !== undefined && hasNoMilters(options)
        ? [beatenBy(own, options, subject)]
        : []),
    ],
  };
}

function hopsOf(list: Setting, value: string, settings: ServiceSettings, reader: ListReader): MilterHops {
  if (list.fault !== undefined) return {fatal: `macro processing error: ${list.fault}`};
  const milters = parseMilterList(value, reader);
  if (isFatal(milters) || milters.length === 0) return milters;
  const broken = tokens(settings.value('milter_macro_defaults')).find(({text}) => !text.includes('='));
  return broken === undefined
    ? milters
    : {fatal: `malformed default macro entry: missing '=' after attribute name in "${visible(broken.text)}"`};
}

function outcome(list: Setting, milters: MilterHops, {mail, verb}: Subject): string {
  if (isFatal(milters))
    return `Postfix can't read this list (${milters.fatal}), so it can't ${verb} ${mail}.`;
  if (milters.length === 0) return `${stated(list)}, so no milter sees ${mail}.`;
  return `${placed(list)} sends ${mail} through ${through(milters)}.`;
}

const through = (milters: readonly MilterHop[]): string => milters.map(({text}) => text).join(', then ');

/** smtpd_milter_maps: by the address of the client, before smtpd_milters. */
function mapped(
  read: ReadConfiguration,
  settings: ServiceSettings,
  reader: ListReader,
  subject: Subject,
): {byClient: readonly ClientMilters[]; isUncertain: boolean} {
  const maps = settings.get('smtpd_milter_maps');
  const byClient: ClientMilters[] = [];
  let isUncertain = false;
  for (const word of tableWords(maps.value)) {
    const rows = rowsOf(word, read.configuration.tables.get(word.text));
    if (rows === undefined) {
      isUncertain = true;
      byClient.push({
        clients: visible(word.text),
        covers: () => 'unknown',
        milters: [],
        decision: decision(
          maps,
          `waxseal can't read ${visible(word.text)}, so some clients may have other milters for ${subject.mail}.`,
        ),
      });
      continue;
    }
    for (const row of rows) {
      const isOff = row.value.toUpperCase() === 'DISABLE';
      const milters = hopsOf(maps, isOff ? '' : row.value, settings, reader);
      const clients = visible(row.pattern);
      byClient.push({
        clients,
        covers: row.covers,
        milters,
        decision: decision(
          maps,
          isFatal(milters)
            ? `Postfix can't read the row of ${clients} in ${visible(word.text)} (${milters.fatal}), so it can't accept mail from there.`
            : milters.length === 0
              ? `${visible(word.text)} says ${visible(row.value)} for ${clients}, so no milter sees mail from there.`
              : `${visible(word.text)} sends mail from ${clients} through ${through(milters)}.`,
        ),
      });
    }
  }
  return {byClient, isUncertain};
}
