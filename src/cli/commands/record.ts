import {type DelegationKind, delegation, FORMATS} from '../../dns/formats/index.ts';
import {recordForms} from '../../dns/forms.ts';
import type {RecordForms} from '../../dns/survey.ts';
import {type ExitCode, UsageError} from '../../domain/errors.ts';
import {type DnsName, parseDnsName} from '../../domain/names.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import type {KeyEntry} from '../../rotation/index.ts';
import {listOf, textOf} from '../arguments.ts';
import type {Context} from '../context.ts';
import {tell} from '../print.ts';
import {chosen, domainReportOf, stateOf} from '../state-report.ts';

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
    return forms => {
      const text = delegation(kind, forms, targets);
      if (!text.ok) throw new UsageError(text.problem);
      return text.value;
    };
  }
  const form = Object.hasOwn(FORMS, format) ? FORMS[format] : undefined;
  if (form !== undefined) return form;
  throw new UsageError(
    problem(
      'usage.format',
      `There is no form "${visible(format)}".`,
      `Use one of: ${[...Object.keys(FORMS), ...DELEGATIONS].join(', ')}.`,
    ),
  );
}

function targetOf(text: string): DnsName {
  const parsed = parseDnsName(text);
  if (!parsed.ok) throw new UsageError(problem('usage.value', parsed.problem.message, 'Check --target.'));
  return parsed.value;
}

/** `waxseal record`: the DNS records again, in the form that is asked for. */
export async function record(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  const form = formOf(context);
  const selector = textOf(context.flags, 'selector');
  const keys = chosen(context, await stateOf(ports)).filter(
    key => key.state !== 'removed' && (selector === undefined || key.selector === selector),
  );
  if (keys.length === 0) {
    throw new UsageError(
      problem('record.none', 'There is no such key on this host.', 'waxseal status lists them.'),
    );
  }
  const text = keys.map(key => form(formsOf(key))).join('\n\n');
  const file = textOf(context.flags, 'output');
  if (file !== undefined) {
    await (await context.namedFiles()).save(context.pathOf(file), `${text}\n`);
  }
  const now = ports.clock.now();
  const domains = keys.map(key => domainReportOf(key, now));
  return await tell(context, {exitCode: 0, domains}, [text]);
}

const formsOf = (key: KeyEntry): RecordForms =>
  recordForms({apex: key.record.zone, name: key.record.name, value: key.record.value});
