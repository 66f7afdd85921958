#!/bin/sh
# `moebal export` and `moebal rebalance`: what they write, what they print, and what they refuse.
set -eu
words=""
. "$(dirname "$0")/python.sh"
. "$(dirname "$0")/cli.sh"

cat >tiny.yaml <<END
name: tiny
trace: {file: t.h5}
cluster: {nodes: 2, gpus: 4, slots: 24}
schedule: {interval: 10, window: 15, delay: 2}
END
run 0 trace generate -o t.h5 -s steps=40 -s layers=3 -s experts=16 -s top_k=2 -s groups=4
run 0 run tiny.yaml -q -o r.h5

# The last plan by default; what it is, on standard error where the map is on standard output.
run 0 export r.h5 -s l2 -f trtllm
says "initial_global_assignments:"
one_line "export" "plan 2 of 0 to 2 of l2, made at step 30, in effect from step 32: 3 layers of 24 slots"
cp out last.yaml
run 0 export r.h5 -s l2 -f trtllm -p 2 -o map.yaml
says "map.yaml: plan 2 of 0 to 2 of l2"
cmp map.yaml last.yaml || fail "a file has something else than standard output"
run 0 export r.h5 --strategy l2 --plan 0 --format sglang --run tiny -o map.json
run 0 export r.h5 -s l2 -p 0 -f vllm-ascend -o ascend.json
run 0 export r.h5 -s l2 -p 0 -f npy -o map.npy
run 0 export r.h5 -s l2 -p all -f npy -o all.npy
says "all.steps.npy: the steps"
run 0 export r.h5 -s hindsight -p all -f npy -o hindsight.npy
for format in trtllm sglang vllm-ascend npy; do
  run 0 export r.h5 -s l2 -f "$format" -o again
  run 0 export r.h5 -s l2 -f "$format" -o again # a map is replaced by one of its kind
  rm again
done

# One placement for given loads.
run 0 rebalance t.h5 --slots 24 --gpus 4 --nodes 2 -f trtllm -o one.yaml
says "one.yaml: 3 layers of 24 slots, trtllm"
[ "$(grep -cE '^ +([345]|all) +[0-9]\.[0-9]{4} +[0-9]\.[0-9]{4}$' out)" -eq 4 ] ||
  fail "not a line a layer, and one for all"
awk '$1 == "all" && $3 < $2 { found = 1 } END { exit !found }' out || fail "nothing is gained"
run 0 rebalance t.h5 --slots 24 --gpus 4 --nodes 2 --steps 15:30 -f trtllm -o window.yaml
says "the sum of steps 15 to 29"
run 0 export r.h5 -s l2 -p 2 -f trtllm
cmp out window.yaml || fail "the same window and strategy, another placement"
run 0 rebalance t.h5 --slots 24 --gpus 4 --set max_rounds=0
cp out rounds
run 0 rebalance t.h5 --slots 24 --gpus 4 -s lpt
sed 's/ lpt/  l2/' out >said
cmp -s said rounds || fail "without rounds l2 is something else than lpt"
run 0 rebalance t.h5 --slots 24 --gpus 4 --nodes 4 --groups 2
grep -q "2 groups do not divide by 4" err || fail "nothing is said of the global policy"
run 0 rebalance t.h5 --slots 24 --gpus 4 --first-layer 60 -f sglang -o sixty.json
says "   62 "

# What is refused, and what was there stays.
before=$(cksum <map.json)
refuses 1 "map.json: is there, and no trtllm map" export r.h5 -s l2 -f trtllm -o map.json
refuses 1 "map.json: is there, and no npy map" export r.h5 -s l2 -f npy -p all -o map.json
refuses 1 "is the input" export r.h5 -s l2 -f npy -o ./r.h5
refuses 1 "is the input" rebalance map.npy --slots 24 --gpus 4 -f npy -o ./map.npy
refuses 1 "is a folder" export r.h5 -s l2 -f npy -o .
refuses 1 "nowhere/x" export r.h5 -s l2 -f npy -o nowhere/x
refuses 1 "r.h5: run tiny has no strategy 'l3'; it has none, lpt, maxmin, l2, hindsight" \
  export r.h5 -s l3 -f npy -o x
refuses 1 "strategy none made no plans" export r.h5 -s none -f npy -o x
refuses 1 "strategy l2 has no plan 3; it has 0 to 2" export r.h5 -s l2 -f npy -o x -p 3
refuses 1 "there is no run 'x'; there is tiny" export r.h5 -s l2 -f npy -o x --run x
refuses 1 "t.h5" export t.h5 -s l2 -f npy -o x
refuses 1 "x.h5" export x.h5 -s l2 -f npy -o x
head -c 30000 r.h5 >cut.h5
refuses 1 "cut.h5" export cut.h5 -s l2 -f npy -o x
refuses 2 "which RESULTS?" export -s l2 -f npy
refuses 2 "--strategy NAME is missing" export r.h5 -f npy
refuses 2 "--format NAME is missing" export r.h5 -s l2
refuses 2 "there is no format 'vllm'; there is trtllm, sglang, vllm-ascend, npy" export r.h5 -f vllm
refuses 2 "a number from 0, last or all, not '-1'" export r.h5 -s l2 -f npy --plan=-1
refuses 2 "--plan all needs --format npy and -o FILE" export r.h5 -s l2 -f trtllm -p all -o x
refuses 2 "--plan all needs --format npy and -o FILE" export r.h5 -s l2 -f npy -p all
refuses 2 "is a second one" export r.h5 r.h5
refuses 1 "25 slots do not divide evenly over 4 GPUs" rebalance t.h5 --slots 25 --gpus 4
refuses 1 "12 slots cannot hold 16 experts" rebalance t.h5 --slots 12 --gpus 4
refuses 1 "steps 30 to 40 are asked for, but it has steps 0 to 39" \
  rebalance t.h5 --slots 24 --gpus 4 --steps 30:41
refuses 1 "neither a trace nor an .npy file" rebalance map.json --slots 24 --gpus 4
refuses 1 "x.npy" rebalance x.npy --slots 24 --gpus 4
refuses 1 "max_round" rebalance t.h5 --slots 24 --gpus 4 --set max_round=1
refuses 2 "--slots is missing" rebalance t.h5 --gpus 4
refuses 2 "--gpus is missing" rebalance t.h5 --slots 4
refuses 2 "'0' should be a whole number from 1" rebalance t.h5 --slots 0 --gpus 4
refuses 2 "-o FILE is missing" rebalance t.h5 --slots 24 --gpus 4 -f npy
refuses 2 "--format NAME is missing" rebalance t.h5 --slots 24 --gpus 4 -o x
refuses 2 "--steps takes FIRST:END" rebalance t.h5 --slots 24 --gpus 4 --steps 3
refuses 2 "END is the step after the last" rebalance t.h5 --slots 24 --gpus 4 --steps 3:3
refuses 2 "there is no strategy 'l3'" rebalance t.h5 --slots 24 --gpus 4 -s l3
refuses 2 "which LOADS?" rebalance --slots 24 --gpus 4
[ "$before" = "$(cksum <map.json)" ] || fail "a refused export changed an older map"
[ -z "$(find . -name 'x*' -o -name '*.part-*')" ] || fail "$(find . -name 'x*') is left behind"
if [ -e /dev/full ]; then
  status=0
  "$moebal" export r.h5 -s l2 -f trtllm >/dev/full 2>err || status=$?
  [ "$status" -eq 1 ] || fail "export to a full disk: exit status $status, not 1"
fi

# Recorded placements in a config.
with() {
  run 0 run tiny.yaml -q -o maps.h5 --set "strategies=[theirs: {use: maps, $1}]"
}
with_refused() {
  refuses 1 "$2" run tiny.yaml -q -o x.h5 --set "strategies=[theirs: {use: maps$1}]"
}
with "file: all.npy, effect_step: all.steps.npy"
with "file: all.npy, effect_step: [0, 5, 39]"
with "file: map.yaml"
with "file: map.json, effect_step: 7"
with "file: ascend.json, effect_step: [7]"
with_refused "" "theirs.file is missing"
with_refused ", file: nowhere.npy" "theirs: nowhere.npy: cannot be read"
with_refused ", file: tiny.yaml" "theirs: tiny.yaml: is no placement map"
with_refused ", file: all.npy" "all.npy has 3 placements: effect_step has to say when each begins"
with_refused ", file: all.npy, effect_step: [1, 2]" "all.npy has 3 placements, but effect_step 2 steps"
with_refused ", file: all.npy, effect_step: map.npy" "map.npy: has 2 dimensions"
with_refused ", file: all.npy, effect_step: [3, 3, 4]" \
  "placement 1 takes effect from step 3, but the one before it until step 3"
with_refused ", file: all.npy, effect_step: [3, 4, 40]" \
  "placement 2 takes effect at step 40 in layer 0 (from 0), but the loads have 40 steps"
with_refused ", file: all.npy, effect_step: []" "effect_step is an empty list"
with_refused ", file: all.npy, effect_step: [1, 2, x]" "effect_step is 'x'"
with_refused ", file: all.npy, steps: 3" "unknown parameter 'steps'"
run 0 rebalance t.h5 --slots 24 --gpus 4 --first-layer 1 -f sglang -o low.json
with_refused ", file: low.json" "low.json: has no layer 4, of which there are loads; it has 4 layers"
with_refused ", file: t.h5" "is no placement map"
refuses 1 "has 24 slots, but the cluster has 28" run tiny.yaml -q -o x.h5 --set cluster.slots=28 \
  --set "strategies=[theirs: {use: maps, file: map.npy}]"
run 0 list strategies
says "maps: placements decided elsewhere"

# Read back by what the engines read with.
python=$(need_python numpy >/dev/null && echo "$python") || python=""
if [ -z "$python" ]; then
  echo "skipped: reading back with Python, as none here has numpy"
  exit 0
fi
"$python" - <<'END' >out 2>err || fail "Python reads something else"
import json

import numpy as np

every = np.load("all.npy")
steps = np.load("all.steps.npy")
assert every.dtype == np.int32 and every.shape == (3, 3, 24) and every.flags.c_contiguous
assert steps.dtype == np.int64 and steps.tolist() == [[12] * 3, [22] * 3, [32] * 3]
first = np.load("map.npy")
assert first.dtype == np.int32 and (first == every[0]).all()
assert all(set(row) == set(range(16)) for plan in every for row in plan)

sglang = json.load(open("map.json"))
assert list(sglang) == ["physical_to_logical_map"]
rows = np.array(sglang["physical_to_logical_map"])
assert rows.shape == (6, 24) and (rows[3:] == first).all()
assert (rows[:3] == np.arange(24) % 16).all()

ascend = json.load(open("ascend.json"))
assert ascend["moe_layer_count"] == 3
experts = [[d["device_expert"] for d in l["device_list"]] for l in ascend["layer_list"]]
assert (np.array(experts).reshape(3, 24) == first).all()
assert [l["layer_id"] for l in ascend["layer_list"]] == [0, 1, 2]
assert [l["device_count"] for l in ascend["layer_list"]] == [4, 4, 4]
assert [d["device_id"] for d in ascend["layer_list"][2]["device_list"]] == [0, 1, 2, 3]

# Loads that numpy wrote: big-endian, in Fortran order, one of them a float.
loads = np.arange(5 * 2 * 8).reshape(5, 2, 8) * 7 % 31
np.save("loads.npy", np.asfortranarray(loads.astype(">i8")))
np.save("sum.npy", loads.sum(axis=0).astype(np.float32))
np.save("wrong.npy", loads[0] - 0.5)
END
# Maps that others wrote are all the same placement, and score the same.
run 0 trace generate -o few.h5 -s steps=5 -s layers=3 -s experts=16 -s top_k=2 -s groups=4
"$python" "$MOEBAL_SOURCE/tests/import_maps.py" written >out 2>err || fail "import_maps.py"
for map in written/*/*; do
  run 0 run tiny.yaml -o few-results.h5 --set trace.file=few.h5 --set summary.from=0 \
    --set "strategies=[theirs: {use: maps, file: $map}]"
  grep '^theirs ' out >>scores
done
[ "$(wc -l <scores)" -ge 9 ] || fail "of the maps that others write, only $(wc -l <scores) were tried"
[ "$(sort -u scores | wc -l)" -eq 1 ] || fail "maps of the same placement score differently"
run 0 rebalance loads.npy --slots 12 --gpus 4 --first-layer 3 -f trtllm -o loads.yaml
run 0 rebalance sum.npy --slots 12 --gpus 4 --first-layer 3 -f trtllm -o sum.yaml
says "of these loads"
cmp loads.yaml sum.yaml || fail "steps add up to another placement than their sum"
refuses 1 "wrong.npy" rebalance wrong.npy --slots 12 --gpus 4
if "$python" -c 'import yaml' 2>/dev/null; then
  "$python" - <<'END' >out 2>err || fail "PyYAML reads something else"
import numpy as np
import yaml

trtllm = yaml.safe_load(open("map.yaml"))
assert set(trtllm) == {"num_slots", "initial_global_assignments", "layer_updates_per_iter"}
assert trtllm["num_slots"] == 24 and trtllm["layer_updates_per_iter"] == 0
layers = trtllm["initial_global_assignments"]
assert list(layers) == [3, 4, 5]
assert (np.array([layers[l] for l in layers]) == np.load("all.npy")[2]).all()
yaml.safe_dump(trtllm, open("dumped.yaml", "w"))
END
  with "file: dumped.yaml, effect_step: 3"
else
  echo "skipped: reading back with PyYAML, as $python has none"
fi
