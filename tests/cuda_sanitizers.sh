#!/bin/sh
# The kernels in the emulator under clang's ThreadSanitizer, as a race checker, and MemorySanitizer.
# What each must catch is said in tests/test_emulator_bugs.c. Without the descending order: neither
# needs an order to go wrong.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/experiments/packages.sh"
need_packages $MOEBAL_PACKAGES $MOEBAL_TEST_PACKAGES clang libomp-dev

cd "$root"
for sanitizer in tsan msan; do
  cmake --preset "$sanitizer"
  cmake --build --preset "$sanitizer" --parallel "$(nproc)"
  ctest --preset "$sanitizer" --parallel "$(nproc)"
done
