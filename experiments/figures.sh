#!/bin/sh
# All figures, from the configs in experiments/figures/: of generated loads, over seeds, and of every
# recorded trace that is named, over relabellings of its experts.
#
#   sh experiments/figures.sh [-o DIR] [-j JOBS] [TRACE.h5 ...]
#
# Each gets a folder in DIR (results/figures in the project's folder): DIR/generated, DIR/TRACE.
# Finished cells of a sweep that was stopped are not run again.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/results/figures
jobs=$(nproc)
while getopts o:j: option; do
  case $option in
  o) out=$OPTARG ;;
  j) jobs=$OPTARG ;;
  *)
    echo "usage: sh experiments/figures.sh [-o DIR] [-j JOBS] [TRACE.h5 ...]" >&2
    exit 2
    ;;
  esac
done
shift $((OPTIND - 1))

# $MOEBAL, where it is set, is a program that is built already.
if [ -z "${MOEBAL:-}" ]; then
  . "$root/experiments/packages.sh"
  need_packages $MOEBAL_PACKAGES
  cd "$root"
  cmake --preset release -DMB_BUILD_TESTS=OFF
  cmake --build --preset release --parallel "$(nproc)"
  cd "$OLDPWD"
  MOEBAL=$root/build/release/experiments/moebal
fi
one_run="-F imbalance_over_time -F imbalance_cdf -F layer_heatmap -F strategy_bars -F gpu_load -F in_sample"

# draw FOLDER CONFIG FIGURES OPTION...: runs a config and draws these figures of it.
draw() {
  folder=$1 config=$2 figures=$3
  shift 3
  echo "$folder: $config"
  "$MOEBAL" run "$root/experiments/figures/$config.yaml" -o "$folder/$config.h5" --quiet "$@"
  "$MOEBAL" plot "$folder/$config.h5" -o "$folder" --format pdf,svg,png $figures >/dev/null
}

# draw_timed ...: the same on one thread and a cell at a time: the planner is timed with nothing beside
# it.
draw_timed() (
  export OMP_NUM_THREADS=1
  draw "$@" --resume --jobs 1
)

# of_generated FOLDER: the configs as they are.
of_generated() {
  draw "$1" one_run "$one_run"
  draw_timed "$1" pareto_planner_time "-F pareto_planner_time"
  for config in pareto_moved_bytes rebalance_cost interval_window redundancy batch_size ep_size; do
    draw "$1" "$config" "-F $config" --resume --jobs "$jobs"
  done
}

# products N NUMBER...: the products, separated by commas, each once.
products() {
  by=$1
  shift
  for number in "$@"; do echo $((by * number)); done | sort -nu | paste -sd, -
}

# read_size TRACE: sets steps and experts, and the interval of some fifty plans.
read_size() {
  info=$("$MOEBAL" trace info "$1")
  steps=$(echo "$info" | sed -n 's/^shape  *\([0-9]*\) steps.*/\1/p')
  experts=$(echo "$info" | sed -n 's/^shape .* x \([0-9]*\) experts.*/\1/p')
  interval=$((steps / 50 > 4 ? steps / 50 : 4))
}

# of_trace FOLDER TRACE: the same figures of a trace, on a cluster and a schedule of its size: four
# experts a GPU, on 32 GPUs at most, one slot more, and some fifty plans. There are no seeds:
# intervals are over eight relabellings of the experts.
of_trace() {
  folder=$1 trace=$2
  read_size "$trace"
  gpus=$((experts > 4 ? experts / 4 : 1))
  while [ $gpus -gt 32 ] || [ $((experts % gpus)) -ne 0 ]; do gpus=$((gpus - 1)); done
  a_gpu=$((experts / gpus))
  source="trace={file: \"$(realpath "$trace")\"}"
  cluster="cluster={gpus: $gpus, slots: $((experts + gpus))}"
  schedule="schedule={interval: $interval, window: $interval}"
  set -- --set "$source" --set "$cluster" --set "$schedule"
  over="relabel: 1..8"

  draw "$folder" one_run "$one_run" "$@"
  draw_timed "$folder" pareto_planner_time "-F pareto_planner_time" "$@" \
    --set "sweep={parameters.max_rounds: [0, 1, 2, 5, 10, 20, 50], $over}"
  draw "$folder" pareto_moved_bytes "-F pareto_moved_bytes" "$@" --resume --jobs "$jobs" \
    --set "sweep={schedule.interval: [$(products "$interval" 1 2 4 8)], $over}"
  draw "$folder" interval_window "-F interval_window" "$@" --resume --jobs "$jobs" \
    --set "sweep={schedule.interval: [$(products "$interval" 1 2 4 8)], schedule.window: [$(products "$interval" 1 2 4 8 16)], $over}"
  draw "$folder" redundancy "-F redundancy" "$@" --resume --jobs "$jobs" \
    --set "sweep={cluster.slots: [$(products "$gpus" $a_gpu $((a_gpu + 1)) $((a_gpu + 2)) $((a_gpu + 4)) $((2 * a_gpu)))], $over}"
  # Plans are made at the same steps of the trace, and at every one that is the most summed. Of a short
  # trace 64 would leave but a handful.
  merges="1, 4, 16, 64" plans="64, 16, 4, 1"
  if [ "$steps" -lt 1024 ]; then merges="1, 4, 16" plans="16, 4, 1"; fi
  draw "$folder" batch_size "-F batch_size" "$@" --resume --jobs "$jobs" \
    --set "sweep={zip: {trace.merge: [$merges], schedule.interval: [$plans], schedule.window: [$plans]}, $over}"
  # Sizes that divide the experts, with one slot more on each GPU.
  sizes=
  slots=
  for size in 2 4 8 16 32 64 128; do
    if [ $((experts % size)) -eq 0 ] && [ $((size)) -le "$experts" ]; then
      sizes=$sizes${sizes:+, }$size
      slots=$slots${slots:+, }$((experts + size))
    fi
  done
  draw "$folder" ep_size "-F ep_size" "$@" --resume --jobs "$jobs" \
    --set "sweep={zip: {cluster.gpus: [$sizes], cluster.slots: [$slots]}, $over}"
}

refuse() {
  echo "figures.sh: $1" >&2
  exit 1
}

# What cannot be drawn is told before the minutes that the generated loads take.
names=/generated/ # between slashes, which no name has
for trace in "$@"; do
  read_size "$trace"
  # Steps are scored from the longest of the swept intervals on.
  [ "$steps" -gt $((8 * interval)) ] ||
    refuse "$trace has $steps steps; plans every $((8 * interval)) of them need more"
  name=$(basename "$trace" .h5)
  case $names in
  */"$name"/*) refuse "$trace would share the folder $out/$name with other loads; give it another name" ;;
  esac
  names=$names$name/
done
mkdir -p "$out/generated"
of_generated "$out/generated"
for trace in "$@"; do
  name=$(basename "$trace" .h5)
  mkdir -p "$out/$name"
  of_trace "$out/$name" "$trace"
done
echo
echo "The figures, as PDF, SVG and PNG with captions in .txt, are in:"
for folder in generated "$@"; do
  echo "  $out/$(basename "$folder" .h5)"
done
