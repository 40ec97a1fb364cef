#!/usr/bin/env bash
# Measures a release build of waypost against nginx and HAProxy: `make bench`, or with options (`bench/run.sh --help`).
# What is measured, and how to read it: docs/performance.md.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PATH="$PATH:/usr/sbin:/sbin"

case "${1-}" in
  -h | --help) exec python3 -B "$root/bench/measure.py" --help ;;
esac
"$root/scripts/install-bench-deps.sh"
"${CARGO:-cargo}" build --release -p waypost --manifest-path "$root/Cargo.toml"
exec python3 -B "$root/bench/measure.py" --waypost "${CARGO_TARGET_DIR:-$root/target}/release/waypost" "$@"
