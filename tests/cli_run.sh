#!/bin/sh
# `moebal run`, `list` and `help`: what they print, their exit statuses, and what they leave behind.
set -eu
words=""
. "$(dirname "$0")/cli.sh"

# only FILE...: there is nothing else in the folder, but for what this script puts there.
only() {
  for file in *; do
    case " out err said tiny.yaml long.yaml $* " in
    *" $file "*) ;;
    *) fail "$file is left behind" ;;
    esac
  done
}

cat >tiny.yaml <<END
name: tiny
trace: {generate: {use: domains, steps: 60, layers: 3, experts: 16, top_k: 2, groups: 4}}
cluster: {nodes: 2, gpus: 4, slots: 24}
schedule: {interval: 10, window: 15}
END
cat >long.yaml <<END
name: long
trace: {generate: {use: domains, steps: 1e8, layers: 3, experts: 16, top_k: 2, groups: 4}}
cluster: {nodes: 2, gpus: 4, slots: 24}
schedule: {interval: 10, window: 15}
END

# The table, and the file under its default name.
run 0 run tiny.yaml
says run_imbalance
for strategy in none lpt maxmin l2 hindsight; do
  grep -q "^$strategy " out || fail "no row of $strategy"
done
[ ! -s err ] || fail "something on standard error"
only tiny.h5
rm tiny.h5

# Quiet, another output, other values; an older file is replaced.
: >r.h5
run 0 run tiny.yaml --quiet -o r.h5
if [ -s out ] || [ -s err ]; then
  fail "--quiet prints"
fi
before=$(cksum <r.h5)
run 0 run tiny.yaml -q -o r.h5 --set seed=2 --set 'strategies=[a: {use: l2, max_rounds: 3}]'
[ "$before" != "$(cksum <r.h5)" ] || fail "--set changes nothing"
run 0 run --set name=other --output=r.h5 --set cluster.groups=1 tiny.yaml
grep -qF "the policy is global" err || fail "nothing is said of the global policy"
only r.h5

# The backend is in the results, and decides nothing else. Where there is no GPU, cuda is refused in
# one line, and auto says why it goes to the CPU.
run 0 run tiny.yaml -q -o r.h5 --backend cpu
if "$moebal" run tiny.yaml -q -o r.h5 --backend cuda 2>/dev/null; then
  run 0 run tiny.yaml -o r.h5 --backend auto
  says "Plans were made by cuda on "
else
  refuses 1 "moebal: backend cuda: " run tiny.yaml -o r.h5 --backend cuda
  run 0 run tiny.yaml -o r.h5 --set backend=auto
  one_line "--set backend=auto" "moebal: backend auto: plans are made on the CPU, because "
fi
refuses 2 "--backend is 'gpu', but has to be one of: cpu, cuda, auto" run tiny.yaml --backend gpu
refuses 1 "--set: backend is 'gpu', but has to be one of: cpu, cuda, auto" run tiny.yaml --set backend=gpu

# Refused before any work; what was there stays.
before=$(cksum <r.h5)
refuses 1 "tiny.yaml:3: cluster.slots: " run tiny.yaml -o r.h5 --set cluster.nodes=1 --set cluster.gpus=5
refuses 1 "did you mean 'window'?" run tiny.yaml -o r.h5 --set schedule.windows=5
refuses 1 "--set: schedule.window is '0'" run tiny.yaml -o r.h5 --set schedule.window=0
refuses 1 "--set: summary.from: " run tiny.yaml -o r.h5 --set summary.from=60
refuses 1 "nowhere.yaml: cannot be read" run nowhere.yaml -o r.h5
refuses 1 "there is no folder nowhere" run tiny.yaml -o nowhere/r.h5
refuses 1 "is a folder" run tiny.yaml -o .
refuses 1 "no results file" run tiny.yaml -o tiny.yaml
refuses 1 "no results file" run tiny.yaml -o /dev/null
refuses 1 "nowhere.h5" run tiny.yaml -o r.h5 --set "trace={file: nowhere.h5}"
refuses 1 "is the trace" run tiny.yaml -o ./r.h5 --set "trace={file: r.h5}"
refuses 1 "r.h5" run tiny.yaml -o s.h5 --set "trace={file: r.h5}" # results are no trace
[ "$before" = "$(cksum <r.h5)" ] || fail "a refused run changed the older results"
only r.h5

# The command line itself.
refuses 2 "--output takes the name of a file" run tiny.yaml -o ""
refuses 2 "which config?" run
refuses 2 "one config at a time" run tiny.yaml tiny.yaml
refuses 2 "--set takes KEY=VALUE" run tiny.yaml --set seed
refuses 2 "unrecognized option" run tiny.yaml --frobnicate
refuses 2 "a list of what?" list
refuses 2 "there is no list of 'frobs'" list frobs
refuses 2 "there is no topic 'frobs'" help frobs
refuses 2 "there is no command 'frob'" frob

# A full disk: a file may not grow beyond 32 KiB.
status=0
(ulimit -f 64 && exec "$moebal" run tiny.yaml --set trace.generate.steps=5000 -o full.h5) \
  >out 2>err || status=$?
[ "$status" -eq 1 ] || fail "full disk: exit status $status, not 1"
one_line "full disk" "full.h5: the results cannot be written: File too large"
only r.h5

# Interrupted: an older file stays, and no other is left behind.
for signal in INT TERM; do
  status=0
  timeout --preserve-status -s "$signal" 1 "$moebal" run long.yaml -o r.h5 >out 2>err || status=$?
  [ "$status" -eq 1 ] || fail "$signal: exit status $status, not 1"
  one_line "$signal" "stopped on request; r.h5 was not written"
  [ "$before" = "$(cksum <r.h5)" ] || fail "$signal: the older results have changed"
  only r.h5
done

# Standard output that cannot be written is a failure too.
if [ -e /dev/full ]; then
  status=0
  "$moebal" list models >/dev/full 2>err || status=$?
  [ "$status" -eq 1 ] || fail "list to a full disk: exit status $status, not 1"
fi

# Lists and help.
run 0 list strategies
says "l2: "
says "max_rounds"
says "hindsight: "
run 0 list generators
says "domains: "
says "steps"
run 0 list models
says "deepseek-v3"
run 0 list figures
says "imbalance_over_time: "
run 0 list metrics
says "run_imbalance [one number]: "
run 0 help
says "config"
run 0 help config
says "cluster.gpus"
says "max_rounds"
says "drift_period"
says "Example:"
run 0 --version
says "moebal "
for command in "" run plot trace list help "help run"; do
  # shellcheck disable=SC2086 # the words of a command
  run 0 $command --help
  says "Usage: moebal"
  [ ! -s err ] || fail "$command --help: something on standard error"
done
run 0 help run
says "Usage: moebal run"

# The example of `moebal help config` is a config, but for the trace that it names.
"$moebal" help config | sed -n '/^Example:/,/^or/p' | sed -n 's/^  //p' >long.yaml
refuses 1 "loads.h5" run long.yaml
