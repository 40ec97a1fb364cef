#!/usr/bin/env bash
# Installs what `make bench` and `make release` need beside cargo, where it is missing: the peers (nginx, which is the
# origin too, and HAProxy), the load tools (wrk, h2load), valgrind, python3, and what reads profiles. Does nothing, and
# says nothing, when all is there.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

# Binary that must be there, and the Debian package that has it.
wanted=(
  nginx:nginx-light
  haproxy:haproxy
  wrk:wrk
  h2load:nghttp2-client
  valgrind:valgrind
  llvm-profdata-19:llvm-19
  python3:python3-minimal
)

missing=()
for pair in "${wanted[@]}"; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair#*:}")
done
[ "${#missing[@]}" -eq 0 ] && exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if ! command -v apt-get >/dev/null 2>&1; then
  echo "install-bench-deps: missing: ${missing[*]}, and there is no apt-get to install them with" >&2
  exit 1
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  sudo=(sudo -n)
fi

# The harness starts the peers itself: keep their packages from starting them as services.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
  "${sudo[@]}" chmod 755 "$policy"
  trap '"${sudo[@]}" rm -f "$policy"' EXIT
fi

apt() {
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}
echo "install-bench-deps: installing ${missing[*]}" >&2
# The lists of a fresh machine are empty or old: ask for new ones only when that shows.
if ! apt install -y --no-install-recommends "${missing[@]}" 2>/dev/null; then
  apt update
  apt install -y --no-install-recommends "${missing[@]}"
fi
