import {absolute} from '../domain/paths.ts';
import {defineLayout} from './layout.ts';

/**
 * Debian 12 and 13 and what is built from them. Source: the packages' own files, daemons/systems.md#debian.
 * `postfix.service` comes first: on Debian 13 it is the real unit, on Debian 12 a oneshot dummy that look() skips.
 */
export const debian = defineLayout({
  id: 'debian',
  name: 'Debian',
  distributions: ['debian', 'ubuntu', 'raspbian'],
  proven: true,
  packageManager: 'apt',
  opendkim: {defaultsFile: absolute('/etc/default/opendkim')},
  postfix: {units: ['postfix.service', 'postfix@-.service']},
});
