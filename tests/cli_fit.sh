#!/bin/sh
# `moebal trace fit`, and what takes the parameters that it writes.
set -eu
words=trace
. "$(dirname "$0")/cli.sh"

run 0 fit --help
says "Usage: moebal trace fit"
run 0 generate -o known.h5 -g drift -m gpt-oss-20b -s layers=3 -s steps=640 -s tokens=64 \
  -s 'sigma=0.5 0.8 0.6' -s skew=-0.3
run 0 fit known.h5 -o fit.yaml --window 16 --seeds 2
says "40 windows of 16 steps, 3 layers; generated: mean of 2 seeds"
says "original      fit               default             multinom."
says "1 - r, lag 16"
says "chi2/dof, lag 1"
says "by r at lags 1 and 4 alone"
if grep -qE '.{101}| $' out; then fail "a line over 100 columns, or with blanks at its end"; fi
grep -q "use: drift" fit.yaml || fail "no generator in fit.yaml"
cp fit.yaml first.yaml
OMP_NUM_THREADS=1 "$moebal" trace fit known.h5 -o fit.yaml --window 16 --seeds 1 >out
cmp first.yaml fit.yaml || fail "the same trace, other parameters"

# `generate` takes it by name, and a run as part of its config.
run 0 generate --config fit.yaml --set steps=50 -o like.h5
says "like.h5: 50 steps x 3 layers x 32 experts, synthetic"
cat fit.yaml - >run.yaml <<'END'
name: fitted
cluster: {nodes: 1, gpus: 8, slots: 40}
schedule: {interval: 64, window: 64}
END
"$moebal" run run.yaml >out
says "fitted"

# What is wrong is said in a line.
refuses 2 "which TRACE?" fit
refuses 2 "one trace at a time" fit known.h5 other.h5
refuses 2 "at least 1 step" fit known.h5 --window 0
refuses 2 "from 1 to 1000" fit known.h5 --seeds 0
refuses 1 "none.h5" fit none.h5
refuses 1 "known.h5: 6 windows of 100 steps, but a fit needs 8: take shorter ones" \
  fit known.h5 --window 100 -o no.yaml
[ ! -e no.yaml ] || fail "a file of a fit that failed"
# A place that nothing can be written to is noticed before the fit.
refuses 1 "no/fit.yaml: cannot be written" fit known.h5 --window 100 -o no/fit.yaml
cp known.h5 kept.h5
cp known.h5 other.h5
refuses 1 "known.h5: is an input" fit known.h5 --window 100 -o known.h5
refuses 1 "other.h5: is there, and no YAML" fit known.h5 --window 100 -o other.h5
cmp known.h5 kept.h5 || fail "the trace was written over"
cmp other.h5 kept.h5 || fail "another trace was written over"
refuses 1 "windows of 1000 steps, but the trace has 640" fit known.h5 --window 1000
refuses 2 "leave --generator out" generate --config fit.yaml -g drift -o like.h5
refuses 1 "none.yaml" generate --config none.yaml -o like.h5
echo "trace: {file: known.h5}" >file.yaml
refuses 2 "file.yaml: it has no trace.generate" generate --config file.yaml -o like.h5
echo "trace: {generate: {use: drift, sigmas: 1}}" >slip.yaml
refuses 2 "slip.yaml:1" generate --config slip.yaml -o like.h5
