#!/bin/sh
# Install agentgather for yourself: one file, as root only with --as-root. It can be read in a minute.
#
#   sh install.sh                into ~/.local/bin; PREFIX=DIR: into DIR/bin
#   sh install.sh 0.3.0          that version
#   sh install.sh --uninstall    remove the file again; rooms stay
# It gets SHA256SUMS and the file for this machine, and puts the file in its place only when the
# hash is right and it runs. Whatever goes wrong, what was installed before stays. Variables:
#   AGENTGATHER_BASE_URL   another place to get it from
#   AGENTGATHER_SIGNERS    a file of keys that you trust, in ssh-keygen's form ("allowed
#                          signers"): SHA256SUMS.sig has to be by one of them
set -eu

say() { printf '%s\n' "install.sh: $*"; }
fail() { say "$*; nothing was installed" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

get() { # get NAME: from the base URL into the temporary folder
  curl --fail --silent --show-error --location --proto "$protocol" --connect-timeout 20 \
    --speed-limit 100 --speed-time 30 --output "$temp/$1" "$base/$1" </dev/null ||
    fail "cannot get $base/$1"
}

hash_of() {
  if have sha256sum; then sha256sum; elif have shasum; then shasum -a 256
  elif have openssl; then openssl dgst -sha256 -r
  else fail "it takes sha256sum, shasum or openssl"; fi <"$1" | cut -c 1-64
}

main() {
  version=0.3.0 uninstall='' as_root=''
  for word; do
    case $word in
      --as-root) as_root=yes ;;
      --uninstall) uninstall=yes ;;
      -* | *[!0-9A-Za-z.]*) fail "$word is no option and no version" ;;
      *) version=$word ;;
    esac
  done
  [ "$(id -u)" -ne 0 ] || [ "$as_root" ] || fail "it needs no root; if you mean it: --as-root"
  bin=${PREFIX:-${HOME:?is not set; set it, or PREFIX}/.local}/bin
  if [ "$uninstall" ]; then
    rm -f "$bin/agentgather"
    say "removed $bin/agentgather; your rooms are still in ${AGENTGATHER_HOME:-~/.agentgather}"
    return
  fi
  case $(uname -s)-$(uname -m) in
    Linux-x86_64 | Linux-amd64) file=agentgather-$version-linux-x86_64 ;;
    Linux-aarch64 | Linux-arm64) file=agentgather-$version-linux-aarch64 ;;
    *) fail "there is no file for $(uname -s) on $(uname -m), use Python and the wheel" ;;
  esac
  published=https://github.com/agentgather/agentgather/releases/download # a folder for each version
  base=${AGENTGATHER_BASE_URL:-$published/v$version}
  case $base in
    https://*) protocol='=https' ;;
    http://127.0.0.1:* | http://localhost:*) protocol='=http' ;;
    *) fail "$base is not https" ;;
  esac
  [ ! -d "$bin/agentgather" ] || fail "$bin/agentgather is a folder"
  mkdir -p "$bin" && temp=$(mktemp -d "$bin/.agentgather.XXXXXX") || fail "cannot write to $bin"
  trap 'rm -rf "$temp"' EXIT; trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
  get SHA256SUMS
  if [ "${AGENTGATHER_SIGNERS:-}" ]; then
    get SHA256SUMS.sig
    set -- -s "$temp/SHA256SUMS.sig" -f "$AGENTGATHER_SIGNERS"
    who=$(ssh-keygen -Y find-principals "$@") &&
      ssh-keygen -Y verify -n agentgather -I "$who" "$@" <"$temp/SHA256SUMS" ||
      fail "SHA256SUMS is not signed by a key in $AGENTGATHER_SIGNERS"
  fi
  want=$(while read -r hash name; do [ "${name#\*}" != "$file" ] || echo "$hash"; done <"$temp/SHA256SUMS")
  [ "$want" ] || fail "$base/SHA256SUMS names no $file"
  get "$file"
  [ "$(hash_of "$temp/$file")" = "$want" ] || fail "$file is not what SHA256SUMS says"
  chmod 0755 "$temp/$file" && "$temp/$file" --version </dev/null || fail "$file does not run here"
  mv -f "$temp/$file" "$bin/agentgather" || fail "cannot write $bin/agentgather"
  say "installed $bin/agentgather; begin with: agentgather up review"
  case :$PATH: in *:"$bin":*) ;; *) say "$bin is not in PATH, add it: PATH=$bin:\$PATH" ;; esac
}

main "$@"
