/** DKIM set up without waxseal, as a careful administrator would: the measure for the lab itself. */
import type {Host} from './host.ts';
import {PACKAGE_DIRECTORY} from './image.ts';

/** Returns the strings of the TXT record to be published. */
export async function byHand(host: Host, domain: string, selector: string): Promise<readonly string[]> {
  const keys = `/etc/dkimkeys/${domain}`;
  await host.must(['install', '-d', '-o', 'opendkim', '-g', 'opendkim', '-m', '0700', keys]);
  const generate = [
    'opendkim-genkey',
    '-b',
    '2048',
    '-h',
    'sha256',
    '-D',
    keys,
    '-d',
    domain,
    '-s',
    selector,
  ];
  await host.must(['runuser', '-u', 'opendkim', '--', ...generate]);
  const label = `${selector}._domainkey.${domain}`;
  await host.write('/etc/opendkim/KeyTable', `${label} ${domain}:${selector}:${keys}/${selector}.private\n`);
  await host.write('/etc/opendkim/SigningTable', `*@${domain} ${label}\n*@*.${domain} ${label}\n`);
  await host.write('/etc/opendkim/TrustedHosts', '127.0.0.1\n::1\nlocalhost\n');
  const configuration = await host.read('/etc/opendkim.conf');
  await host.write(
    '/etc/opendkim.conf',
    [
      configuration.replace(/^(Socket|UMask)\s/gm, '#$&').trimEnd(),
      'Mode sv',
      'UMask 007',
      'Socket local:/var/spool/postfix/opendkim/opendkim.sock',
      'KeyTable file:/etc/opendkim/KeyTable',
      'SigningTable refile:/etc/opendkim/SigningTable',
      'InternalHosts file:/etc/opendkim/TrustedHosts',
      '',
    ].join('\n'),
  );
  // The setgid bit gives the socket the group postfix; nobody has to join a group.
  await host.script(
    [
      'install -d -o opendkim -g postfix -m 2750 /var/spool/postfix/opendkim',
      'systemctl restart opendkim',
      'for i in $(seq 50); do [ -S /var/spool/postfix/opendkim/opendkim.sock ] && break; sleep 0.1; done',
      'systemctl is-active --quiet opendkim',
      "postconf -e 'smtpd_milters = unix:opendkim/opendkim.sock' 'non_smtpd_milters = $smtpd_milters' \\",
      "  'milter_default_action = accept' 'internal_mail_filter_classes = bounce'",
      `systemctl reload ${host.release.postfixUnit}`,
    ].join('\n'),
  );
  const zone = await host.read(`${keys}/${selector}.txt`);
  return [...zone.matchAll(/"([^"]*)"/g)].map(part => part[1] ?? '');
}

/**
 * Takes OpenDKIM off the host and lets apt find it again, in the packages that the image keeps for this: there is no
 * way out to any other source.
 */
export async function removeSigner(host: Host): Promise<void> {
  await host.script(
    [
      'systemctl stop opendkim',
      'dpkg --purge opendkim opendkim-tools',
      'rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/dkimkeys /run/opendkim',
      `echo 'deb [trusted=yes] file:${PACKAGE_DIRECTORY} ./' > /etc/apt/sources.list`,
      'apt-get update -qq',
    ].join('\n'),
  );
}
