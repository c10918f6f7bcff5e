import {absolute} from '../domain/paths.ts';
import {defineLayout} from './layout.ts';

/** OpenRC instead of systemd (daemons/systems.md#alpine-linux). Not run in the lab. */
export const alpine = defineLayout({
  id: 'alpine',
  name: 'Alpine Linux',
  distributions: ['alpine'],
  packageManager: 'apk',
  packages: {opendkim: ['opendkim', 'opendkim-utils']},
  opendkim: {
    configFile: absolute('/etc/opendkim/opendkim.conf'),
    keyDirectory: absolute('/var/db/dkim'),
    unit: 'opendkim',
  },
});
