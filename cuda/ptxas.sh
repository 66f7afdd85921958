#!/bin/sh
# What each kernel takes on each architecture, by the assembler's own account: registers a thread,
# static shared memory, stack frame and spills, in bytes. `sh cuda/ptxas.sh`; needs nvcc, no GPU.
set -eu
cd "$(dirname "$0")/.."
nvcc=${CUDACXX:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
if [ ! -x "$nvcc" ]; then
  echo "there is no nvcc: put it on the PATH, or name it in CUDACXX" >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

demangle() {
  if command -v c++filt >/dev/null; then c++filt; else cat; fi
}

# table ARCH: a row for each kernel of `ptxas -v`, which names one and then tells of it.
table() {
  awk -v arch="$1" '
    /Compiling entry function/ { split($0, part, "\047"); name = part[2] }
    /bytes stack frame/ { stack = $1; stores = $5; loads = $9 }
    /Used [0-9]+ registers/ {
      shared = 0
      for (i = 2; i <= NF; i++) {
        if ($i ~ /^registers/) registers = $(i - 1)
        if ($i == "smem" || $i == "smem,") shared = $(i - 2)
      }
      printf "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", arch, registers, shared, stack, stores, loads, name
    }'
}

printf 'arch\tregisters\tshared\tstack\tspill_stores\tspill_loads\tkernel\n'
for source in cuda/*.cu; do
  for arch in sm_80 sm_90 sm_100; do
    if ! log=$("$nvcc" -std=c++17 -O3 --fmad=false -I. -arch="$arch" -cubin -Xptxas=-v "$source" \
      -o "$work/cubin" 2>&1); then
      printf '%s\n' "$log" >&2
      exit 1
    fi
    printf '%s\n' "$log" | table "$arch" | demangle
  done
done
