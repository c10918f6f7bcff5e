/** The files of the sandbox's mail host: those of a fresh Debian 13 with Postfix and OpenDKIM installed, written for this. */
import {type AbsolutePath, absolute} from '../domain/paths.ts';
import type {FileAttributes, Files} from '../system/ports.ts';
import {ACCOUNTS} from './machine.ts';

const ROOT: FileAttributes = {mode: 0o755, uid: 0, gid: 0};

const opendkim = ACCOUNTS.find(({name}) => name === 'opendkim') ?? {uid: 0, gid: 0};

const DIRECTORIES: readonly (readonly [string, FileAttributes])[] = [
  ['/etc', ROOT],
  ['/etc/default', ROOT],
  ['/etc/dkimkeys', {mode: 0o700, uid: opendkim.uid, gid: opendkim.gid}],
  ['/etc/postfix', ROOT],
  ['/run', ROOT],
  ['/run/opendkim', {mode: 0o750, uid: opendkim.uid, gid: opendkim.gid}],
  ['/run/systemd', ROOT],
  ['/run/systemd/system', ROOT],
  ['/var', ROOT],
  ['/var/lib', ROOT],
  ['/var/spool', ROOT],
  ['/var/spool/postfix', ROOT],
];

const OS_RELEASE = `PRETTY_NAME="Debian GNU/Linux 13 (trixie), sandbox"
NAME="Debian GNU/Linux"
VERSION_ID="13"
VERSION="13 (trixie)"
VERSION_CODENAME=trixie
ID=debian
`;

const OPENDKIM_CONF = `# This is a basic configuration for signing and verifying. It can easily be
# adapted to suit a basic installation. See opendkim.conf(5).

Syslog			yes
SyslogSuccess		yes
#LogWhy			no

# Common signing and verification parameters.
Canonicalization	relaxed/simple
#Mode			sv
#SubDomains		no
OversignHeaders		From

# Signing domain, selector, and key (required).
#Domain			example.com
#Selector		2020
#KeyFile		/etc/dkimkeys/example.private

# Runs as this user; the umask decides who may use the socket.
UserID			opendkim
UMask			007

# Socket for the MTA connection.
Socket			local:/run/opendkim/opendkim.sock
#Socket			inet:8891@localhost
#Socket			inet:8891
#Socket			local:/var/spool/postfix/opendkim/opendkim.sock

PidFile			/run/opendkim/opendkim.pid

# Hosts for which to sign rather than verify.
#InternalHosts		192.168.0.0/16, 10.0.0.0/8, 172.16.0.0/12

TrustAnchorFile		/usr/share/dns/root.key
#Nameservers		127.0.0.1
`;

const mainCf = (domain: string): string => `# Written for the sandbox after Debian's own main.cf.
smtpd_banner = $myhostname ESMTP $mail_name (Debian)
biff = no
append_dot_mydomain = no
compatibility_level = 3.6

myhostname = mail.${domain}
mydomain = ${domain}
myorigin = /etc/mailname
mydestination = $myhostname, ${domain}, localhost.${domain}, localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
`;

const MASTER_CF = `# service type  private unpriv  chroot  wakeup  maxproc command + args
smtp      inet  n       -       y       -       -       smtpd
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_sasl_auth_enable=yes
pickup    unix  n       -       y       60      1       pickup
cleanup   unix  n       -       y       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
smtp      unix  -       -       y       -       -       smtp
relay     unix  -       -       y       -       -       smtp
local     unix  -       n       n       -       -       local
`;

const passwd = (): string =>
  ACCOUNTS.map(({name, uid, gid}) => `${name}:x:${uid}:${gid}::/nonexistent:/usr/sbin/nologin\n`).join('');

const group = (): string => ACCOUNTS.map(({name, gid}) => `${name}:x:${gid}:\n`).join('');

/** Writes the host's files into an empty scratch root. */
export async function furnish(files: Files, domain: string): Promise<void> {
  const text: Readonly<Record<string, string>> = {
    '/etc/os-release': OS_RELEASE,
    '/etc/hostname': 'mail\n',
    '/etc/mailname': `${domain}\n`,
    '/etc/passwd': passwd(),
    '/etc/group': group(),
    '/etc/opendkim.conf': OPENDKIM_CONF,
    '/etc/postfix/main.cf': mainCf(domain),
    '/etc/postfix/master.cf': MASTER_CF,
  };
  for (const [path, attributes] of DIRECTORIES) await directory(files, absolute(path), attributes);
  for (const [path, content] of Object.entries(text)) {
    await files.create(absolute(path), new TextEncoder().encode(content), {mode: 0o644, uid: 0, gid: 0});
  }
}

async function directory(files: Files, path: AbsolutePath, attributes: FileAttributes): Promise<void> {
  if ((await files.stat(path)) === undefined) await files.makeDirectory(path, attributes);
}
