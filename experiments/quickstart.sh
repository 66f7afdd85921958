#!/bin/sh
# From a fresh clone to figures: installs what is missing, builds, replays a generated trace through
# all strategies and draws the imbalance over time. Results go to results/ in the project's folder.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/experiments/packages.sh"
need_packages $MOEBAL_PACKAGES

cd "$root"
cmake --preset release -DMB_BUILD_TESTS=OFF
cmake --build --preset release --parallel "$(nproc)"
moebal=$root/build/release/experiments/moebal

mkdir -p results
"$moebal" run experiments/quickstart.yaml -o results/quickstart.h5
"$moebal" plot results/quickstart.h5 -o results/quickstart --format pdf,svg,png
echo
echo "Look at $root/results/quickstart/imbalance_over_time.png"
