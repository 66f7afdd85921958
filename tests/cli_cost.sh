#!/bin/sh
# Costs from a config to results, a table, a report and a figure; and that without them nothing changes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
words=
. "$here/cli.sh"

cat >on.yaml <<'END'
name: on
trace: {generate: {use: steady, layers: 3, experts: 16, top_k: 2, steps: 40, tokens: 4000}}
cluster: {nodes: 2, gpus: 4, slots: 24, expert_bytes: 1000000}
schedule: {interval: 8, window: 8}
strategies: [lpt]
cost: {gpu: h100, hidden: 512}
END
sed '/^cost:/d' on.yaml >off.yaml

run 0 list gpus
says "h100        3350"

run 0 run on.yaml -o on.h5
says "time imbalance"
says "speed-up"
says "A slot with tokens has"
run 0 run off.yaml -o off.h5
grep -q "time imbalance" out && fail "costs without a cost"

# The config that the results hold is the same run.
run 0 report on.h5 -o on.html
grep -q "<h3>Time</h3>" on.html || fail "no costs in the report"
grep -q "upper bound" on.html || fail "the all-to-all is not labelled an upper bound"
run 0 report off.h5 -o off.html
grep -q "<h3>Time</h3>" off.html && fail "costs in the report of a run without"

# Refused, with what would be right.
sed 's/cost: .*/cost: {hidden: 512}/' on.yaml >slip.yaml
refuses 1 "slip.yaml:6: cost.hidden is given, but cost.gpu is off" run slip.yaml
sed 's/cost: .*/cost: {gpu: h100}/' on.yaml >slip.yaml
refuses 1 "slip.yaml:6: cost.alltoall needs cost.hidden" run slip.yaml
refuses 1 "cost.gpu_speed has 2 numbers, but there are 4 GPUs" run on.yaml --set 'cost.gpu_speed=1, 2'
refuses 1 "cost.contention is 1" run on.yaml --set cost.movement=async --set cost.contention=1
refuses 1 "one of: sync, async" run on.yaml --set cost.movement=later
cp on.yaml mixed.yaml
echo "sweep: {cost.gpu: [h100, off]}" >>mixed.yaml
sed -i 's/cost: .*/cost: {}/' mixed.yaml
refuses 1 "cost.gpu is off in some cells" run mixed.yaml

# A figure of a sweep, also where the way to move is not swept.
cp on.yaml swept.yaml
echo "sweep: {schedule.interval: [4, 8], cost.movement: [sync, async]}" >>swept.yaml
run 0 run swept.yaml -q -o swept.h5
run 0 plot swept.h5 -o . -F rebalance_cost
head -1 rebalance_cost.tsv | grep -q "lpt sync.*lpt async:even" || fail "series of the figure"
[ "$(wc -l <rebalance_cost.tsv)" -eq 3 ] || fail "rows of the figure"
run 0 run on.yaml -q -o plain.h5 --set 'sweep={schedule.interval: [4, 8]}'
run 0 plot plain.h5 -o . -F rebalance_cost
head -1 rebalance_cost.tsv | grep -q "^interval	lpt	lpt:low" || fail "series without movements"
run 0 run off.yaml -q -o none.h5 --set 'sweep={schedule.interval: [4, 8]}'
run 1 plot none.h5 -o . -F rebalance_cost
grep -q "say nothing of time" err || fail "a figure of costs without any"

. "$here/python.sh"
need_python h5py numpy
"$python" - <<'END'
import h5py
import numpy as np

on, off = h5py.File("on.h5"), h5py.File("off.h5")
extra = {"step_latency", "time_imbalance", "gpu_time_lost", "rebalance_stall", "plans/same_gpu_bytes",
         "plans/intra_node_bytes", "plans/inter_node_bytes"}
for label in ("none", "lpt", "hindsight"):
    a, b = on["runs/on/" + label], off["runs/on/" + label]
    names = [set(), set()]
    for group, found in ((a, names[0]), (b, names[1])):
        group.visititems(lambda name, item, found=found: found.add(name) if isinstance(item, h5py.Dataset) else None)
    assert names[0] - names[1] == extra, names[0] ^ names[1]
    for name in names[1]:
        assert a[name][()].tobytes() == b[name][()].tobytes(), name
    for name in extra:
        assert {"unit", "dims", "better", "help"} <= set(a[name].attrs), name

# The summary follows from the datasets.
rows = {row["strategy"].decode(): row for row in on["summary"][:]}
assert "gpu_hours" not in off["summary"].dtype.names
lpt, none = on["runs/on/lpt"], on["runs/on/none"]
first = int(on["runs/on"].attrs["summary_from"])
row = rows["lpt"]
latency, stall = lpt["step_latency"][first:], lpt["rebalance_stall"][first:]
np.testing.assert_allclose(row["step_latency_mean"], latency.mean(), rtol=1e-12)
np.testing.assert_allclose(row["rebalance_stall_total"], stall.sum(), rtol=1e-12)
np.testing.assert_allclose(row["gpu_time_lost_total"], lpt["gpu_time_lost"][first:].sum(), rtol=1e-12)
np.testing.assert_allclose(row["speedup_over_none"], none["step_latency"][first:].sum() / latency.sum(), rtol=1e-12)
np.testing.assert_allclose(row["gpu_hours"], latency.sum() * 4 / 3600, rtol=1e-12)
gain = (none["step_latency"][first:] - (latency - stall)).mean()
expected = stall.sum() / row["plans"] / gain if gain > 0 else np.inf
np.testing.assert_allclose(row["break_even_interval"], expected, rtol=1e-9)
assert np.isnan(rows["none"]["break_even_interval"])
plans = lpt["plans/effect_step"][:].max(axis=1) >= first
moved = lpt["plans/intra_node_bytes"][:] + lpt["plans/inter_node_bytes"][:]
np.testing.assert_allclose(row["intra_node_bytes_total"] + row["inter_node_bytes_total"], moved[plans].sum())
np.testing.assert_allclose(moved, lpt["plans/moved_experts"][:].sum(axis=1) * 1e6)
open("again.yaml", "w").write(on["provenance"].attrs["config"])
END
run 0 run again.yaml -q -o again.h5
"$python" "$here/same_results.py" on.h5 again.h5 || fail "the config in the results is another run"
