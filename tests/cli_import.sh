#!/bin/sh
# `moebal trace import`: its command line; then all that numpy, h5py and csv write.
set -eu
words="trace import"
source=$(cd "$(dirname "$0")/.." && pwd)
. "$source/tests/python.sh"
. "$source/tests/cli.sh"

run 0 --help
says "Usage: moebal trace import"
status=0
"$moebal" list importers >out 2>err || status=$?
[ "$status" -eq 0 ] || fail "list importers: exit status $status"
for format in npy npz hdf5 csv; do
  says "$format: "
done

# A table of two steps, with what the user knows of it.
cat >loads.csv <<END
step,layer,expert,count
0,0,0,3
0,0,1,1
0,1,3,4
1,0,2,4
1,1,0,2
1,1,1,2
END
run 0 loads.csv -o one.h5 --top-k 1 --groups 2 --phase prefill --model toy --source "my rig, CC0"
says "one.h5: 2 steps x 2 layers x 4 experts, top 1"
says "format: csv, recognised by content"
says "note: model toy is none of \`moebal list models\`"
says "note: 4 experts: the largest number is 3"
[ ! -s err ] || fail "a progress line although standard error is no terminal"
"$moebal" trace info one.h5 >out 2>err || fail "trace info refuses it"
says "toy, prefill"
says "2 steps x 2 layers x 4 experts, top 1, 2 groups"
says "my rig, CC0; imported from loads.csv (csv)"
run 0 loads.csv loads.csv -o two.h5 --top-k 1 --format csv
says "two.h5: 4 steps x 2 layers x 4 experts"
says "format: csv, as told"
says "note: phase taken as mixed"
rm -f out err said one.h5 two.h5

# What is wrong is said in one line, and nothing is left behind.
refuses 2 "which INPUT?"
refuses 2 "-o FILE is missing" loads.csv
refuses 2 "there is no format 'xls'" loads.csv -o x.h5 --format xls
refuses 2 "--phase: 'dekode' should be" loads.csv -o x.h5 --phase dekode
refuses 2 "--source-semantics: 'tp' should be" loads.csv -o x.h5 --source-semantics tp
refuses 2 "--top-k: is 0, but should be 1" loads.csv -o x.h5 --top-k 0
refuses 2 "--groups: '-1' is not a whole number" loads.csv -o x.h5 --groups=-1
refuses 2 "--arrival-rate: '0'" loads.csv -o x.h5 --arrival-rate 0
refuses 1 "give --top-k K, or a --model" loads.csv -o x.h5
refuses 1 "top_k 5, but it should be 1 to 4" loads.csv -o x.h5 --top-k 5
refuses 1 "is no numpy array" loads.csv -o x.h5 --top-k 1 --format npy
printf '0,0,32,1\n' >other.csv
refuses 1 "has layers of 33 experts, but gpt-oss-20b has 32" other.csv -o x.h5 --model gpt-oss-20b
refuses 1 "--dataset x: files of format csv" loads.csv -o x.h5 --top-k 1 --dataset x
refuses 1 "--concurrency: format csv holds loads of steps" loads.csv -o x.h5 --top-k 1 --concurrency 8
refuses 1 "missing.csv: cannot be read" missing.csv -o x.h5
refuses 1 "is an input" loads.csv -o loads.csv
refuses 1 "nowhere/x.h5" loads.csv -o nowhere/x.h5 --top-k 1
refuses 1 "of no format that is recognised" "$0" -o x.h5
printf '0,0,9,1\n' >other.csv
refuses 1 "other.csv: has 1 layers, but loads.csv before it has 2" loads.csv other.csv -o x.h5 --top-k 1
rm -f out err said loads.csv other.csv
[ -z "$(ls -A)" ] || fail "something was left behind: $(ls -A)"

# All that they write, and what they should not.
need_python numpy h5py
export MOEBAL="$moebal"
"$python" "$source/tests/import_arrays.py"
