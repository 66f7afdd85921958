#!/bin/sh
# Installs what is missing, builds release with warnings as errors, and passes all tests.
# Arguments go to ctest: `sh tests/run.sh -L golden`.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/experiments/packages.sh"
need_packages $MOEBAL_PACKAGES $MOEBAL_TEST_PACKAGES

cd "$root"
cmake --preset release -DMB_WERROR=ON -DMB_BUILD_TESTS=ON
cmake --build --preset release --parallel "$(nproc)"
ctest --preset release --parallel "$(nproc)" "$@"
