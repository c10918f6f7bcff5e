import {absolute} from '../domain/paths.ts';
import {defineLayout} from './layout.ts';

/**
 * OpenDKIM is in EPEL; it ships `Mode v` and UMask 002 (daemons/systems.md#fedora-and-rhel). Not run in the lab;
 * SELinux not considered.
 */
export const rhel = defineLayout({
  id: 'rhel',
  name: 'Fedora, RHEL and EPEL',
  distributions: ['fedora', 'rhel', 'centos'],
  packageManager: 'dnf',
  opendkim: {keyDirectory: absolute('/etc/opendkim/keys')},
});
