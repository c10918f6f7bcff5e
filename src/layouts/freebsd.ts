import {absolute} from '../domain/paths.ts';
import type {Layout} from './layout.ts';

/** The FreeBSD port: rc.d/milter-opendkim, user mailnull (FACTS 1.2). Not run in the lab. */
export const freebsd: Layout = {
  id: 'freebsd',
  name: 'FreeBSD',
  proven: false,
  packageManager: undefined,
  packages: {opendkim: ['opendkim'], postfix: ['postfix']},
  opendkim: {
    configFile: absolute('/usr/local/etc/mail/opendkim.conf'),
    tableDirectory: absolute('/usr/local/etc/opendkim'),
    keyDirectory: absolute('/var/db/dkim'),
    user: 'mailnull',
    group: 'mailnull',
    unit: 'milter-opendkim',
    pidFile: absolute('/var/run/milteropendkim/pid'),
    runDirectory: absolute('/var/run/milteropendkim'),
  },
  postfix: {
    configDirectory: absolute('/usr/local/etc/postfix'),
    user: 'postfix',
    group: 'postfix',
    units: ['postfix.service'],
  },
};
