/** Which lines of a file a plan may change: everything else must still be there, in its order, octet for octet. */
import {diffLines} from 'diff';
import {parseConfigLines} from '../../src/services/opendkim/parse.ts';
import {domainOfPattern, parseTable} from '../../src/services/opendkim/tables/rows.ts';
import {referencesOf} from '../../src/services/postfix/milters.ts';
import {parseMainCf, settingsOf} from '../../src/services/postfix/parse.ts';

const OPENDKIM = new Set(
  'Mode Socket UMask UserID PidFile Background Canonicalization KeyTable SigningTable InternalHosts Domain Selector KeyFile'
    .toLowerCase()
    .split(' '),
);
const POSTFIX = ['internal_mail_filter_classes', 'milter_protocol', 'milter_mail_macros'];

/** Lines of `before` that are gone although they say nothing about signing for `domain`. */
export function lostLines(path: string, before: string, after: string, domain: string): readonly string[] {
  const removed = diffLines(before, after)
    .filter(part => part.removed)
    .flatMap(part => part.value.split('\n').filter(line => line.trim() !== ''));
  const isOurs = judge(path, before, domain);
  // A last line without its end gets one when something comes below it: the line itself stays.
  const unended = before.endsWith('\n') ? undefined : before.split('\n').at(-1);
  return removed.filter(line => !isOurs(line) && !(line === unended && after.includes(line)));
}

function judge(path: string, before: string, domain: string): (line: string) => boolean {
  if (path.endsWith('main.cf')) return ofMainCf(before);
  if (path.endsWith('master.cf')) return line => /smtpd|-o/.test(line);
  if (/opendkim.*\.conf$/.test(path))
    return line => parseConfigLines(line).some(one => OPENDKIM.has(one.name.toLowerCase()));
  if (/rspamd/.test(path)) return line => /enabled/.test(line);
  if (/amavis/.test(path)) return line => /enable_dkim_signing/.test(line);
  // A row of a signing table, or one of a key table.
  return line =>
    parseTable(line).some(row => domainOfPattern(row.key) === domain || row.value.startsWith(`${domain}:`));
}

/** The milter lists with all their lines, and the parameters that they refer to. */
function ofMainCf(before: string): (line: string) => boolean {
  const lines = parseMainCf(before);
  const settings = settingsOf(lines);
  const names = new Set([
    ...POSTFIX,
    ...['smtpd_milters', 'non_smtpd_milters'].flatMap(name => referencesOf(name, settings)),
  ]);
  const ours = lines.filter(line => names.has(line.name)).map(line => before.slice(line.start, line.end));
  return line => ours.some(text => text.split('\n').includes(line)) && !/^\s*#/.test(line);
}
