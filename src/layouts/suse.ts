import {absolute} from '../domain/paths.ts';
import {defineLayout} from './layout.ts';

/** Places of the package's own files, read and not run (daemons/systems.md#opensuse). Not run in the lab. */
export const suse = defineLayout({
  id: 'suse',
  name: 'openSUSE',
  distributions: ['suse', 'opensuse'],
  packageManager: 'zypper',
  opendkim: {
    configFile: absolute('/etc/opendkim/opendkim.conf'),
    keyDirectory: absolute('/etc/opendkim/keys'),
  },
});
