#!/bin/sh
# workloads/record/trace_file.py, with numpy and h5py alone.
set -eu
for python in ${MOEBAL_PYTHON:-} python3 /usr/bin/python3; do
  if "$python" -c 'import h5py, numpy' 2>/dev/null; then
    PYTHONDONTWRITEBYTECODE=1 exec "$python" "${MOEBAL_SOURCE:?}/tests/record_trace_file.py"
  fi
done
echo "skipped: no Python with h5py (Debian: python3-h5py)"
exit 77
