#!/bin/sh
# Installs what is missing, builds release with warnings as errors, and passes all tests.
# Arguments go to ctest: `sh tests/run.sh -L golden`. The long forms of some tests, labelled slow,
# run where they are asked for: `sh tests/run.sh -L slow`.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/experiments/packages.sh"
need_packages $MOEBAL_PACKAGES $MOEBAL_TEST_PACKAGES
want_packages $MOEBAL_BROWSER_PACKAGES

cd "$root"
cmake --preset release -DMB_WERROR=ON -DMB_BUILD_TESTS=ON
cmake --build --preset release --parallel "$(nproc)"
case " $* " in
*" slow "*) ;;
*) set -- -LE slow "$@" ;;
esac
ctest --preset release --parallel "$(nproc)" "$@"
