/** Whose signatures are compared before and after a change: the senders of the rows in effect. */
import type {Sender, Senders} from '../../proof/kept.ts';
import type {Ports} from '../../system/ports.ts';
import type {Step} from '../step.ts';
import {plainSettings} from './decide/settings.ts';
import type {OpenDkimFacts} from './facts.ts';
import {parseDataSet} from './parse.ts';
import {anyMatch, type Sender as RowSender, sendersInEffect, senderText} from './senders.ts';
import {keyRows, parseTable, type TableRow} from './tables.ts';

/** The senders of the rows that `opendkim` has now; those whose rows `steps` add, change or remove are touched. */
export async function sendersToCompare(
  ports: Pick<Ports, 'files'>,
  opendkim: OpenDkimFacts,
  steps: readonly Step[],
): Promise<Senders> {
  const {all, kind, unread} = await sendersInEffect(
    ports.files,
    plainSettings(opendkim.settings, opendkim.configFile),
  );
  const isTouched = await touchedBy(ports, opendkim, steps, kind);
  const rows = new Map(
    all.map((row): [Sender, RowSender] => [
      {address: row.address, domain: row.domain, text: senderText(row)},
      row,
    ]),
  );
  return {
    all: [...rows.keys()],
    unread,
    isTouched: sender => {
      const row = rows.get(sender);
      return row !== undefined && isTouched(row);
    },
  };
}

/** Whether a row that a plan adds, changes or removes has a say about a sender. */
async function touchedBy(
  ports: Pick<Ports, 'files'>,
  {settings}: OpenDkimFacts,
  steps: readonly Step[],
  kind: 'file' | 'refile',
): Promise<(sender: RowSender) => boolean> {
  const changed = async (name: string): Promise<readonly TableRow[]> => {
    const set = parseDataSet(settings[name] ?? '');
    if (set.kind !== 'file' && set.kind !== 'refile') return [];
    const path = (await ports.files.resolve(set.path)) ?? set.path;
    return steps.flatMap(step =>
      step.kind === 'file' && step.path === path && step.after.content.from === 'text'
        ? differing(step.beforeText ?? '', step.after.content.text)
        : [],
    );
  };
  const signing = await changed('signingtable');
  const labels = new Set((await changed('keytable')).map(row => row.key));
  const domains = new Set(keyRows(await changed('keytable')).map(row => row.domain.toLowerCase()));
  const isCaught = anyMatch(
    signing.map(row => row.key),
    kind,
  );
  return ({address, domain, label}) => labels.has(label) || domains.has(domain) || isCaught(address);
}

/** Rows that only one of two texts has. */
function differing(before: string, after: string): readonly TableRow[] {
  const rows = (text: string): ReadonlyMap<string, TableRow> =>
    new Map(parseTable(text).map(row => [`${row.key} ${row.value}`, row]));
  const [old, next] = [rows(before), rows(after)];
  return [
    ...[...next].flatMap(([key, row]) => (old.has(key) ? [] : row)),
    ...[...old].flatMap(([key, row]) => (next.has(key) ? [] : row)),
  ];
}
