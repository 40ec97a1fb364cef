#!/usr/bin/env bash
# Checks what our dependencies are against .deny.toml: bans, licences and where they come from. Builds cargo-deny into the
# target directory where there is none; without its defaults, which are for the advisory database, and the network.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
version=0.20.2
root=${CARGO_TARGET_DIR:-target}/tools

deny=$(command -v cargo-deny || true)
# Its configuration changes from version to version.
if [ -z "$deny" ] || ! "$deny" --version | grep -q " ${version%.*}\."; then
  deny=$root/bin/cargo-deny
  if ! "$deny" --version 2>/dev/null | grep -q " $version\$"; then
    echo "cargo-deny.sh: building cargo-deny $version" >&2
    # Optimizing it costs minutes, and a run takes a second.
    CARGO_PROFILE_DEV_DEBUG=0 "$cargo" install --quiet --locked --debug --no-default-features \
      --root "$root" --target-dir "$root/build" --version "=$version" cargo-deny
  fi
fi
# What it allows is said only in more words than anybody reads; what it forbids is an error.
if ! said=$("$deny" --color never --log-level error --config .deny.toml check --hide-inclusion-graph bans licenses sources 2>&1); then
  echo "$said" >&2
  exit 1
fi
