#!/bin/sh
# Sweeps on the command line: what a dry run lists, that it leaves nothing behind, and that the real
# run then does just that.
set -eu
words=""
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cli.sh"

cat >sweep.yaml <<END
name: swept
trace: {generate: {use: domains, steps: 90, layers: 3, experts: 16, top_k: 2, groups: 4}}
cluster: {nodes: 2, gpus: 4, slots: 24}
schedule: {interval: 10, window: 15}
strategies: [l2]
sweep:
  zip: {schedule.interval: [10, 20], schedule.delay: [0, 3]}
  trace.generate.seed: 1..2
END

# only FILE...: there is nothing else in the folder, but for what this script puts there.
only() {
  for file in *; do
    case " out err said sweep.yaml $* " in
    *" $file "*) ;;
    *) fail "$file is left behind" ;;
    esac
  done
}

# The cells in their order. Over 90 steps with an interval of 10 l2 plans 8 times, at 10 to 80, and
# hindsight 9 times, from 0 on; with 20 and a delay of 3, 4 and 5 times.
TMPDIR=$work
export TMPDIR
run 0 run sweep.yaml --dry-run
says "0  0.interval-10.delay-0.seed-1  10        0      1          90      17"
says "3  3.interval-20.delay-3.seed-2  20        3      2          90       9"
[ "$(grep -c 'interval-' out)" -eq 4 ] || fail "not 4 cells"
says "4 cells, 0 of which do not fit; loads to read or generate: 2"
says "Time: about "
says "Results: about "
[ ! -s err ] || fail "something on standard error"
only

# A cell that does not fit says why; the others are listed still, and the exit status is what the
# run's would be.
run 1 run sweep.yaml --dry-run --set 'sweep.cluster.slots=[24, 26]'
says "does not fit: --set: cluster.slots: "
[ "$(grep -c 'does not fit: ' out)" -eq 4 ] || fail "not 4 cells that do not fit"
one_line "a dry run with misfits" "4 of 8 cells do not fit"
run 1 run sweep.yaml --dry-run --set trace='{file: nowhere.h5}' --set sweep=null
says "does not fit: nowhere.h5: "
run 1 run sweep.yaml --dry-run --set trace.merge=100
says "does not fit: trace.merge: 100 steps cannot be summed into one: there are 90"
only

# What one setting takes out of a sweep or puts in.
run 0 run sweep.yaml --dry-run --set schedule.interval=30
says "0.delay-0.seed-1"
run 0 run sweep.yaml --dry-run --set sweep=null
says "   0  swept "
run 0 run sweep.yaml --dry-run --set sweep=null --relabellings=3
says "2.relabel-3"
run 0 run sweep.yaml --dry-run --set sweep=null --relabellings
says "31.relabel-32"
refuses 2 "--relabellings takes a number from 1 to" run sweep.yaml --relabellings=0
refuses 2 "a second one; --relabellings=R takes its number" run sweep.yaml --relabellings 32
refuses 1 "--set: sweep: seed: the range 4..1 ends before it starts" run sweep.yaml \
  --set sweep.seed=4..1

# The real run does what the dry one says: so many steps and plans, in about as much room.
run 0 run sweep.yaml --dry-run
cp out dry
run 0 run sweep.yaml -q
only dry swept.h5
python=${MOEBAL_PYTHON:-python3}
if ! "$python" -c 'import h5py' 2>/dev/null; then
  echo "no h5py: what the run wrote is not looked into"
  exit 0
fi
"$python" - <<'END' || fail "the run is not what the dry run says"
import h5py, os, sys

rows = [line.split() for line in open("dry") if "interval-" in line]
with h5py.File("swept.h5") as results:
    runs = results["runs"]
    assert sorted(runs) == [row[1] for row in rows], (sorted(runs), rows)
    for row in rows:
        run = runs[row[1]]
        plans = sum(len(run[s]["plans/step"]) for s in run if "plans" in run[s])
        steps = len(run["l2/step_imbalance"])
        assert [str(steps), str(plans)] == row[5:7], (row, steps, plans)
    first = {int(r["steps_scored"]) for r in results["summary"]}
    assert first == {90 - 23}, first
size = os.path.getsize("swept.h5") / 2**20
guess = float(open("dry").read().split("Results: about ")[1].split()[0])
assert guess / 3 < size + 0.1 and size < 3 * guess + 0.1, (guess, size)
END
