#!/usr/bin/env bash
# Installs what the tests need beside cargo, where it is missing: real peers (curl, nginx, HAProxy, nghttp), openssl to read our
# certificates with, and a C compiler and linker for the crypto library. Does nothing, and says nothing, when all is there.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

# Binary that must be there, and the Debian package that has it.
wanted=(
  curl:curl
  nginx:nginx-light
  haproxy:haproxy
  nghttp:nghttp2-client
  h2load:nghttp2-client
  openssl:openssl
  cc:gcc
  ld:binutils
  make:make
)

missing=()
for pair in "${wanted[@]}"; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair#*:}")
done
# Peers in Python: the system's own, since that is where its packages are.
for module in grpc:python3-grpcio websockets:python3-websockets; do
  /usr/bin/python3 -c "import ${module%%:*}" >/dev/null 2>&1 || missing+=("${module#*:}")
done
[ "${#missing[@]}" -eq 0 ] && exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
# A compiler without the C library's headers compiles nothing.
case " ${missing[*]} " in *" gcc "*) missing+=(libc6-dev) ;; esac

if ! command -v apt-get >/dev/null 2>&1; then
  echo "install-test-deps: missing: ${missing[*]}, and there is no apt-get to install them with" >&2
  exit 1
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  sudo=(sudo -n)
fi

# The tests start nginx themselves: keep the package from starting one as a service.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
  "${sudo[@]}" chmod 755 "$policy"
  trap '"${sudo[@]}" rm -f "$policy"' EXIT
fi

apt() {
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}
echo "install-test-deps: installing ${missing[*]}" >&2
# The lists of a fresh machine are empty or old: ask for new ones only when that shows.
if ! apt install -y --no-install-recommends "${missing[@]}" 2>/dev/null; then
  apt update
  apt install -y --no-install-recommends "${missing[@]}"
fi
