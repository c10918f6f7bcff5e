import {type DelegationKind, delegation, FORMATS} from '../../dns/formats/index.ts';
import {recordForms} from '../../dns/forms.ts';
import type {RecordForms} from '../../dns/survey.ts';
import type {ExitCode} from '../../domain/errors.ts';
import {type DnsName, parseDnsName} from '../../domain/names.ts';
import {visible} from '../../domain/text.ts';
import {type KeyByHand, recordKey} from '../../host/index.ts';
import {lookByHand} from '../../jobs/by-hand.ts';
import {readKeys} from '../../jobs/key-book.ts';
import type {KeyEntry, RotationState} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {listOf, textOf} from '../arguments.ts';
import type {Context} from '../context.ts';
import {tell} from '../print.ts';
import {byHandReport, chosen, domainReportOf, domainsOf} from '../state-report.ts';
import {taken, usage} from '../usage.ts';

const FORMS: Readonly<Record<string, (forms: RecordForms) => string>> = {
  plain: ({absoluteName, relativeName, zone, value}) =>
    `Name:   ${absoluteName}\n        (in the zone ${zone || '.'}: ${relativeName})\nType:   TXT\nValue:  ${value}`,
  zone: ({zoneFile}) => zoneFile,
  wrapped: ({zoneFileWrapped}) => zoneFileWrapped,
  nsupdate: ({nsupdate}) => nsupdate.trimEnd(),
  json: ({json}) => json,
  strings: ({strings}) => strings.map(text => `"${text}"`).join(' '),
  ...Object.fromEntries(FORMATS.map(({id, render}) => [id, (forms: RecordForms) => render(forms)])),
};

const DELEGATIONS: readonly DelegationKind[] = ['cname', 'dname', 'ns'];

/** How a record is printed in the form that was asked for. */
function formOf(context: Context): (forms: RecordForms) => string {
  const format = textOf(context.flags, 'format') ?? 'plain';
  const kind = DELEGATIONS.find(each => each === format);
  if (kind !== undefined) {
    const targets = listOf(context.flags, 'target').map(targetOf);
    return forms => taken(delegation(kind, forms, targets));
  }
  const form = Object.hasOwn(FORMS, format) ? FORMS[format] : undefined;
  if (form !== undefined) return form;
  throw usage(
    'usage.format',
    `There is no form "${visible(format)}".`,
    `Use one of: ${[...Object.keys(FORMS), ...DELEGATIONS].join(', ')}.`,
  );
}

const targetOf = (text: string): DnsName =>
  taken(parseDnsName(text), {id: 'usage.value', hint: 'Check --target.'});

/** `waxseal record`: the DNS records again, in the form that is asked for, those of keys made by hand among them. */
export async function record(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  const form = formOf(context);
  const selector = textOf(context.flags, 'selector');
  const state = await readKeys(ports);
  const seen = await byHandOf(context, ports, state);
  const isWanted = (key: {readonly selector: string}): boolean =>
    selector === undefined || key.selector === selector;
  const own = chosen(context, state, new Set(seen.map(({domain}) => domain))).filter(
    key => key.state !== 'removed' && isWanted(key),
  );
  const byHand = seen.filter(isWanted);
  if (own.length + byHand.length === 0) {
    throw usage('record.none', 'There is no such key on this host.', 'waxseal status lists them.');
  }
  const now = ports.clock.now();
  const domains = [...own.map(key => domainReportOf(key, now)), ...byHand.map(byHandReport)];
  const text = await printed(context, [...own.map(formsOf), ...byHand.flatMap(formsByHand)].map(form));
  return await tell(context, {exitCode: 0, domains}, [text]);
}

const formsOf = (key: KeyEntry): RecordForms =>
  recordForms({apex: key.record.zone, name: key.record.name, value: key.record.value});

/** Its zone is not asked for: most often it is that of the domain. None where its names can't be in DNS. */
function formsByHand(key: KeyByHand): readonly RecordForms[] {
  const [apex, name] = [parseDnsName(key.domain), parseDnsName(recordKey(key.domain, key.selector))];
  return apex.ok && name.ok
    ? [recordForms({apex: apex.value, name: name.value, value: byHandReport(key).record.value})]
    : [];
}

/** The text of several records, which goes to `--output`, too. */
async function printed(context: Context, records: readonly string[]): Promise<string> {
  const text = records.join('\n\n');
  const file = textOf(context.flags, 'output');
  if (file !== undefined) await (await context.namedFiles()).save(context.pathOf(file), `${text}\n`);
  return text;
}

/** Keys that sign here and that waxseal has no note of: all, or those of `--domain`. */
async function byHandOf(context: Context, ports: Ports, state: RotationState): Promise<readonly KeyByHand[]> {
  if (!ports.process.privileged) return [];
  const wanted: readonly string[] | undefined = domainsOf(context);
  const {byHand} = await lookByHand(ports, state, context.signal);
  return byHand.filter(
    each => each.key.known && formsByHand(each).length > 0 && (wanted?.includes(each.domain) ?? true),
  );
}
