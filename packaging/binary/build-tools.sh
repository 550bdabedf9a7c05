#!/bin/sh
# Get what `make binary` needs besides Python packages: a C compiler, with a C library and zlib
# to link statically, and binutils. Does nothing, quickly, where all are there.
#   build-tools.sh PYTHON    the Python to build with: its shared library is needed too
#   build-tools.sh --have    only say, by the exit status, whether C can be compiled so
set -eu

say() { echo "build tools: $*"; }
give_up() { say "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null; }

links_statically() {
  echo 'int inflate(void *, int); int main(void) { return inflate(0, 0) == 0; }' |
    gcc -w -static -x c - -lz -o /dev/null 2>/dev/null
}

if [ "$1" = --have ]; then
  have gcc && links_statically
  exit
fi

need=
have gcc || need="$need gcc"
if ! have readelf || ! have objdump || ! have strip; then need="$need binutils"; fi
links_statically || need="$need libc6-dev zlib1g-dev"
library=$("$1" -c 'import sysconfig; get = sysconfig.get_config_var
print(get("INSTSONAME") if get("Py_ENABLE_SHARED") else "")')
[ -n "$library" ] || give_up "$1 has no shared library: it was built without --enable-shared"
"$1" -c "import ctypes; ctypes.CDLL('$library')" 2>/dev/null || need="$need ${library%%.so*}"
[ -n "$need" ] || exit 0

have apt-get || give_up "missing:$need (as Debian calls them); install them yourself"
say "installing$need with apt-get"
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $need >/dev/null
