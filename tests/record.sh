#!/bin/sh
# workloads/record/record.py, on small models with random weights. MOEBAL_PYTHON may name a Python
# that has torch.
set -eu
for python in ${MOEBAL_PYTHON:-} python3 /usr/bin/python3; do
  if "$python" -c 'import h5py, numpy, torch, transformers
assert transformers.__version__.split(".")[0] >= "5"' 2>/dev/null; then
    HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore \
      exec "$python" "${MOEBAL_SOURCE:?}/tests/record.py"
  fi
done
echo "skipped: no Python with torch, transformers 5 and h5py (MOEBAL_PYTHON may name one)"
exit 77
