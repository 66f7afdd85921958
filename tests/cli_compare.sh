#!/bin/sh
# `moebal compare`: text, TSV and LaTeX of one run and of a sweep, and what it refuses.
set -eu
words=compare
. "$(dirname "$0")/cli.sh"

cat >tiny.yaml <<END
name: tiny
trace: {generate: {use: domains, steps: 3020, layers: 3, experts: 16, top_k: 2, groups: 4}}
cluster: {nodes: 2, gpus: 4, slots: 24}
schedule: {interval: 20, window: 20}
strategies: [none, lpt, l2]
END
"$moebal" run tiny.yaml --quiet -o tiny.h5

# column NAME ROW: a cell of the table in out.
column() {
  awk -F '\t' -v name="$1" -v row="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i }
    NR == row + 1 { print $at }' out
}
# is NAME ROW VALUE
is() {
  found=$(column "$1" "$2")
  [ "$found" = "$3" ] || fail "$1 of row $2 is '$found', not '$3'"
}

# One run: blocks of 20 steps or more.
run 0 tiny.h5
says "lpt"
says "baseline"
says "blocks of"
says "(data)"
says "bootstrap-t over units"
says "Holm over 3 comparisons"
says "\`moebal run --relabellings\` measures it"
says "--lifetime STEPS"
[ "$(awk 'length > 120' out | wc -l)" -eq 0 ] || fail "lines are too long"
run 0 tiny.h5 --format tsv
[ "$(wc -l <out)" -eq 4 ] || fail "not a header and three rows" # hindsight is in every run
is strategy 1 none
is strategy 3 hindsight
is baseline 1 lpt
is verdict 1 worse
is unit 1 blocks
is method 2 bootstrap-t
[ "$(awk -F '\t' '{ print NF }' out | sort -u | wc -l)" -eq 1 ] || fail "rows of different lengths"
cp out first
run 0 tiny.h5 --format tsv
cmp -s out first || fail "the same command gives other numbers"
run 0 tiny.h5 --format tsv --seed 7
if cmp -s out first; then fail "another seed gives the same numbers"; fi

# Too few blocks: no interval, and no p.
run 0 tiny.h5 --lifetime 300 --format tsv
is verdict 1 "too few"
is low 1 NaN
is p 1 NaN
is block_from 1 lifetime
is block_steps 1 300
is units 1 10
run 0 tiny.h5 --lifetime 300
says "few: fewer than 20 blocks" # the line may break before
says "With fewer than 20 blocks there are no intervals"
if grep -q "Interval:" out; then fail "an interval is explained where there is none"; fi

# Seeds and settings.
sed 's/3020/520/' tiny.yaml >sweep.yaml
echo 'sweep: {schedule.interval: [20, 40], seed: 1..3}' >>sweep.yaml
"$moebal" run sweep.yaml --quiet -o sweep.h5
run 0 sweep.h5 --format tsv -b none
[ "$(wc -l <out)" -eq 7 ] || fail "not a header and six rows"
is condition 1 schedule.interval=20
is condition 4 schedule.interval=40
is unit 1 seeds
is units 1 3
is method 1 "Student's t"
is wins 1 3
is p 1 0.25
is p_holm 1 1
run 0 sweep.h5 --format tsv -b none --per-seed
[ "$(wc -l <out)" -eq 19 ] || fail "not a header and three seeds of six rows"
is seed 3 3
run 0 sweep.h5 --per-seed
says "Student's t over units"
says "schedule.interval=40"

# Recordings that are independent of each other are units like seeds, where that is said.
for seed in 1 2 3; do
  "$moebal" trace generate -s steps=520 -s layers=3 -s experts=16 -s top_k=2 -s groups=4 \
    --seed=$seed -o recorded$seed.h5 >/dev/null
done
sed -e 's/3020/520/' -e '/^trace:/d' tiny.yaml >recorded.yaml
echo 'sweep: {trace.file: [recorded1.h5, recorded2.h5, recorded3.h5]}' >>recorded.yaml
"$moebal" run recorded.yaml --quiet -o recorded.h5
run 0 recorded.h5 --format tsv
[ "$(wc -l <out)" -eq 10 ] || fail "not a header and three rows of three traces"
is condition 1 trace.file=recorded1.h5
is unit 1 blocks
run 0 recorded.h5 --format tsv --traces
[ "$(wc -l <out)" -eq 4 ] || fail "not a header and three rows"
is condition 1 ""
is unit 1 traces
is units 1 3
is losses 1 3
is p 1 0.25
run 0 recorded.h5 --traces --per-seed
says "3 traces"
says " recorded2.h5 "
refuses 1 "no sweep over trace.file" tiny.h5 --traces

# LaTeX: underscores are escaped, environments end.
run 0 sweep.h5 --format latex --per-seed
says '\toprule'
says 'schedule.interval=20'
says 'run\_imbalance'
if grep -q '[^\\]_' out; then fail "an underscore is not escaped"; fi
if grep -v '& -- & --' out | grep -q -e '--'; then fail "two hyphens are a dash"; fi
[ "$(grep -c '\\begin{' out)" -eq "$(grep -c '\\end{' out)" ] || fail "an environment does not end"

run 0 tiny.h5 --format latex
says ' & 21 $\times$ 140 (data) & worse'
says '-{}-lifetime'

# Relabellings are crossed with the units.
"$moebal" run tiny.yaml --quiet --relabellings=3 -o relabelled.h5
run 0 relabelled.h5
says "crossed with 3 relabellings"
says "Noise floor: over 3 relabellings"
says "the intervals cover it"
run 0 relabelled.h5 --lifetime 300
says "Noise floor"
if grep -q "the intervals cover it" out; then fail "there are no intervals"; fi
run 0 relabelled.h5 --format tsv
is relabellings 1 3
is unit 1 blocks

# What is refused.
refuses 2 "RESULTS.h5 is missing"
refuses 2 "there is no format 'csv'" tiny.h5 --format csv
refuses 2 "--confidence is '95', not a number from 0.5 to 0.999" tiny.h5 --confidence 95
refuses 2 "--margin is '-1'" tiny.h5 --margin=-1
refuses 2 "--resamples is '10'" tiny.h5 --resamples 10
refuses 2 "--resamples is 99, too few for a confidence of 0.999: 1999" tiny.h5 -n 99 -c 0.999
refuses 2 "--lifetime is '0'" tiny.h5 --lifetime 0
refuses 1 "there is no strategy 'l3' to compare with; there is none, lpt, l2" tiny.h5 -b l3
refuses 1 "none.h5: No such file" none.h5
status=0
"$moebal" compare tiny.h5 >/dev/full 2>err || status=$?
[ "$status" -eq 1 ] || fail "full disk: exit status $status, not 1"
one_line "full disk" "standard output could not be written"
