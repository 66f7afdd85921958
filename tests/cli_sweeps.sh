#!/bin/sh
# Sweeps: whatever is killed and whenever, in the end there are the same datasets. Skips where there
# is no h5py. An argument is the seed of the moments.
set -eu
: "${MOEBAL:?the program to test}"
tests=$(cd "$(dirname "$0")" && pwd)
. "$tests/python.sh"
need_python h5py numpy
folder=$(mktemp -d "${TMPDIR:-/tmp}/moebal-sweep-XXXXXX")
trap 'rm -rf "$folder"' EXIT
OMP_WAIT_POLICY=passive
export OMP_WAIT_POLICY
cd "$folder"
"$python" "$tests/sweep.py" "$@"
