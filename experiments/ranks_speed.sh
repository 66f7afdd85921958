#!/bin/sh
# How much faster several ranks are than one: a sweep of 32 equal cells under mpirun, one thread a
# cell, with 1 rank and with RANKS in turn; then whether both have the same results.
#
#   sh experiments/ranks_speed.sh [RANKS [ROUNDS]]      2 ranks, 5 rounds; five minutes or so
#
# Wants RANKS idle processors: what else runs costs several ranks more than one. The processor time
# beside it hardly minds. Exit status 1: the median ratio is below 0.9 RANKS, or the results differ.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
ranks=${1:-2}
rounds=${2:-5}
moebal=${MOEBAL:-$root/build/release/experiments/moebal}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
processors=$(nproc)
OMP_NUM_THREADS=1
OMP_WAIT_POLICY=passive
OMPI_MCA_btl_vader_single_copy_mechanism=none # which containers forbid
export OMP_NUM_THREADS OMP_WAIT_POLICY OMPI_MCA_btl_vader_single_copy_mechanism
options="--oversubscribe --bind-to none"
[ "$(id -u)" -ne 0 ] || options="$options --allow-run-as-root"

# The cells differ in the seed of their loads alone, which each makes for itself.
cat >equal.yaml <<END
name: equal
trace: {generate: {use: domains, steps: 12000, layers: 8, experts: 64, top_k: 4, groups: 8}}
cluster: {nodes: 2, gpus: 8, slots: 72}
schedule: {interval: 50, window: 50}
strategies: [lpt, maxmin, l2]
sweep: {trace.generate.seed: 1..32}
END

# look: sets now and used, the seconds of processor time of all that has ended so far.
look() {
  times >spent # in a pipe it would be of the pipe's own shell
  used=$(tail -n 1 spent | tr 'ms' '  ' | awk '{ print 60 * ($1 + $3) + $2 + $4 }')
  now=$(date +%s.%N)
}

# measure N: sets seconds and processor, of N ranks.
measure() {
  rm -f "ranks$1.h5"
  look
  before="$now $used"
  mpirun $options -n "$1" "$moebal" run equal.yaml -q -o "ranks$1.h5"
  look
  seconds=$(echo "$now $before" | awk '{ printf "%.2f", $1 - $2 }')
  processor=$(echo "$used $before" | awk '{ printf "%.2f", $1 - $3 }')
}

echo "32 equal cells, OMP_NUM_THREADS=1, $processors processors, load $(cut -d ' ' -f 1-3 /proc/loadavg)"
echo "round  1 rank: s  cpu s  $ranks ranks: s  cpu s   ratio"
round=0
while [ "$round" -lt "$rounds" ]; do
  round=$((round + 1))
  measure 1
  one=$seconds one_cpu=$processor
  measure "$ranks"
  echo "$round $one $one_cpu $seconds $processor" | awk '{
    printf "%5d  %9s  %5s  %10s  %5s  %6.3f\n", $1, $2, $3, $4, $5, $2 / $4 }' | tee -a rows
done
median=$(awk '{ print $NF }' rows | sort -n | awk '
  { ratio[NR] = $1 }
  END { print (ratio[int((NR + 1) / 2)] + ratio[int((NR + 2) / 2)]) / 2 }')
echo "median: $ranks ranks are $median times as fast as 1"

compared=
for python in "${MOEBAL_PYTHON:-python3}" /usr/bin/python3; do
  if [ -z "$compared" ] && "$python" -c 'import h5py' 2>/dev/null; then
    "$python" "$root/tests/same_results.py" ranks1.h5 "ranks$ranks.h5"
    compared=yes
  fi
done
if [ -n "$compared" ]; then
  echo "The results are the same."
else
  echo "No Python here has h5py: the results are not compared."
fi
awk -v median="$median" -v ranks="$ranks" 'BEGIN { exit median < 0.9 * ranks }'
