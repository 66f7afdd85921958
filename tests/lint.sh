#!/bin/sh
# Builds everything with clang, warnings as errors, and runs clang-tidy, clang-format and shellcheck.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/experiments/packages.sh"
need_packages $MOEBAL_PACKAGES $MOEBAL_TEST_PACKAGES \
  clang clang-tidy clang-format libomp-dev shellcheck

cd "$root"
git ls-files '*.[ch]' | xargs clang-format --dry-run --Werror
git ls-files '*.sh' | xargs shellcheck --shell=sh --exclude=SC1091,SC2086 .ci/run
CC=clang cmake --preset dev -B build/clang
cmake --build build/clang --parallel "$(nproc)"
git ls-files '*.c' | xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p build/clang
