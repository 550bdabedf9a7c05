#!/usr/bin/env bash
# Get what the end-to-end tests need beside Python: Caddy, as Debian has it. It is unpacked
# here and not installed, because the package would start a server on port 80.
# Does nothing, quickly, where there is a caddy. CADDY=/path/to/it names another one.
set -euo pipefail
cd "$(dirname "$0")"

say() { echo "end-to-end tests: $*"; }
give_up() { say "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null; }

# Only root may make network namespaces; for everybody else those tests are skipped anyway.
if [ "$(id -u)" = 0 ] && ! have ip && have apt-get; then
  say "installing iproute2 with apt-get"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends iproute2 >/dev/null
fi

if [ -n "${CADDY:-}" ]; then
  have "$CADDY" || give_up "CADDY=$CADDY is no program"
  exit
fi
if have caddy || [ -x build/caddy ]; then
  exit
fi
if ! [ -f /etc/debian_version ] || ! have apt-get || ! have dpkg-deb; then
  give_up "caddy is missing, and this script only knows Debian's packages." \
    "Install Caddy 2.6 or newer yourself, and set CADDY=/path/to/it if it is not in PATH." \
    "To do without: .venv/bin/python -m pytest --ignore tests/end_to_end/public"
fi

say "getting caddy with apt-get (once, 15 megabytes)"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# apt's own user is to write there.
chmod 755 "$folder"
download() { (cd "$folder" && apt-get download -qq caddy >/dev/null 2>&1); }
if ! download; then
  sudo=
  if [ "$(id -u)" != 0 ]; then
    have sudo || give_up "the list of packages is old; as root: apt-get update"
    sudo=sudo
  fi
  $sudo apt-get update -qq
  download || give_up "apt-get download caddy failed; try it by hand"
fi
dpkg-deb --extract "$folder"/caddy_*.deb "$folder/caddy"
mkdir -p build
install -m 755 "$folder/caddy/usr/bin/caddy" build/caddy
