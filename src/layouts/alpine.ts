import {absolute} from '../domain/paths.ts';
import type {Layout} from './layout.ts';

/** Alpine: OpenRC instead of systemd (FACTS 1.2). Not run in the lab. */
export const alpine: Layout = {
  id: 'alpine',
  name: 'Alpine Linux',
  proven: false,
  packageManager: undefined,
  packages: {opendkim: ['opendkim', 'opendkim-utils'], postfix: ['postfix']},
  opendkim: {
    configFile: absolute('/etc/opendkim/opendkim.conf'),
    tableDirectory: absolute('/etc/opendkim'),
    keyDirectory: absolute('/var/db/dkim'),
    user: 'opendkim',
    group: 'opendkim',
    unit: 'opendkim',
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
