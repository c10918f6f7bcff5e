/** Snippets of main.cf and master.cf as a host with the master.cf of Debian 13. */
import {absolute} from '../../../src/domain/paths.ts';
import type {Decision} from '../../../src/domain/source.ts';
import type {Entrance, MilterHop, Pass} from '../../../src/services/mta.ts';
import {entrancesOf} from '../../../src/services/postfix/ways/entrances.ts';
import type {PostfixConfiguration} from '../../../src/services/postfix/ways/settings.ts';

export const MASTER = `smtp      inet  n       -       y       -       -       smtpd
pickup    unix  n       -       y       60      1       pickup
cleanup   unix  n       -       y       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
bounce    unix  -       -       y       -       0       bounce
smtp      unix  -       -       y       -       -       smtp
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       y       -       -       lmtp
`;

export interface Given {
  readonly main?: string;
  /** Put before the services of Debian; a service of the same name there is taken out. */
  readonly master?: string;
  readonly version?: string;
  readonly tables?: Readonly<Record<string, string>>;
}

export function configurationOf({
  main = '',
  master = '',
  version = '3.10.13',
  tables,
}: Given): PostfixConfiguration {
  return {
    instance: '',
    directory: absolute('/etc/postfix'),
    mainCf: `compatibility_level = 3.6\nmyhostname = mail.example.com\n${main}`,
    masterCf: MASTER + master,
    defaults: new Map([['mail_version', version]]),
    groups: ['postfix', 'opendkim'],
    tables: new Map(Object.entries(tables ?? {})),
  };
}

export const waysOf = (given: Given): readonly Entrance[] => entrancesOf(configurationOf(given));

export function entranceOf(given: Given, id: string): Entrance {
  const found = waysOf(given).filter(one => one.id === id);
  if (found.length !== 1 || found[0] === undefined)
    throw new TypeError(`${found.length} of ${id} among ${waysOf(given).map(one => one.id)}`);
  return found[0];
}

export function passOf(given: Given, id: string, at = 0): Pass {
  const pass = entranceOf(given, id).passes[at];
  if (pass === undefined) throw new TypeError(`no pass ${at} of ${id}`);
  return pass;
}

/** The hops as they are written, or `fatal: …`. */
export const listOf = ({milters}: Pick<Pass, 'milters'>): readonly string[] | string =>
  'fatal' in milters ? `fatal: ${milters.fatal}` : milters.map(({text}) => text);

export function hopOf(pass: Pass, at = 0): MilterHop {
  const hop = 'fatal' in pass.milters ? undefined : pass.milters[at];
  if (hop === undefined) throw new TypeError(`no milter ${at}: ${listOf(pass)}`);
  return hop;
}

/** `main.cf:3 smtpd_milters`, as far as a source is a line. */
export const placeOf = ({name, source}: Decision): string =>
  source.by === 'file'
    ? `${source.path.replace('/etc/postfix/', '')}:${source.line} ${name}`
    : `${source.by} ${name}`;
