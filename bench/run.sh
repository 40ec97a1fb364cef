#!/usr/bin/env bash
# Measures what `make release` builds against nginx and HAProxy: `make bench`, or with options (`bench/run.sh --help`).
# What is measured, and how to read it: docs/performance.md.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"
exec python3 -B "$(dirname "${BASH_SOURCE[0]}")/measure.py" "$@"
