#!/bin/sh
# `moebal trace`: what it prints, its exit statuses, and what it leaves behind.
set -eu
words=trace
. "$(dirname "$0")/cli.sh"

# Help is there, for each.
run 0 --help
says "generate"
for part in generate info verify; do
  run 0 "$part" --help
  says "Usage: moebal trace $part"
done

# A trace of one's own, described and verified.
run 0 generate -o small.h5 --model gpt-oss-20b --set steps=40 --set tokens=64 --seed 7
says "small.h5: 40 steps x 24 layers x 32 experts, synthetic"
[ ! -s err ] || fail "a progress line although standard error is no terminal"
run 0 info small.h5 --window 10
says "gpt-oss-20b, decode"
says "40 steps x 24 layers x 32 experts, top 4, 1 group"
says "synthetic, not a recording"
says "4, each of 10 steps"
says "a step: mean 64, from 64 to 64"
says "the sum over the experts is the same in all layers"
if grep -q WRONG out; then fail "a generated trace is found wrong"; fi
[ "$(grep -cE '^ +[0-9]+ +[0-9]+\.[0-9]{2} +0\.' out)" -eq 24 ] || fail "not a line a layer"
digest=$(sed -n 's/^load_xxh3 *\([0-9a-f]\{32\}\), as recorded$/\1/p' out)
[ -n "$digest" ] || fail "no digest as recorded"
run 0 verify small.h5
says "small.h5: ok"
says "$digest, as recorded in the file"

# The same seed makes the same loads, in another second and whatever the threads; another one doesn't.
sleep 1
OMP_NUM_THREADS=1 "$moebal" trace generate -o again.h5 -m gpt-oss-20b -s steps=40 -s tokens=64 -S 7 >out
cmp small.h5 again.h5 || fail "same seed, other bytes"
run 0 generate -o other.h5 -m gpt-oss-20b -s steps=40 -s tokens=64 -S 8
run 0 verify other.h5
if grep -q "$digest" out; then fail "another seed, same loads"; fi

# The table of a large model fits 100 columns.
run 0 generate -o large.h5 -s steps=4 -s tokens=100
run 0 info large.h5
[ "$(awk 'length > 100' out | wc -l)" -eq 0 ] || fail "a line longer than 100 columns"
[ "$(grep -cE '^ +[0-9]+ +[0-9]+\.[0-9]{2} +0\.' out)" -eq 58 ] || fail "not a line a layer"

# What is wrong is said in one line.
mkdir empty && cd empty
refuses 2 "there is no \`trace make\`" make
refuses 2 "-o FILE is missing" generate
refuses 2 "there is no generator 'magic'" generate -g magic -o x.h5
refuses 2 "key=value" generate -o x.h5 --set steps
refuses 2 "sigma" generate -o x.h5 --set sigmo=1
refuses 2 "steps" generate -o x.h5 --set steps=0
refuses 2 "gpt-oss-20b" generate -o x.h5 --model gpt-oss-21b
refuses 2 "top_k: 9 different experts, but experts is 8" generate -o x.h5 -s experts=8 -s top_k=9
refuses 2 "whole number" generate -o x.h5 --seed 1.5
refuses 2 "whole number" generate -o x.h5 --seed=-1
refuses 2 "which FILE?" info
refuses 2 "one file at a time" info a.h5 b.h5
refuses 2 "at least 1 step" info ../small.h5 --window 0
refuses 2 "which FILE?" verify
refuses 1 "nowhere/x.h5" generate -o nowhere/x.h5 -s steps=1
refuses 1 "missing.h5" info missing.h5
refuses 1 "missing.h5" verify missing.h5
rm -f out err said
echo "no HDF5" >text.h5
refuses 1 "text.h5" info text.h5
head -c 20000 ../small.h5 >cut.h5
refuses 1 "cut.h5" info cut.h5
refuses 1 "cut.h5" verify cut.h5
rm -f out err said text.h5 cut.h5
# What is no trace is not replaced, and not read.
mkdir folder
mkfifo pipe
echo "notes" >notes.txt
refuses 1 "is a folder" generate -o folder -s steps=1
refuses 1 "no trace" generate -o pipe -s steps=1
refuses 1 "no trace" generate -o notes.txt -s steps=1
grep -q notes notes.txt || fail "notes are replaced"
cat >tiny.yaml <<END
name: tiny
trace: {file: ../small.h5}
cluster: {nodes: 1, gpus: 4, slots: 40}
schedule: {interval: 10, window: 10}
strategies: [lpt]
END
"$moebal" run tiny.yaml -q -o results.h5
refuses 1 "no trace" generate -o results.h5 -s steps=1
status=0
"$moebal" run tiny.yaml -q -o ../again.h5 >out 2>err || status=$?
[ "$status" -eq 1 ] || fail "results replace a trace: exit status $status, not 1"
grep -q "is a trace" err || fail "results replace a trace: it doesn't say so"
rm tiny.yaml results.h5
refuses 1 "is not a file" info folder
refuses 1 "is not a file" info pipe
refuses 1 "is not a file" verify pipe
rm -rf folder pipe notes.txt out err said
[ -z "$(ls -A)" ] || fail "something was left behind: $(ls -A)"

# Stopped half-way, it leaves nothing behind, and says so.
"$moebal" trace generate -o stopped.h5 -s steps=100000 >../out 2>../err &
process=$!
tries=0
while [ -z "$(ls -A)" ] && [ "$tries" -lt 100 ]; do
  sleep 0.1
  tries=$((tries + 1))
done
[ -n "$(ls -A)" ] || fail "no file appeared while it was written"
[ ! -e stopped.h5 ] || fail "a half-written file has the final name"
kill -TERM "$process"
status=0
wait "$process" || status=$?
cd ..
[ "$status" -eq 1 ] || fail "stopped: exit status $status, not 1"
grep -q "stopped on request" err || fail "stopped: it doesn't say so"
[ -z "$(ls -A empty)" ] || fail "stopped: something was left behind: $(ls -A empty)"

# A full disk is an error, and leaves nothing either.
status=0
(
  ulimit -f 100
  exec "$moebal" trace generate -o empty/full.h5 -s steps=200
) >out 2>err || status=$?
[ "$status" -eq 1 ] || fail "full disk: exit status $status, not 1"
[ "$(wc -l <err)" -eq 1 ] || fail "full disk: not one line"
grep -q "File too large" err || fail "full disk: not the reason"
[ -z "$(ls -A empty)" ] || fail "full disk: something was left behind: $(ls -A empty)"
echo "ok"
