#!/usr/bin/env bash
# Measures what `make release` builds against nginx and HAProxy: `make bench`, or with options (`bench/run.sh --help`).
# What is measured, and how to read it: docs/performance.md.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PATH="$PATH:/usr/sbin:/sbin"

case "${1-}" in
  -h | --help) exec python3 -B "$root/bench/measure.py" --help ;;
esac
waypost="$("$root/scripts/release.sh")"
exec python3 -B "$root/bench/measure.py" --waypost "$waypost" "$@"
