import {recordForms} from '../../dns/forms.ts';
import type {RecordForms} from '../../dns/survey.ts';
import {type ExitCode, UsageError} from '../../domain/errors.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import type {KeyEntry} from '../../rotation/index.ts';
import {textOf} from '../arguments.ts';
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
};

/** `waxseal record`: the DNS records again, in the form that is asked for. */
export async function record(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  const format = textOf(context.flags, 'format') ?? 'plain';
  const form = Object.hasOwn(FORMS, format) ? FORMS[format] : undefined;
  if (form === undefined) {
    throw new UsageError(
      problem(
        'usage.format',
        `There is no form "${visible(format)}".`,
        `Use one of: ${Object.keys(FORMS).join(', ')}.`,
      ),
    );
  }
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

export const formsOf = (key: KeyEntry): RecordForms =>
  recordForms({apex: key.record.zone, name: key.record.name, value: key.record.value});
