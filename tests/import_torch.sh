#!/bin/sh
# Recordings of SGLang, TensorRT-LLM and Megatron-Core, as written without torch; then, where there
# is a Python with it, by torch.save() and safetensors themselves.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
. "$source/tests/python.sh"
: "${MOEBAL:?}"
export MOEBAL

need_python numpy h5py
"$python" "$source/tests/import_recordings.py"

torch_python=${MOEBAL_PYTHON:-python3}
if "$torch_python" -c 'import numpy, h5py, torch, safetensors' 2>/dev/null; then
  "$torch_python" "$source/tests/import_recordings.py" --torch
else
  echo "left out: what torch itself writes, since $torch_python has no torch, safetensors and h5py" \
    "(MOEBAL_PYTHON names one that has)"
fi
