#!/usr/bin/env bash
# The lab: real Debian hosts on this machine. Arguments go to vitest, for instance a file name or `-t 'two runs'`.
#   --all                every scenario on Debian 12, too; without it those in which the releases differ
#   WAXSEAL_LAB          where images and hosts are kept (default /var/tmp/waxseal-lab)
#   WAXSEAL_DIST         a build to try out instead of making one
#   WAXSEAL_LAB_RELEASE  trixie or bookworm, to run on one release only
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "$(id -u)" -ne 0 ]; then
  echo 'test:lab boots hosts and makes network namespaces: run it as root.' >&2
  exit 1
fi

# Servers live in sbin, which a root shell by su(1) may lack.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
declare -A package=(
  [mmdebstrap]=mmdebstrap [systemd-nspawn]=systemd-container [ip]=iproute2 [named]=bind9 [rndc]=bind9-utils
  [dig]=bind9-dnsutils [nsupdate]=bind9-dnsutils [nsd]=nsd [knotd]=knot [knsupdate]=knot-dnsutils [unbound]=unbound [strace]=strace
  [nsenter]=util-linux [setpriv]=util-linux [pgrep]=procps
  [opendkim-genzone]=opendkim-tools
  [pdns_server]=pdns-server [sqlite3]=sqlite3 [lexicon]=lexicon [curl]=curl
  [setfacl]=acl [getfattr]=attr [mke2fs]=e2fsprogs [git]=git
)
missing=()
for program in "${!package[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
/usr/bin/python3 -c 'import dkim, dns.resolver' 2>/dev/null || missing+=(python3-dkim)
/usr/bin/python3 -c 'import botocore' 2>/dev/null || missing+=(python3-botocore)
[ -e /usr/share/doc/pdns-backend-sqlite3 ] || missing+=(pdns-backend-sqlite3)
if [ "${#missing[@]}" -gt 0 ]; then
  echo "test:lab needs: apt-get install ${missing[*]}" >&2
  exit 1
fi

[ -n "${WAXSEAL_DIST:-}" ] || npm run -s build
exec node test/lab/run.mjs "$@"
