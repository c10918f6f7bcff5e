import {absolute} from '../domain/paths.ts';
import type {Layout} from './layout.ts';

/** Arch Linux: the package brings only a sample configuration; Postfix is not chrooted (FACTS 1.2). Not run in the lab. */
export const arch: Layout = {
  id: 'arch',
  name: 'Arch Linux',
  proven: false,
  packageManager: 'pacman',
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
