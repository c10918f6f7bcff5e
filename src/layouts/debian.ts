import {absolute} from '../domain/paths.ts';
import type {Layout} from './layout.ts';

/**
 * Debian 12 and 13 and what is built from them (Ubuntu, Raspbian). Source: the packages' own files, FACTS 1.1.
 * `postfix.service` comes first: on Debian 13 it is the real unit, on Debian 12 a oneshot dummy that look() skips.
 */
export const debian: Layout = {
  id: 'debian',
  name: 'Debian',
  proven: true,
  packageManager: 'apt',
  packages: {opendkim: ['opendkim'], postfix: ['postfix']},
  opendkim: {
    configFile: absolute('/etc/opendkim.conf'),
    tableDirectory: absolute('/etc/opendkim'),
    keyDirectory: absolute('/etc/dkimkeys'),
    user: 'opendkim',
    group: 'opendkim',
    unit: 'opendkim.service',
    pidFile: absolute('/run/opendkim/opendkim.pid'),
    runDirectory: absolute('/run/opendkim'),
  },
  postfix: {
    configDirectory: absolute('/etc/postfix'),
    user: 'postfix',
    group: 'postfix',
    units: ['postfix.service', 'postfix@-.service'],
  },
};
