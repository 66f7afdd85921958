#!/bin/sh
# Builds everything with clang, warnings as errors, and runs clang-tidy, clang-format and shellcheck.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/experiments/packages.sh"
need_packages $MOEBAL_PACKAGES $MOEBAL_TEST_PACKAGES \
  clang clang-tidy clang-format libomp-dev shellcheck

cd "$root"
git ls-files '*.[ch]' '*.cpp' '*.cu' '*.cuh' | xargs clang-format --dry-run --Werror
# Excluded: what one script sets and another uses, and lists of words that are meant to be split.
git ls-files '*.sh' '*.sbatch' | xargs shellcheck --shell=sh --exclude=SC1091,SC2034,SC2086,SC2154 .ci/run
# Without nvcc, so that the build for machines that have none is built too.
CC=clang CXX=clang++ cmake --preset dev -B build/clang -DMB_CUDA=OFF -DMB_FUZZ=ON
cmake --build build/clang --parallel "$(nproc)"
# Kernels are seen through the C++ files that include them for the emulator.
{
  git ls-files '*.c' '*.cpp'
  find build/clang -name '*_emulated.cpp'
} | xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p build/clang
