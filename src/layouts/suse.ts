import {absolute} from '../domain/paths.ts';
import type {Layout} from './layout.ts';

/** openSUSE: expected places only, nothing authoritative was found (FACTS 1.2). Not run in the lab. */
export const suse: Layout = {
  id: 'suse',
  name: 'openSUSE',
  proven: false,
  packageManager: undefined,
  packages: {opendkim: ['opendkim'], postfix: ['postfix']},
  opendkim: {
    configFile: absolute('/etc/opendkim/opendkim.conf'),
    tableDirectory: absolute('/etc/opendkim'),
    keyDirectory: absolute('/etc/opendkim/keys'),
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
    units: ['postfix.service'],
  },
};
