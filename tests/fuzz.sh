#!/bin/sh
# Fuzzes what reads other people's files, with libFuzzer under the address and undefined-behaviour
# sanitizers: `sh tests/fuzz.sh [SECONDS | -runs=N] [TARGET...]`, 5 seconds for each target if nothing
# is said. It starts from the fixtures of the tests: every tests/import_*.py, given a folder, writes
# its own to FOLDER/TARGET. Prints how often each target ran; what it found is in
# build/fuzz/findings/.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/experiments/packages.sh"
. "$root/tests/python.sh"
need_packages $MOEBAL_PACKAGES clang libomp-dev python3-h5py python3-numpy
need_python numpy h5py

limit=-max_total_time=5
case ${1:-} in
-runs=*)
  limit=$1
  shift
  ;;
[0-9]*)
  limit=-max_total_time=$1
  shift
  ;;
esac

cd "$root"
CC=clang cmake --preset fuzz >/dev/null
targets=${*:-$(cat build/fuzz/tests/fuzz/targets.txt)}
programs=
for target in $targets; do
  programs="$programs fuzz_$target"
done
cmake --build build/fuzz --parallel "$(nproc)" --target $programs

fixtures=build/fuzz/fixtures
findings=build/fuzz/findings
rm -rf "$fixtures"
mkdir -p "$fixtures" "$findings"
for script in tests/import_*.py; do
  "$python" "$script" "$fixtures"
done

status=0
for target in $targets; do
  corpus=build/fuzz/corpus/$target
  log=build/fuzz/$target.log
  mkdir -p "$corpus" "$fixtures/$target"
  set -- "$limit" -max_len=16384 -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=256 \
    -print_final_stats=1 "-artifact_prefix=$findings/$target-" "$corpus" "$fixtures/$target"
  # libhdf5 is not ours: what it leaks and where it crashes is listed, and fuzzing goes on.
  [ "$target" != hdf5 ] || set -- -fork=1 -ignore_crashes=1 -ignore_timeouts=1 -ignore_ooms=1 \
    -detect_leaks=0 "$@"
  if ! ASAN_OPTIONS=allocator_may_return_null=1 "build/fuzz/tests/fuzz/fuzz_$target" "$@" \
    >"$log" 2>&1; then
    tail -n 40 "$log"
    status=1
  fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p; s/^#\([0-9]*\):.*/\1/p' "$log" | tail -n 1)
  found=$(grep -c '^SUMMARY: ' "$log" || true)
  echo "$target: ${runs:-0} runs, $found findings"
done
exit "$status"
