#!/bin/sh
# The kernels in the emulator under clang's ThreadSanitizer, as a race checker, and MemorySanitizer,
# in several orders of threads. What each must catch is said in tests/test_emulator_bugs.c.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/experiments/packages.sh"
need_packages $MOEBAL_PACKAGES $MOEBAL_TEST_PACKAGES clang libomp-dev

cd "$root"
for sanitizer in tsan msan; do
  cmake --preset "$sanitizer"
  cmake --build --preset "$sanitizer" --parallel "$(nproc)"
  for order in ascending descending random:1 random:2; do
    echo "$sanitizer, $order"
    # One thread of OpenMP's: its runtime is not instrumented, and isn't what is looked at here.
    OMP_NUM_THREADS=1 MB_EMULATOR_ORDER=$order ctest --preset "$sanitizer" --parallel "$(nproc)"
  done
done
