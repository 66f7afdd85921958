#!/bin/sh
# For a machine with an NVIDIA GPU: builds for it, runs the kernels' tests on it, again under
# compute-sanitizer where that is installed, and measures. `sh cuda/check.sh FOLDER` leaves the
# benchmark's numbers and figures there; without a folder, in build/cuda/bench.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-$root/build/cuda/bench}
. "$root/experiments/packages.sh"
need_packages $MOEBAL_PACKAGES $MOEBAL_TEST_PACKAGES

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$root"
cmake --preset cuda -DMB_BUILD_TESTS=ON -DMB_GPU_TESTS=ON
cmake --build --preset cuda --parallel "$(nproc)"
moebal=build/cuda/experiments/moebal

# Without a GPU this is where it ends, in one line.
"$moebal" run experiments/quickstart.yaml --backend cuda --output "$folder/quickstart-cuda.h5"
"$moebal" run experiments/quickstart.yaml --backend cpu --quiet --output "$folder/quickstart-cpu.h5"
ctest --preset cuda -L gpu

if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck synccheck; do
    echo "compute-sanitizer: $tool"
    compute-sanitizer --tool "$tool" --error-exitcode 1 build/cuda/tests/test_cuda_rebalance_gpu
  done
else
  echo "compute-sanitizer is not on the PATH: its checks are left out"
fi

sh cuda/ptxas.sh
"$moebal" bench --impl naive --impl cpu-1 --impl cpu --impl cuda \
  --json "$folder/bench.json" --plot "$folder"
echo "in $folder: bench.json, and figures"
