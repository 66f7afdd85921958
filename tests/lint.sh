#!/bin/sh
# Builds everything with clang, warnings as errors, and runs clang-tidy, clang-format and shellcheck.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/experiments/packages.sh"
need_packages $MOEBAL_PACKAGES $MOEBAL_TEST_PACKAGES \
  clang clang-tidy clang-format libomp-dev shellcheck

cd "$root"
git ls-files '*.[ch]' | xargs clang-format --dry-run --Werror
# Excluded: what one script sets and another uses, and lists of words that are meant to be split.
git ls-files '*.sh' | xargs shellcheck --shell=sh --exclude=SC1091,SC2034,SC2086,SC2154 .ci/run
CC=clang cmake --preset dev -B build/clang
cmake --build build/clang --parallel "$(nproc)"
git ls-files '*.c' | xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p build/clang
