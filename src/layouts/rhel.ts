import {absolute} from '../domain/paths.ts';
import type {Layout} from './layout.ts';

/** Fedora, EPEL, RHEL: ships `Mode v` and UMask 002 (FACTS 1.2). Not run in the lab; SELinux not considered. */
export const rhel: Layout = {
  id: 'rhel',
  name: 'Fedora, RHEL and EPEL',
  proven: false,
  packageManager: undefined,
  packages: {opendkim: ['opendkim'], postfix: ['postfix']},
  opendkim: {
    configFile: absolute('/etc/opendkim.conf'),
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
