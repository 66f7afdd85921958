#!/bin/sh
# From a fresh clone to figures: installs what is missing, builds, and replays two traces through all
# strategies: recorded routing that comes with the project, then a generated trace of DeepSeek-V3's
# size. Results and figures go to results/ in the project's folder.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/experiments/packages.sh"
need_packages $MOEBAL_PACKAGES

cd "$root"
cmake --preset release -DMB_BUILD_TESTS=OFF
cmake --build --preset release --parallel "$(nproc)"
moebal=$root/build/release/experiments/moebal

mkdir -p results
for name in recorded quickstart; do
  echo
  "$moebal" run "experiments/$name.yaml" -o "results/$name.h5"
  "$moebal" plot "results/$name.h5" -o "results/$name" --format pdf,svg,png
done
echo
echo "Look at $root/results/recorded/imbalance_over_time.png: recorded routing,"
echo "and at $root/results/quickstart/imbalance_over_time.png: generated loads."
