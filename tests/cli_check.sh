#!/bin/sh
# `moebal check`: planted faults of l2 are found, and what is none is not; what it says, to people
# and to CI systems, and its exit status.
set -eu
words=check
. "$(dirname "$0")/python.sh"
. "$(dirname "$0")/cli.sh"

regression=${MOEBAL_SOURCE:?}/experiments/regression
planted=${MOEBAL_BUILD:?}/tests/planted_planner
configs="domains drift steady decode"
faults="domains drift steady" # configs whose loads hardly ever tie: a fault is no noise there
TMPDIR=$work/tmp
export TMPDIR
mkdir "$TMPDIR"
OMP_NUM_THREADS=1 # dozens of small runs, beside other tests
export OMP_NUM_THREADS

# --- the kept baselines

# check STATUS CONFIG ARGUMENT...: that config of the gate, against its baseline as made here.
check() {
  check_status=$1
  check_config=$2
  shift 2
  run "$check_status" "$regression/$check_config.yaml" --baseline "$check_config.tsv" "$@"
}

same="0 are worse, 0 better, 0 changed, 20 same; the placements of 0 of 5 strategies changed."
for config in $configs; do
  kept=$regression/$config.baseline.tsv
  run 0 "$regression/$config.yaml" --baseline "$kept"
  cp "$kept" "$config.tsv"
  if [ "$(cat out)" != "$config: of 20 metrics of strategies $same" ]; then
    echo "note: $config differs from its kept baseline, as where the C library is another:"
    cat out
    check 0 "$config" --update
    says "4 metrics of 40 runs"
    check 0 "$config"
    says "$same"
  fi
  [ "$(wc -l <"$config.tsv")" -lt 400 ] || fail "the baseline of $config is not small"
done
check 0 domains --update
says "4 metrics of 40 runs"
kept=$regression/domains.baseline.tsv
cmp -s "$kept" domains.tsv || "$moebal" check "$regression/domains.yaml" --baseline "$kept" |
  grep -q changed || fail "--update writes another baseline, and nothing changed"
OMP_NUM_THREADS=3 "$moebal" check "$regression/domains.yaml" --baseline three.tsv --update -q -j 2
cmp three.tsv domains.tsv || fail "the baseline depends on threads or jobs"

# What a baseline says of layers and ranges of steps adds up to what it says of the whole.
awk -F '\t' '$1 == "where" && $4 == "moved_experts" { part[$3 " " $5] += $7 }
  $1 == "value" && $4 == "moved_experts" { whole[$3] += $6 / 8 }
  END {
    for (p in part) { split(p, s, " "); d = part[p] - whole[s[1]]; bad += d * d > 1e-9; n++ }
    exit bad > 0 || n != 8
  }' domains.tsv || fail "layers, or ranges of steps, do not add up to moved_experts"

# --- what has to be caught

# Where l2 becomes lpt: the search for swaps is gone.
for config in $faults; do
  check 1 "$config" --set parameters.l2.max_rounds=0
  grep -Eq '^WORSE +l2 +run_imbalance ' out || fail "$config, 0 rounds: l2 is not called worse"
  ! grep -E '^WORSE' out | grep -v ' l2 ' || fail "$config, 0 rounds: not only l2 is called worse"
  says "l2: run_imbalance rose in layers "
  says "Placements changed: l2 in 8 of 8 seeds."
  if grep -q "The reference none" out; then fail "$config, 0 rounds: none is said to have changed"; fi
done

# Where the search ends too early, after 5 rounds: the smallest margin is told, and it is that one.
check 0 steady --set parameters.l2.max_rounds=5
below=$(awk '$2 == "l2" && $3 == "run_imbalance" { print $12 }' out)
awk "BEGIN { exit !($below > 0 && $below < 0.3) }" || fail "5 rounds are worse below '$below'"
check 1 steady --set parameters.l2.max_rounds=5 \
  --margin "run_imbalance=$(awk "BEGIN { print $below * 0.98 }")"
check 0 steady --set parameters.l2.max_rounds=5 \
  --margin "run_imbalance=$(awk "BEGIN { print $below * 1.02 }")"

# plant STATUS CONFIG FAULT ARGUMENT...: with a planner that has that fault in the place of l2. The
# label l2 is taken, so that the baseline has to name it otherwise.
plant() {
  plant_status=$1
  config=$2
  fault=$3
  shift 3
  sed 's/	l2	/	planted	/' "$config.tsv" >planted.tsv
  run "$plant_status" "$regression/$config.yaml" --baseline planted.tsv "$@" \
    --set "strategies=[lpt, maxmin, planted: {use: command, command: exec '$planted' $fault}]"
}

# caught CONFIG FAULT: worse, and no other strategy.
caught() {
  plant 1 "$1" "$2"
  grep -Eq '^WORSE +planted +run_imbalance ' out || fail "$1, $2: its balance is not called worse"
  ! grep -E '^WORSE' out | grep -v ' planted ' || fail "$1, $2: another strategy is called worse"
}

plant 0 domains faithful
says "$same"
for config in $faults; do
  caught "$config" hot-pair
done
caught domains copy-short
caught domains early
says "planted: moved_experts rose in layers "
caught drift early

# --- what must not be called worse

# Ties between GPUs there are in every layer, and between experts where loads are small. In decode
# every relabelling changes every strategy that plans, and in drift some do.
for config in $configs; do
  plant 0 "$config" ties
  says "Placements changed: planted in 8 of 8 seeds."
done
for relabel in 1 2 3 4 5 6 7 8; do
  check 0 decode --set relabel=$relabel
  grep -Eq '^changed +l2 +run_imbalance ' out || fail "relabelling $relabel changes nothing"
  says "the placements of 4 of 5 strategies changed."
done
check 0 drift --set relabel=8
says "Placements changed: "

# Other loads change what never plans, and that is said; nothing has become worse.
check 0 domains --set trace.generate.noise_rms=0.03
grep -Eq '^changed +none +run_imbalance ' out || fail "other loads: none has not changed"
says "The reference none makes no plans, and changed: so the loads changed, or the cluster"

# --- margins, improvements

check 0 domains --set parameters.l2.max_rounds=0 --margin run_imbalance=5
grep -Eq '^changed +l2 +run_imbalance .* 5 %' out || fail "the margin of 5 % does not show"
sed 's/^margin	run_imbalance	.*/margin	run_imbalance	5%/' domains.tsv >wide.tsv
run 0 "$regression/domains.yaml" --baseline wide.tsv --set parameters.l2.max_rounds=0
run 1 "$regression/domains.yaml" --baseline wide.tsv --set parameters.l2.max_rounds=0 \
  --margin run_imbalance=0.1%
run 0 "$regression/domains.yaml" --baseline wide.tsv --update -q
grep -q '^margin	run_imbalance	5%$' wide.tsv || fail "--update forgets margins"
run 0 "$regression/domains.yaml" --baseline wide.tsv --update -q --margin run_imbalance=0.3
cmp wide.tsv domains.tsv || fail "--update with a margin writes something else"
run 0 "$regression/domains.yaml" --baseline poor.tsv --update --set parameters.l2.max_rounds=0
run 0 "$regression/domains.yaml" --baseline poor.tsv --margin moved_experts=20
grep -Eq '^BETTER +l2 +run_imbalance ' out || fail "an improvement is not called one"

# --- what could not be compared, or not be run

fails() {
  refuses 2 "$@"
}
check 2 domains --set sweep.seed=1..4
says "Not compared: l2, seeds 5 6 7 8: the baseline has them, this run has not"
one_line "seeds" "domains.tsv: this baseline is of other runs"
check 2 domains --set sweep.seed=1..9
says "Not compared: l2, seeds 9: this run has them, the baseline has not"
check 2 domains --set 'strategies=[lpt, l2]'
says "Not compared: maxmin, seeds 1 2 3 4 5 6 7 8: the baseline has them"
config=$regression/domains.yaml
fails "which baseline?" "$config"
fails "which config?" --baseline x.tsv
fails "no.tsv: there is no such baseline; --update makes it" "$config" --baseline no.tsv
fails "drift.tsv: is the baseline of the config drift, and not of domains" "$config" \
  --baseline drift.tsv
fails "no.yaml" no.yaml --baseline domains.tsv
fails "interval" "$config" --baseline domains.tsv --set schedule.interval=0
fails "balancedness" "$config" --baseline domains.tsv --margin balancedness=1
fails "METRIC=PERCENT" "$config" --baseline domains.tsv --margin 5
fails "'-1' is no margin" "$config" --baseline domains.tsv --margin plans=-1
head -n 100 domains.tsv >cut.tsv
fails "cut.tsv:100: the file ends without" "$config" --baseline cut.tsv
cp "$config" mine.yaml
fails "mine.yaml:1: is no baseline" "$config" --baseline mine.yaml --update
cmp mine.yaml "$config" || fail "--update has written over a config"
fails "no/such.tsv" "$config" --baseline no/such.tsv --update -q
fails "failed" "$config" --baseline domains.tsv -q \
  --set "strategies=[lpt, maxmin, l2, planted: {use: command, command: exec '$planted' nonsense}]"
status=0
"$moebal" check "$config" --baseline domains.tsv --set parameters.l2.max_rounds=0 >/dev/full 2>err ||
  status=$?
[ ! -e /dev/full ] || [ "$status" -eq 2 ] || fail "a full disk: exit status $status"

# --- files

# Stopped in the middle: the baseline stays as it is, and nothing is left behind.
cp domains.tsv stopped.tsv
"$moebal" check "$config" --baseline stopped.tsv --update -q --set trace.generate.steps=100000 2>err &
pid=$!
tries=0
while [ -z "$(ls "$TMPDIR")" ] && [ "$tries" -lt 300 ]; do
  sleep 0.1
  tries=$((tries + 1))
done
[ "$tries" -lt 300 ] || echo "note: nothing is in $TMPDIR after 30 s"
kill -TERM $pid
status=0
wait $pid || status=$?
[ "$status" -eq 2 ] || fail "stopped: exit status $status"
one_line stopped "stopped on request; nothing was compared or written"
cmp stopped.tsv domains.tsv || fail "stopped: it has changed the baseline"

[ -z "$(ls "$TMPDIR")" ] || fail "$(ls "$TMPDIR") is left in the folder for temporary files"
check 0 domains --keep kept.h5
[ -s kept.h5 ] || fail "--keep has kept nothing"

# xml FILE TESTS FAILURES ERRORS: what a parser of XML finds in it, and one failed case's name.
xml() {
  "$python" - "$@" <<'END'
import sys
import xml.etree.ElementTree as tree

name, *counts = sys.argv[1:]
suites = tree.parse(name).getroot()
suite = suites.find("testsuite")
cases = suite.findall("testcase")
found = [len(cases), len(suite.findall("testcase/failure")), len(suite.findall("testcase/error"))]
told = [int(suite.get(key)) for key in ("tests", "failures", "errors")]
assert suites.tag == "testsuites" and found == told == [int(n) for n in counts], (found, told)
assert [int(suites.get(key)) for key in ("tests", "failures", "errors")] == told
assert len({(case.get("classname"), case.get("name")) for case in cases}) == len(cases)
for case in cases:
    for problem in case.findall("failure") + case.findall("error"):
        assert problem.get("message"), case.get("name")
        print(case.get("classname"), case.get("name"), problem.get("message"), problem.text)
END
}

check 0 domains --junit same.xml
check 1 domains --junit worse.xml -q --set parameters.l2.max_rounds=0
[ ! -s out ] || fail "--quiet prints"
check 2 domains --junit missing.xml --set sweep.seed=1..4
run 2 no.yaml --baseline domains.tsv --junit norun.xml
sed -e 's/	-	/	a<b>\&"c" é	/' domains.tsv >odd.tsv
run 2 "$config" --baseline odd.tsv --junit odd.xml
fails "no/such.xml" "$config" --baseline domains.tsv -q --junit no/such.xml
need_python xml.etree.ElementTree
xml same.xml 20 0 0
xml worse.xml 20 1 0 >told
grep -q "^domains l2 run_imbalance run_imbalance of l2 is worse: .*layers " told ||
  fail "the failed case is '$(cat told)'"
xml missing.xml 40 0 20 >told
xml norun.xml 1 0 1 >told
grep -q "no.yaml" told || fail "the case in error is '$(cat told)'"
xml odd.xml 80 0 80 >told
grep -qF 'domains.a<b>&"c" é l2 seed 1' told || fail "odd names do not come through"
