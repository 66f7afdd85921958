#!/bin/sh
# `use: command`: programs that plan well, and programs that fail in every way; what is said of it,
# and that nothing is left behind: no file, no process.
set -eu
words=""
. "$(dirname "$0")/python.sh"
. "$(dirname "$0")/cli.sh"

TMPDIR=$work/tmp
export TMPDIR
mkdir "$TMPDIR"

cat >tiny.yaml <<END
name: tiny
trace: {generate: {use: domains, steps: 40, layers: 3, experts: 16, top_k: 2, groups: 4}}
cluster: {nodes: 2, gpus: 4, slots: 24}
schedule: {interval: 10, window: 15}
END

clean() {
  [ -z "$(ls "$TMPDIR")" ] || fail "$1: $(ls "$TMPDIR") is left in the folder for temporary files"
}

# gone WHAT: no process of those in the file pids runs any more. One that has ended and whose new
# parent has not looked yet is gone, too; only /proc tells the two apart.
gone() {
  [ -e /proc/self/status ] || return 0
  while read -r pid; do
    if kill -0 "$pid" 2>/dev/null && ! grep -qs '^State:.Z' "/proc/$pid/status"; then
      fail "$1: process $pid is left behind"
    fi
  done <pids
}

# planner NAME: a program of that name, from standard input, and a config that uses it.
planner() {
  { echo "#!/bin/sh" && cat; } >"$1.sh"
  {
    cat tiny.yaml
    echo "strategies:"
    echo "  - rival: {use: command, command: sh $1.sh, timeout: 2, start_timeout: 3}"
  } >"$1.yaml"
}

# fails NAME TEXT: the run is refused in one line, writes no results, and leaves nothing behind.
fails() {
  refuses 1 "$2" run "$1.yaml" -q -o r.h5
  [ ! -e r.h5 ] || fail "$1: results were written"
  clean "$1"
}

# Copies the placement in force: the strategy none, but for the plans. All lines are as documented.
planner keep <<'END'
read -r hello
echo "$hello" >hello
echo "debug: awake" >&2
echo ready
while read -r plan step loads current out; do
  echo "$plan $step" >>plans
  [ -s "$loads" ] && [ ! -e "$out" ] && cp "$current" "$out"
  echo done
done
echo bye >bye
END
run 0 run keep.yaml -o keep.h5
[ "$(cat hello)" = "moebal-planner 1 layers=3 experts=16 slots=24 groups=4 nodes=2 gpus=4" ] ||
  fail "it was greeted with '$(cat hello)'"
[ "$(tr '\n' ' ' <plans)" = "plan 10 plan 20 plan 30 " ] || fail "it was asked for '$(cat plans)'"
[ -e bye ] || fail "it was not left to end by itself"
says "rival took "
[ "$(awk '$1 == "none" { print $2 }' out)" = "$(awk '$1 == "rival" && NF == 9 { print $2 }' out)" ] ||
  fail "keeping the placement scores differently"
awk '$1 == "rival" && NF == 9 && $9 > 0 { found = 1 } END { exit !found }' out || fail "no planner time"
clean keep
# The folder that it runs in is the config's, or the one that is named.
mkdir elsewhere && cd elsewhere
run 0 run ../keep.yaml -q -o keep.h5
[ "$(wc -l <../plans)" -eq 6 ] || fail "it did not run in the config's folder"
run 0 run ../tiny.yaml -q -o keep.h5 \
  --set 'strategies=[rival: {use: command, command: sh keep.sh, folder: ..}]'
[ "$(wc -l <../plans)" -eq 9 ] || fail "it did not run in the folder that was named"
cd ..
rm -rf elsewhere plans

planner missing </dev/null
rm missing.sh
fails missing "\`sh missing.sh\` ended with exit status"
planner silent <<'END'
echo "no such module: rival" >&2
exit 3
END
fails silent "\`sh silent.sh\` ended with exit status 3: no such module: rival"
planner killed <<'END'
kill -9 $$
END
# The shell that runs it tells so in its way, or was replaced by it.
sed "s/command: sh/command: exec sh/" killed.yaml >replaced.yaml
fails killed "137"
fails replaced "was killed by signal 9"
planner chatty <<'END'
echo "Loading weights..."
echo ready
END
fails chatty "said 'Loading weights...'; should be 'ready'"
planner endless <<'END'
while :; do printf xxxxxxxxxxxxxxxx; done
END
fails endless "said more than 4096 bytes without a newline"
planner noisy <<'END'
while :; do echo xxxxxxxxxxxxxxxx >&2; done
END
fails noisy "did not answer within 3 s, and was stopped: xxxx"
planner closed <<'END'
exec >&-
echo "no more output" >&2
sleep 1000
END
sed "s/command: sh/command: exec sh/" closed.yaml >alone.yaml
fails closed "did not answer within 3 s, and was stopped: no more output"
fails alone "closed its standard output: no more output"
planner shy <<'END'
echo ready
read -r hello
read -r request
echo "I give up" >&2
exit 0
END
fails shy "strategy rival, plan at step 10: \`sh shy.sh\` ended with exit status 0: I give up"
planner empty <<'END'
echo ready
while read -r line; do echo done; done
END
fails empty "said 'done', but wrote no OUT.npy"

# answers NAME COMMAND: a planner that makes its map so.
answers() {
  planner "$1" <<END
read -r hello
echo ready
while read -r plan step loads current out; do
  $2
  echo done
done
END
}
# shellcheck disable=SC2016
answers text 'echo rubbish >"$out"'
fails text "the map of \`sh text.sh\`: "
# shellcheck disable=SC2016
answers cut 'head -c 200 "$current" >"$out"'
fails cut "the map of \`sh cut.sh\`"
# shellcheck disable=SC2016
answers shape 'cp "$loads" "$out"'
fails shape "the map of \`sh shape.sh\`: has 16 slots, but the cluster has 24"
# An answer that is left from the plan before is none.
# shellcheck disable=SC2016
answers stale '[ -e wrote ] || cp "$current" "$out"; : >wrote'
fails stale "plan at step 20: \`sh stale.sh\` said 'done', but wrote no OUT.npy"
# In the linear placement byte 5 is expert 5 alone.
# shellcheck disable=SC2016
answers forgets 'tr "\005" "\004" <"$current" >"$out"'
fails forgets "layer 0: expert 5 is in none of the 24 slots"
# shellcheck disable=SC2016
answers beyond 'tr "\005" "\021" <"$current" >"$out"'
fails beyond "layer 0: slot 5 holds expert 17, but experts are 0 to 15"
# shellcheck disable=SC2016
answers folder 'mkdir "$out"'
refuses 1 "the map of" run folder.yaml -q -o r.h5
rm -r "${TMPDIR:?}"/*

# One that hangs is stopped in time, with all that it has started; its own files go, too.
planner hangs <<'END'
read -r hello
echo ready
read -r plan step loads current out
touch "$(dirname "$out")/scratch"
sleep 1000 &
printf "%s\n" "$!" "$$" >pids
wait
END
start=$(date +%s)
fails hangs "did not answer within 2 s, and was stopped"
[ $(($(date +%s) - start)) -lt 30 ] || fail "the time limit is not kept"
gone hangs

# So is one that is interrupted, at once.
sed 's/timeout: 2,/timeout: 100,/' hangs.yaml >waits.yaml
for signal in INT TERM; do
  rm -f pids
  status=0
  timeout --preserve-status -s "$signal" 2 "$moebal" run waits.yaml -q -o r.h5 >out 2>err || status=$?
  [ "$status" -eq 1 ] || fail "$signal: exit status $status, not 1"
  one_line "$signal" "stopped on request; r.h5 was not written"
  [ -s pids ] || fail "$signal: the planner was never asked"
  gone "$signal"
  clean "$signal"
done

# What a config may say of it.
says_wrong() {
  refuses 1 "$2" run tiny.yaml -q -o r.h5 --set "strategies=[$1]"
}
says_wrong command "'command' does not say which: write LABEL: {use: command, ...}"
says_wrong 'a: {use: command}' "a.command is missing"
says_wrong 'a: {use: command, command: ""}' "command is empty"
says_wrong 'a: {use: command, command: true, timeout: 0}' "timeout is '0'"
says_wrong 'a: {use: command, command: true, slices: 0}' "slices is '0'"
says_wrong 'a: {use: command, command: true, time: 1}' "did you mean 'timeout'?"
says_wrong 'a: {use: comand, command: true}' "did you mean 'command'?"
says_wrong 'a: {use: command, command: true, folder: nowhere}' "its folder cannot be entered"
run 0 list strategies
says "command: a program of your own"
run 0 help planners
says "plan STEP LOADS.npy CURRENT.npy OUT.npy"
[ "$(awk 'length > 100' out | wc -l)" -eq 0 ] || fail "a line longer than 100 columns"
run 0 help config
says "start_timeout"

# Python's: the adapter, and lpt in it. The same placements as our own, bit for bit: test_outside.
python=$(need_python numpy >/dev/null && echo "$python") || python=""
if [ -n "$python" ]; then
  cp "$MOEBAL_SOURCE"/experiments/adapters/*.py .
  cat >broken.py <<'END'
def rebalance_experts(load, slots, groups, nodes, gpus):
    print("about to fail")
    raise ValueError("not today")
END
  refuses 1 "ended with exit status 1: ValueError: not today" run tiny.yaml -q -o r.h5 \
    --set "strategies=[rival: {use: command, command: $python planner.py broken}]"
  refuses 1 "No module named 'nowhere'" run tiny.yaml -q -o r.h5 \
    --set "strategies=[rival: {use: command, command: $python planner.py nowhere}]"
  clean adapter
  # What a program answers goes through the same passes as any planner's plans.
  lpt="use: command, command: $python planner.py lpt"
  run 0 run tiny.yaml -o r.h5 --set cluster.groups=1 --set cluster.nodes=1 \
    --set "strategies=[plain: {$lpt}, fewer: {$lpt, assign: gpus}]"
  awk '$2 == "took" { next }
    $1 == "plain" { imbalance = $2; moved = $8 }
    $1 == "fewer" { found = $2 == imbalance && $8 < moved }
    END { exit !found }' out || fail "assign: gpus does not move fewer experts of a program's plans"
else
  echo "skipped: the adapter, as no Python here has numpy"
fi
