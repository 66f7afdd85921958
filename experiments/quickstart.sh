#!/bin/sh
# From a fresh clone to figures and reports: installs what is missing, builds, and replays two traces
# through all strategies: recorded routing that comes with the project, then a generated trace of
# DeepSeek-V3's size. All goes to results/ in the project's folder.
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
  "$moebal" report "results/$name.h5" -o "results/$name.html"
done
echo
echo "Open $root/results/recorded.html in a browser: recorded routing,"
echo "and $root/results/quickstart.html: generated loads. The figures are in the folders beside them."
