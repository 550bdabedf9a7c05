#!/usr/bin/env bash
# Install what the browser tests need beside Python: Chromium, and axe-core by npm.
# Does nothing, quickly, where all of it is there. CHROMIUM=/path/to/it names another browser.
set -euo pipefail
cd "$(dirname "$0")"

say() { echo "browser tests: $*"; }
give_up() { say "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null; }

need=()
if [ -n "${CHROMIUM:-}" ]; then
  have "$CHROMIUM" || give_up "CHROMIUM=$CHROMIUM is no program"
elif ! have chromium && ! have chromium-browser && ! have google-chrome; then
  need+=(chromium)
fi

axe=node_modules/axe-core/package.json
axe_is_old() { [ ! -f "$axe" ] || [ package-lock.json -nt "$axe" ]; }
if axe_is_old && ! have npm; then
  need+=(npm)
fi

if [ "${#need[@]}" -gt 0 ]; then
  if ! [ -f /etc/debian_version ] || ! have apt-get; then
    give_up "${need[*]} is missing, and this script only knows Debian's packages." \
      "Install Chromium (or Chrome) and npm yourself, and set CHROMIUM=/path/to/the/browser" \
      "if it is not in PATH. To do without: .venv/bin/python -m pytest -m 'not browser'"
  fi
  sudo=
  if [ "$(id -u)" != 0 ]; then
    have sudo || give_up "${need[*]} is missing; as root: apt-get install ${need[*]}"
    sudo=sudo
  fi
  say "installing ${need[*]} with apt-get (once, some hundred megabytes, a few minutes)"
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
fi

if axe_is_old; then
  say "installing axe-core with npm"
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  # npm keeps the package's own times, which are older than the lock file.
  touch "$axe"
fi
