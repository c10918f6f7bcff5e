/** The records as text for the terminal, the clipboard and the scrollback. Never wrapped, never in a box. */
import {displayDomain} from '../../domain/names.ts';
import {visible} from '../../domain/text.ts';
import {recordText} from '../../flow/lines.ts';
import type {StagedDomain} from '../../flow/operations.ts';
import type {RecordFormId} from '../../flow/state.ts';

export const FORM_NAMES: Readonly<Record<RecordFormId, string>> = {
  plain: 'name and value, for a web panel',
  'zone-file': 'zone file, one line',
  'zone-file-wrapped': 'zone file, several lines',
  nsupdate: 'input for nsupdate',
  json: 'JSON',
};

const FORMS: readonly RecordFormId[] = ['plain', 'zone-file', 'zone-file-wrapped', 'nsupdate', 'json'];

export const nextForm = (form: RecordFormId): RecordFormId =>
  FORMS[(FORMS.indexOf(form) + 1) % FORMS.length] ?? 'plain';

/** All records in a form, each with a line that says what it is. Every value is one logical line. */
export function recordsText(staged: readonly StagedDomain[], form: RecordFormId): string {
  return staged.map(each => `${oneRecord(each, form)}\n`).join('\n');
}

function oneRecord({domain, record}: StagedDomain, form: RecordFormId): string {
  const whole = visible(recordText(record, form), {lines: true}).replace(/\n$/, '');
  if (form !== 'plain') return `; ${displayDomain(domain)}: ${FORM_NAMES[form]}\n${whole}`;
  return [
    `TXT record for ${displayDomain(domain)}`,
    `Name in the zone ${record.zone}:  ${record.relativeName}`,
    `Whole name:  ${record.absoluteName}.`,
    'Value, one line:',
    whole,
    ...panelLines(record),
  ].join('\n');
}

/** The fields of the provider's panel to the letter, where the provider is known. */
function panelLines({provider, value}: StagedDomain['record']): readonly string[] {
  const fields = provider?.fields;
  if (provider === undefined || fields === undefined) return [];
  const name = `In the panel of ${visible(provider.name)}: type TXT, name  ${visible(fields.name)}`;
  return fields.value === value ? [`${name}, value as above`] : [`${name}, value:`, visible(fields.value)];
}

/** What is put on the clipboard: only what is pasted somewhere else. */
export const clipboardText = (staged: readonly StagedDomain[], form: RecordFormId): string =>
  staged.map(({record}) => recordText(record, form).replace(/\n$/, '')).join('\n');
