#!/usr/bin/env bash
# Looks for texts that break a promise of a parser: scripts/fuzz.sh [SECONDS, each target; default 60] [TARGET...]
#
# With a C++ compiler libFuzzer leads by coverage; without one, or with WAYPOST_FUZZ_ENGINE=random, texts are random.
# Stable Rust does for both: the coverage pass is part of LLVM, only the sanitizers would need a nightly compiler, and
# there is no unsafe code to watch. What is found is kept in fuzz/regressions/TARGET/, where `cargo test` reads it.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || { echo "usage: scripts/fuzz.sh [SECONDS] [TARGET...]" >&2; exit 2; }
cargo=${CARGO:-cargo}
engine=${WAYPOST_FUZZ_ENGINE:-$(command -v c++ >/dev/null 2>&1 && echo guided || echo random)}
work=target/fuzz

"$cargo" build --quiet -p waypost-fuzz --bin fuzz
random=${CARGO_TARGET_DIR:-target}/debug/fuzz
targets=("${@:2}")
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets < <("$random" list)

if [ "$engine" = guided ]; then
  host=$(rustc -vV | sed -n 's/^host: //p')
  flags="--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 -Cdebug-assertions=yes"
  for option in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=" -Cllvm-args=-sanitizer-coverage-$option"
  done
  # --target keeps the flags away from build scripts and macros, which run with no fuzzer behind them.
  RUSTFLAGS=$flags "$cargo" build --quiet -p waypost-fuzz --features guided --bin guided \
    --target "$host" --target-dir "$work"
  guided=$work/$host/debug/guided
fi

failed=()
for target in "${targets[@]}"; do
  echo "== $target: $seconds s, $engine"
  if [ "$engine" = random ]; then
    "$random" "$target" "$seconds" || failed+=("$target")
    continue
  fi
  "$random" seeds "$target" "$work/$target"
  regressions=fuzz/regressions/$target
  mkdir -p "$regressions"
  log=$work/$target/log
  if WAYPOST_FUZZ_TARGET=$target "$guided" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 \
    -use_value_profile=1 -print_final_stats=1 -dict="$work/$target/words" -artifact_prefix="$regressions/" \
    "$work/$target/corpus" "$regressions" >"$log" 2>&1; then
    grep -E '^(Done|stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb))' "$log" || true
  else
    failed+=("$target")
    tail -n 30 "$log"
  fi
  rmdir --ignore-fail-on-non-empty "$regressions"
done

if [ "${#failed[@]}" -gt 0 ]; then
  echo "fuzz: broken: ${failed[*]}; the texts are in fuzz/regressions/" >&2
  exit 1
fi
