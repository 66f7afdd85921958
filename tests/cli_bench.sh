#!/bin/sh
# `moebal bench`: what it prints and writes, and what it refuses before it measures anything.
set -eu
words=bench
. "$(dirname "$0")/cli.sh"

tiny="--problem rows-72x8 --impl cpu-1 --impl naive --repetitions 1"

# Command lines that are wrong.
refuses 2 "there is no problem 'nope'; there is models (deepseek-v3, deepseek-v3-ep144" -p nope
refuses 2 "there is no implementation 'nope'; there is naive, cpu-1, cpu" --impl nope
refuses 2 "there is no strategy 'nope'; there is lpt, maxmin, l2" --strategy nope
refuses 2 "--repetitions is '0', not a number from 1 to" --repetitions 0
refuses 2 "--threads is '-1', not a number from 1 to" --threads=-1
refuses 2 "--seed is '1x', not a number" --seed 1x
refuses 2 "--seed is '99999999999999999999', not a number" --seed 99999999999999999999

# Places that cannot be written are refused at once, by a run that would take minutes.
mkdir folder
: >file
refuses 1 "nowhere/b.json: cannot be written: No such file" --json nowhere/b.json
refuses 1 "folder: cannot be written: not a regular file" --json folder
refuses 1 "file cannot be made: File exists" --plot file
refuses 1 "nowhere/figures cannot be made: No such file" --plot nowhere/figures
refuses 1 "nowhere/b.json: cannot be written" --plot figures --json nowhere/b.json
[ ! -e figures ] || fail "a folder is left behind"

# The names stand in --help.
run 0 --help
says "Strategies: lpt, maxmin, l2"
says "rows (rows-448x64, rows-1024x16, rows-72x8)"

# A small one: tables, JSON; the file that was there is replaced.
echo old >b.json
run 0 $tiny --json b.json
says "rows-72x8: 232 layers, 72 experts in 72 slots on 8 GPUs, global"
for row in "lpt     naive " "maxmin  cpu-1 " "l2      cpu-1 "; do says "$row"; done
[ ! -s err ] || fail "something on standard error"
[ "$(head -n 2 b.json | tail -n 1)" = '  "format": "moebal-bench",' ] || fail "no JSON"
grep -q '"ratio_to_naive": 1.0' b.json || fail "no ratio in the JSON"
[ "$(ls)" = "$(printf '%s\n' b.json err file folder out said)" ] || fail "left behind: $(ls)"

# The same seed: the same loads, so the same rounds, swaps and balance; another seed: others.
decisions() {
  awk '/"(seconds|further_round_seconds)": \[/ { skip = 1 } !skip { print } /\]/ { skip = 0 }' "$1" |
    grep -vE 'seconds|ratio|"time"'
}
run 0 $tiny --seed 7 --json first.json
run 0 $tiny --seed 7 --json second.json
run 0 $tiny --seed 8 --json third.json
decisions first.json >first
decisions second.json >second
decisions third.json >third
cmp -s first second || fail "the same seed decides otherwise"
! cmp -s first third || fail "another seed decides the same"

# A disk that is full when the results are written: the older ones stay.
cp b.json before.json
status=0
(
  ulimit -f 8
  exec "$moebal" bench $tiny --json b.json
) >out 2>err || status=$?
[ "$status" -eq 1 ] || fail "full disk: exit status $status, not 1"
one_line "full disk" "b.json: cannot be written: File too large"
cmp -s b.json before.json || fail "full disk: the older results are gone"

# Figures, where gnuplot is.
if command -v gnuplot >/dev/null; then
  run 0 -p k8-64 -p k8-128 -p qwen3-235b -i cpu-1 -s l2 -s lpt -n 1 --plot figures
  for figure in bench_scaling bench_balance; do
    for ending in tsv pdf png; do
      [ -s "figures/$figure.$ending" ] || fail "no figure $figure.$ending"
      says "figures/$figure.$ending"
    done
  done
fi

# The torch baseline: refused in one line where there is no Python or no torch.
cat >python <<'END'
#!/bin/sh
echo "No module named 'torch'" >&2
exit 1
END
chmod +x python
MOEBAL_PYTHON=./python
export MOEBAL_PYTHON
refuses 1 "./python: No module named 'torch'; \`pip install torch" --with-torch
MOEBAL_PYTHON=./nowhere
refuses 1 "./nowhere cannot be started: No such file" --with-torch
MOEBAL_BASELINE=$work
export MOEBAL_BASELINE
refuses 1 "has no torch_baseline.py; MOEBAL_BASELINE should name" --with-torch
unset MOEBAL_BASELINE

# One that answers too early: what it said last is told.
cat >python <<'END'
#!/bin/sh
head -c 256 /dev/zero
echo "Traceback" >&2
echo "RuntimeError: no memory" >&2
END
MOEBAL_PYTHON=./python
run 1 -p rows-72x8 -i cpu-1 -n 1 --with-torch
one_line "torch ends" "the torch baseline has ended: RuntimeError: no memory"
echo "ok"
