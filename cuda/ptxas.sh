#!/bin/sh
# What ptxas says of each kernel and architecture: registers, shared memory, spills. A spill, or a
# kernel that is missing, is a failure.
set -eu
cd "$(dirname "$0")/.."
nvcc=${CUDACXX:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
if [ ! -x "$nvcc" ]; then
  echo "there is no nvcc: put it on the PATH, or name it in CUDACXX" >&2
  exit 1
fi
object=$(mktemp)
trap 'rm -f "$object" "$object.log"' EXIT

for architecture in 80 90 100; do
  "$nvcc" -std=c++17 -O3 --fmad=false -arch="sm_$architecture" -Xptxas -v -I. \
    -c cuda/rebalance.cu -o "$object" 2>"$object.log"
  awk -v architecture="sm_$architecture" '
    /Compiling entry function/ {
      kernel = $0
      sub(/.*kernelI[0-9]+mb_cuda_/, "", kernel)
      sub(/Ev.*/, "", kernel)
    }
    /spill stores/ { spills = $5 + $9 }
    /Used [0-9]+ registers/ {
      shared = 0
      for (i = 1; i < NF; i++) {
        if ($i == "bytes" && $(i + 1) ~ /^smem/) { shared = $(i - 1) }
      }
      registers = $0
      sub(/.*Used /, "", registers)
      sub(/ .*/, "", registers)
      printf "%-7s %-7s %3d registers, %4d bytes of static shared memory, %d bytes of spills\n",
        architecture, kernel, registers, shared, spills
      kernels++
      spilled += spills
    }
    END { exit kernels != 3 || spilled > 0 }' "$object.log"
done
