import {absolute} from '../domain/paths.ts';
import {defineLayout} from './layout.ts';

/**
 * The package brings only a sample configuration; Postfix is not chrooted (daemons/systems.md#arch-linux). Not run
 * in the lab.
 */
export const arch = defineLayout({
  id: 'arch',
  name: 'Arch Linux',
  distributions: ['arch', 'archarm'],
  packageManager: 'pacman',
  opendkim: {
    configFile: absolute('/etc/opendkim/opendkim.conf'),
    keyDirectory: absolute('/etc/opendkim/keys'),
  },
});
