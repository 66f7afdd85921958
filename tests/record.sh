#!/bin/sh
# The recorder, workloads/record/: its counting and writing with numpy and h5py alone; and where there
# is a Python with torch (MOEBAL_PYTHON may name one), the recorder on small models of transformers.
set -eu
. "${MOEBAL_SOURCE:?}/tests/python.sh"
need_python numpy h5py
export PYTHONDONTWRITEBYTECODE=1
"$python" "$MOEBAL_SOURCE/tests/record_trace_file.py"

for torch in ${MOEBAL_PYTHON:-} python3; do
  if "$torch" -c 'import h5py, numpy, torch, transformers
assert transformers.__version__.split(".")[0] >= "5"' 2>/dev/null; then
    HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 PYTHONWARNINGS=ignore \
      exec "$torch" "$MOEBAL_SOURCE/tests/record.py"
  fi
done
echo "not run: models, for want of a Python with torch and transformers 5 (MOEBAL_PYTHON)"
