/** The records as aliases into another zone, where a program may change them: published once, rotated for ever. */
import {delegation} from '../dns/formats/index.ts';
import {parseDnsName} from '../domain/names.ts';
import {fail, ok, problem, type Result} from '../domain/result.ts';
import type {StagedDomain} from './operations.ts';

/**
 * For each record both ways, zone file lines with what each is for: one DNAME for all selectors, or one CNAME for this one.
 * @param target the zone that is to keep the keys, as a person typed it
 */
export function delegationText(
  staged: readonly Pick<StagedDomain, 'record'>[],
  target: string,
): Result<string> {
  const zone = parseDnsName(target.trim());
  if (!zone.ok || zone.value === '') {
    return fail(
      problem(
        'format.target',
        'That is no name of a zone.',
        'Name a zone of yours that a program may change, as keys.example.net.',
      ),
    );
  }
  const texts: string[] = [];
  for (const {record} of staged) {
    for (const kind of ['dname', 'cname'] as const) {
      const text = delegation(kind, record, [zone.value]);
      if (!text.ok) return text;
      texts.push(`${HEADS[kind]}\n${text.value}`);
    }
  }
  return ok(`${texts.join('\n\n')}\n`);
}

const HEADS = {
  dname: '; Either: all selectors at once, where your provider offers DNAME.',
  cname: '; Or: this selector only, with any provider.',
} as const;
