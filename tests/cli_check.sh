#!/bin/sh
# `moebal check`: planted faults of l2 are found, and what is none is not; what it says, to people
# and to CI systems, and its exit status.
set -eu
words=check
. "$(dirname "$0")/python.sh"
. "$(dirname "$0")/cli.sh"

regression=${MOEBAL_SOURCE:?}/experiments/regression
planted=${MOEBAL_BUILD:?}/tests/planted_planner
configs="domains drift steady"
TMPDIR=$work/tmp
export TMPDIR
mkdir "$TMPDIR"

# --- the kept baselines

# check STATUS CONFIG ARGUMENT...: that config of the gate, against its baseline as made here.
check() {
  check_status=$1
  check_config=$2
  shift 2
  run "$check_status" "$regression/$check_config.yaml" --baseline "$check_config.tsv" "$@"
}

lines=0
for config in $configs; do
  kept=$regression/$config.baseline.tsv
  run 0 "$regression/$config.yaml" --baseline "$kept"
  cp "$kept" "$config.tsv"
  check 0 "$config" --update
  says "4 metrics of 40 runs"
  cmp -s "$kept" "$config.tsv" || {
    echo "note: $config differs from its kept baseline, as where the C library is another:"
    "$moebal" check "$regression/$config.yaml" --baseline "$kept" || fail "$config is worse"
  }
  check 0 "$config"
  says "$config: of 20 metrics of strategies 0 are worse, 0 better, 0 changed, 20 same."
  [ "$(wc -l <out)" -eq 1 ] || fail "$config: what is the same is no line"
  lines=$((lines + $(wc -l <"$config.tsv")))
done
[ "$lines" -lt 1000 ] || fail "the baselines have $lines lines"

# --- what has to be caught

# Where l2 becomes lpt: the search for swaps is gone.
for config in $configs; do
  check 1 "$config" --set parameters.l2.max_rounds=0
  grep -Eq '^WORSE +l2 +run_imbalance ' out || fail "$config, 0 rounds: l2 is not called worse"
  ! grep -E '^WORSE' out | grep -v ' l2 ' || fail "$config, 0 rounds: not only l2 is called worse"
  says "l2: run_imbalance rose in layers "
  says "Other placements than the baseline's: l2 in 8 of 8 seeds"
done

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

for config in $configs; do
  plant 0 "$config" faithful
  says "0 changed, 20 same."
  caught "$config" hot-pair
done
caught domains copy-short
caught domains early
caught drift early

# --- what must not be called worse

changed=0
for config in $configs; do
  plant 0 "$config" ties
  ! grep -q "Other placements" out || changed=$((changed + 1))
  for relabel in 1 2 3 4 5 6 7 8; do
    check 0 "$config" --set relabel=$relabel
    says "Other placements than the baseline's: "
  done
done
[ "$changed" -gt 0 ] || fail "ties broken the other way change nothing"

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
