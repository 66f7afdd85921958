#!/bin/sh
# Imports of adrs, vllm and tokens: files as Python's json and numpy write them, against what numpy
# makes of the same loads, and against a plain simulation of the serving.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
. "$source/tests/python.sh"
need_python numpy h5py
: "${MOEBAL:?the program to test}"
"$python" "$source/tests/import_json.py"
