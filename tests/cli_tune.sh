#!/bin/sh
# `moebal tune`: what it prints of every candidate is what `moebal run` of the same sweep gives on both
# parts, the first of them is the best on the first part, and what it cannot do it refuses.
set -eu
moebal=${MOEBAL:?names the program}
. "$MOEBAL_SOURCE/tests/python.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
  echo "cli_tune: $1" >&2
  sed 's/^/  | /' out err >&2
  exit 1
}

# refused TEXT ARGUMENT...: fails with that text, and prints nothing else.
refused() {
  text=$1
  shift
  status=0
  "$moebal" tune "$@" >out 2>err || status=$?
  [ "$status" -eq 1 ] || fail "$*: exit status $status"
  grep -qF -- "$text" err || fail "$*: says not '$text'"
  [ ! -s out ] || fail "$*: prints on standard output"
}

cat >config.yaml <<'END'
name: tuned
trace: {generate: {use: drift, steps: 1000, layers: 2, experts: 16, top_k: 2, groups: 1, tokens: 2048, drift_fast: 0, drift_slow: 0}}
cluster: {gpus: 4, slots: 20, expert_bytes: 1000}
schedule: {interval: 10, window: 10}
strategies: [lpt, l2]
tune: {max_expert_bytes_per_gpu: 12000}
sweep: {schedule.interval: [5, 10], schedule.window: [5, 20], cluster.slots: [20, 24, 28]}
END

refused "tune.max_expert_bytes_per_gpu is missing" config.yaml --set tune.max_expert_bytes_per_gpu=none
refused "none of 12 cells fits into 100 bytes" config.yaml --set tune.max_expert_bytes_per_gpu=100
refused "seed is swept, which is nothing to deploy" config.yaml --set 'sweep.seed=[1, 2]'
refused "has to go beyond summary.from" config.yaml --set summary.from=510
refused "cluster.expert_bytes is auto" config.yaml --set cluster.expert_bytes=auto
refused "but has to be one of: step_imbalance" config.yaml --objective beauty

"$moebal" tune config.yaml >out 2>err || fail "tune fails"
grep -q '^18 candidates in 8 cells (4 cells are too large for a GPU), by step_imbalance on steps 10 to 499; the rest is steps 500 to 999\.$' out ||
  fail "what was tried"
grep -q 'num_redundant_experts' out || fail "no flags of vLLM"
sed -n '/^Recommended config:$/,/^What comes closest elsewhere:$/p' out | sed '1d;$d' >chosen.yaml
"$moebal" run chosen.yaml --quiet --output chosen.h5 >run.out 2>err || fail "the recommended config does not run"

need_python h5py
"$moebal" run config.yaml --quiet --output all.h5 >run.out 2>err || fail "the sweep does not run"
"$python" - all.h5 chosen.h5 out <<'END' || fail "other values than the results have"
import re
import sys

import h5py
import numpy

values = {}
with h5py.File(sys.argv[1]) as file:
    for name, run in file["runs"].items():
        load = run["step_load"][:]
        for label in ("none", "lpt", "l2"):
            step = run[label]["step_imbalance"][:]
            mean = lambda a, b: (step[a:b] * load[a:b]).sum() / load[a:b].sum()
            keys = run.attrs["interval"], run.attrs["window"], run.attrs["n_slots"], label
            moved = sum(run[label]["plans/moved_experts"][:].sum(1))
            values[tuple(str(key) for key in keys)] = mean(10, 500), mean(500, 1000), moved
text = open(sys.argv[3], encoding="utf-8").read()
table = text.split("\nThe best of each strategy")[0]
rows = re.findall(r"^(none|lpt|l2) +([0-9.]+) +([0-9.]+) +([0-9]+) +[0-9.e-]+ GB +(.*)$", table, re.M)
assert len(rows) in (10, 11)
firsts = []
for label, first, rest, moved, settings in rows:
    found = dict(setting.split("=") for setting in settings.split())
    want = values[found["interval"], found["window"], found["slots"], label]
    assert abs(float(first) - want[0]) < 6e-5 and abs(float(rest) - want[1]) < 6e-5, (rows, want)
    firsts.append(float(first))
small = {key: value for key, value in values.items() if key[2] in ("20", "24")}
assert firsts[0] == round(min(value[0] for value in small.values()), 4)
assert firsts[:10] == sorted(firsts[:10])
best = min(value[1] for value in small.values())
found = re.search(r"best of the grid on the rest is ([0-9.]+) % better than", text)
assert found or "it is the best on the rest, too" in text
gap = float(found.group(1)) if found else 0
assert abs(gap - 100 * (float(rows[0][2]) / best - 1)) < 0.02
with h5py.File(sys.argv[2]) as file:
    run = next(iter(file["runs"].values()))
    load = run["step_load"][:]
    step = run[rows[0][0]]["step_imbalance"][:]
    none = run["none"]["step_imbalance"][:]
    own, without = ((s[500:] * load[500:]).sum() / load[500:].sum() for s in (step, none))
    assert abs(own - float(rows[0][2])) < 6e-5
    difference, low, high = map(
        float,
        re.search(r"^none .*\n +\+([0-9.]+) %, .* interval \+([0-9.]+) .. \+([0-9.]+) %", text, re.M)
        .groups(),
    )
    assert abs(difference - 100 * (without / own - 1)) < 0.006 and low < difference < high
END

# By latency: slots, links and stalls are priced, and where weights take long to move, none is best.
"$moebal" tune config.yaml --objective step_latency --set cost.gpu=h100 --set cost.hidden=1024 \
  --set cost.move_layer_us=1e6 >out 2>err || fail "tune by latency"
sed -n '4p;/strategy/{n;p;}' out | grep -q '^none ' || fail "by latency none is not the best"
grep -q 'no --enable-eplb' out || fail "no flags for none"
refused "the objective gpu_hours needs a model of costs" config.yaml --objective gpu_hours

# Without a sweep of its own a grid is tried.
"$moebal" tune config.yaml --set sweep=null >out 2>err || fail "the usual grid"
grep -q '^[0-9]* candidates in [0-9]* cells' out || fail "the usual grid says nothing"
grep -q 'interval=40' out || grep -q 'window=' out || fail "the usual grid varies nothing"
