import {type DelegationKind, delegation, FORMATS} from '../../dns/formats/index.ts';
import {recordForms} from '../../dns/forms.ts';
import type {RecordForms} from '../../dns/survey.ts';
import type {ExitCode} from '../../domain/errors.ts';
import {type DnsName, keyRecordName, parseDnsName, parseSelector} from '../../domain/names.ts';
import {visible} from '../../domain/text.ts';
import {keysByHand, lookAtHostPicture} from '../../host/index.ts';
import {readKeys} from '../../jobs/key-book.ts';
import type {KeyEntry, RotationState} from '../../rotation/index.ts';
import {look} from '../../services/look.ts';
import type {Ports} from '../../system/ports.ts';
import {listOf, textOf} from '../arguments.ts';
import type {Context} from '../context.ts';
import {tell} from '../print.ts';
import {chosen, domainReportOf, domainsOf} from '../state-report.ts';
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

/** `waxseal record`: the DNS records again, in the form that is asked for. */
export async function record(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  const form = formOf(context);
  const selector = textOf(context.flags, 'selector');
  const state = await readKeys(ports);
  const byHand = await formsByHand(context, ports, state, selector);
  if (byHand.length > 0)
    return await tell(context, {exitCode: 0}, [await printed(context, byHand.map(form))]);
  const keys = chosen(context, state).filter(
    key => key.state !== 'removed' && (selector === undefined || key.selector === selector),
  );
  if (keys.length === 0) {
    throw usage('record.none', 'There is no such key on this host.', 'waxseal status lists them.');
  }
  const text = await printed(
    context,
    keys.map(key => form(formsOf(key))),
  );
  const now = ports.clock.now();
  const domains = keys.map(key => domainReportOf(key, now));
  return await tell(context, {exitCode: 0, domains}, [text]);
}

const formsOf = (key: KeyEntry): RecordForms =>
  recordForms({apex: key.record.zone, name: key.record.name, value: key.record.value});

/** The text of several records, which goes to `--output`, too. */
async function printed(context: Context, records: readonly string[]): Promise<string> {
  const text = records.join('\n\n');
  const file = textOf(context.flags, 'output');
  if (file !== undefined) await (await context.namedFiles()).save(context.pathOf(file), `${text}\n`);
  return text;
}

/** Of the domains of `--domain`, where waxseal has no key of any of them: keys that sign here all the same. */
async function formsByHand(
  context: Context,
  ports: Ports,
  state: RotationState,
  selector: string | undefined,
): Promise<readonly RecordForms[]> {
  const wanted = domainsOf(context);
  if (wanted === undefined || !ports.process.privileged) return [];
  if (state.keys.some(({domain}) => wanted.includes(domain))) return [];
  const picture = await lookAtHostPicture(ports, await look(ports, context.signal), context);
  return keysByHand(picture, new Set()).flatMap(({domain, selector: label, key}) => {
    const [name, of] = [wanted.find(each => each === domain), parseSelector(label)];
    if (name === undefined || !of.ok || !key.known || (selector !== undefined && selector !== label))
      return [];
    const value = `v=DKIM1; k=${key.algorithm}; p=${key.publicKey}`;
    return [recordForms({apex: `${name}` as DnsName, name: keyRecordName(of.value, name), value})];
  });
}
