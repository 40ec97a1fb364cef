#!/usr/bin/env bash
# Builds waypost as it is to be used: `make release`. What it prints on stdout is the path of the binary.
#
# A build that counts which way its branches go serves a load for half a minute, and by these counts the compiler then
# lays out the real one (profile-guided optimisation). docs/performance.md says what that is worth.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
target="${CARGO_TARGET_DIR:-$root/target}"
build="$target/profiled"
host="$(rustc -vV | sed -n 's/^host: //p')"
"$root/scripts/install-bench-deps.sh"
# That of the toolchain (its component llvm-tools), or Debian's: it has to know the format that rustc writes.
merge="$(rustc --print target-libdir)/../bin/llvm-profdata"
[ -x "$merge" ] || merge=llvm-profdata-19

# Builds with more flags, to a name. With --target they are for the program alone, not for what runs while it is built.
compile() {
  RUSTFLAGS="${RUSTFLAGS-} $1" "${CARGO:-cargo}" build --release --locked -p waypost --bin waypost \
    --manifest-path "$root/Cargo.toml" --target "$host" --target-dir "$build"
  cp -p "$build/$host/release/waypost" "$2"
}

compile "-Cprofile-generate=$build/counts" "$build/counting"
profile="$(find "$build" -maxdepth 1 -name '*.profdata' -newer "$build/counting" | head -n 1)"
if [ -z "$profile" ]; then
  echo "release: the load that is counted takes half a minute" >&2
  rm -rf "$build/counts" "$build"/*.profdata
  LLVM_PROFILE_FILE="$build/counts/%p.profraw" python3 -B "$root/bench/measure.py" --waypost "$build/counting" \
    --only waypost --no-write --rounds 1 --seconds 2 --workload W1,W2,W3,W4,W5,W6,W7,W8,W11 >/dev/null
  "$merge" merge -o "$build/merged" "$build/counts"/*.profraw
  # Cargo builds anew when flags change, and knows nothing of files that they name.
  profile="$build/$(sha256sum "$build/merged" | cut -c 1-16).profdata"
  mv "$build/merged" "$profile"
fi
mkdir -p "$target/dist"
compile "-Cprofile-use=$profile" "$target/dist/waypost"
realpath "$target/dist/waypost"
