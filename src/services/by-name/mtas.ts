/** Mail servers that waxseal knows by name only: one is named, and no advice is given that would remove it. */
import {absolute} from '../../domain/paths.ts';
import type {LookContext} from '../look-context.ts';
import {showUnits} from '../systemd.ts';

/** By the program behind /usr/sbin/sendmail, which every mail server of Unix brings. */
const PROGRAMS: readonly (readonly [RegExp, string])[] = [
  [/exim/, 'Exim'],
  [/opensmtpd|smtpctl/, 'OpenSMTPD'],
  [/qmail/, 'qmail'],
  [/courier/, 'Courier'],
  [/nullmailer/, 'nullmailer'],
  [/msmtp/, 'msmtp'],
  [/ssmtp/, 'sSMTP'],
  [/\/dma$/, 'DragonFly Mail Agent'],
  [/libexec\/sendmail|sendmail-mta|sendmail\.sendmail|sm\.bin/, 'Sendmail'],
];

const UNITS: readonly (readonly [string, string])[] = [
  ['exim4.service', 'Exim'],
  ['exim.service', 'Exim'],
  ['sendmail.service', 'Sendmail'],
  ['opensmtpd.service', 'OpenSMTPD'],
  ['smtpd.service', 'OpenSMTPD'],
  ['courier-mta.service', 'Courier'],
];

const PLACES = ['/usr/sbin/sendmail', '/usr/lib/sendmail'] as const;

/** Its name; the path of its sendmail(1) where the name is not known; undefined where there is none. */
export async function otherMta({ports, systemd, signal}: LookContext): Promise<string | undefined> {
  const names = UNITS.map(([unit]) => unit);
  const units = systemd ? await showUnits(ports.commands, names, ['ActiveState'], signal) : [];
  const running = UNITS.find((_, at) => units[at]?.['ActiveState'] === 'active');
  if (running !== undefined) return running[1];
  for (const place of PLACES) {
    const program = await ports.files.resolve(absolute(place)).catch(() => undefined);
    if (program === undefined) continue;
    const known = PROGRAMS.find(([pattern]) => pattern.test(program))?.[1];
    if (known !== undefined) return known;
    const isSendmail = (await ports.files.stat(absolute('/etc/mail/sendmail.cf')))?.kind === 'file';
    return isSendmail ? 'Sendmail' : place;
  }
  return undefined;
}
