#!/bin/sh
# `moebal run` under mpirun: the same results with any number of ranks, what is refused and by whom,
# and ranks that are killed.
set -eu
words=run
. "$(dirname "$0")/python.sh"
. "$(dirname "$0")/cli.sh"

cat >sweep.yaml <<END
name: ranks
trace: {generate: {use: domains, steps: 400, layers: 4, experts: 32, top_k: 4, groups: 4}}
cluster: {nodes: 2, gpus: 8, slots: 40}
schedule: {interval: 20, window: 20}
strategies: [lpt, l2]
sweep: {schedule.interval: [10, 20, 40], seed: 1..4}
END
sed '/^sweep/d' sweep.yaml >single.yaml

# Without MPI in it, it says so: rank 0 once, the others nothing, all with the same status.
if [ "${MOEBAL_MPI:-ON}" = OFF ]; then
  for rank in 0 1; do
    status=0
    OMPI_COMM_WORLD_RANK=$rank OMPI_COMM_WORLD_SIZE=2 "$moebal" run sweep.yaml >out 2>err || status=$?
    [ "$status" -eq 1 ] || fail "built without MPI: exit status $status of rank $rank"
    [ "$rank" -eq 1 ] || one_line "built without MPI" "was built without MPI"
    [ "$rank" -eq 0 ] || [ ! -s err ] || fail "built without MPI: rank 1 speaks"
  done
  OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1 run 0 sweep.yaml -q -o one.h5
  exit 0
fi
if ! command -v mpirun >/dev/null; then
  echo "skipped: there is no mpirun here"
  exit 77
fi
need_python h5py
same_results=$(dirname "$0")/same_results.py
case $same_results in /*) ;; *) same_results=$OLDPWD/$same_results ;; esac
sbatch=${MOEBAL_SOURCE:?}/experiments/slurm.sbatch

# Tests run as root, on few cores, and beside others. Where a container forbids ranks to read each
# other's memory, they copy.
OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_btl_vader_single_copy_mechanism
# Open MPI keeps memory of its own at its end, which a sanitizer would call leaks.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
export ASAN_OPTIONS
options="--allow-run-as-root --oversubscribe --bind-to none"
if ! timeout 60 mpirun $options -n 2 true >out 2>err; then
  echo "skipped: mpirun starts nothing here: $(head -n 3 err)"
  exit 77
fi

# ranks STATUS OPTIONS ARGUMENT...: `mpirun OPTIONS moebal run ARGUMENT...`, as run() does.
ranks() {
  expected=$1
  how=$2
  shift 2
  status=0
  timeout 240 mpirun $options $how "$moebal" run "$@" >out 2>err || status=$?
  [ "$status" -eq "$expected" ] || fail "mpirun $how $*: exit status $status, not $expected"
}

# moebal_says TEXT: of all that was printed, one line is moebal's, and has TEXT in it.
moebal_says() {
  [ "$(grep -c '^moebal' err)" -eq 1 ] || fail "not one line for '$1'"
  grep '^moebal' err | grep -qF -e "$1" || fail "not '$1'"
}

only_results() {
  [ -z "$(ls -d ./*.parts* 2>/dev/null)" ] || fail "parts are left behind: $1"
}

# The same as one process makes, with one rank, two, and more than there are processors.
run 0 sweep.yaml --jobs 1 -q -o one.h5
for n in 1 2 8; do
  ranks 0 "-n $n" sweep.yaml -o "ranks$n.h5"
  [ ! -s err ] || fail "$n ranks: something on standard error"
  [ "$(grep -c 'Results: ' out)" -eq 1 ] || fail "$n ranks: not one table"
  "$python" "$same_results" one.h5 "ranks$n.h5" || fail "$n ranks: other results"
done
only_results "after 8 ranks"

# More ranks than cells; ranks that go on with what is there; and with what is complete.
ranks 0 "-n 4" sweep.yaml -q -o few.h5 --set sweep.seed=[1] --set sweep.schedule.interval=[10]
ranks 0 "-n 2" sweep.yaml -q --resume -o ranks2.h5
"$python" "$same_results" one.h5 ranks2.h5 || fail "--resume: other results"

# Refused by rank 0 alone.
ranks 1 "-n 4" single.yaml -o other.h5
moebal_says "single.yaml: has no sweep"
ranks 1 "-n 4" sweep.yaml -o other.h5 --jobs 2
moebal_says "--jobs is for one process"
ranks 1 "-n 4" nowhere.yaml -o other.h5
moebal_says "nowhere.yaml: cannot be read"
ranks 1 "-n 4" sweep.yaml -o nowhere/other.h5
moebal_says "there is no folder nowhere"
ranks 1 "-n 2" sweep.yaml -o other.h5 --set cluster.nodes=5
[ ! -e other.h5 ] || fail "something refused was written"
only_results "of what was refused"
ranks 0 "-n 1" single.yaml -q -o single.h5 # one rank is a process like any other

# A cell that fails is recorded, and the others' results are there.
ranks 1 "-n 2" sweep.yaml -q -o failed.h5 --set "sweep.schedule.interval=[10, 20, 390]" \
  --set summary.from=390 --set sweep.trace.generate.steps="[380, 400]"
[ -e failed.h5 ] || fail "a cell that fails takes the others with it"

# --- ranks that are killed

# Six cells run through, and six wait in their planner as long as there is a file `hold`: so however
# slow or fast the machine is, whoever is killed is killed in the middle.
cat >planner.sh <<END
: >"$work/waits.\$\$"
while [ -e "$work/hold" ]; do sleep 0.1; done
read -r hello
echo ready
while read -r plan step loads current out; do
  cp "\$current" "\$out"
  echo done
done
END
free="[lpt, l2]"
held="[lpt, held: {use: command, command: sh planner.sh, start_timeout: 1e4}]"
sed -e '/^strategies/d' -e '/^sweep/d' sweep.yaml >held.yaml
echo "sweep: {strategies: [$free, $held], schedule.interval: [10, 20, 40], seed: 1..2}" >>held.yaml
run 0 held.yaml --jobs 1 -q -o held.h5

# children PID: of a process, by all its threads.
children() {
  cat /proc/"$1"/task/*/children 2>/dev/null | tr -d " " || true
}

# rank_of PID: which rank it is.
rank_of() {
  tr '\0' '\n' <"/proc/$1/environ" 2>/dev/null | sed -n 's/^OMPI_COMM_WORLD_RANK=//p'
}

# find_rank RANK: its process, of a job that runs in the background.
find_rank() {
  cat /proc/"$job"/task/*/children 2>/dev/null | tr ' ' '\n' | while read -r child; do
    if [ -n "$child" ] && [ "$(rank_of "$child")" = "$1" ]; then
      echo "$child"
    fi
  done
}

n_finished() {
  find "$output.parts" -name '*.h5' 2>/dev/null | wc -l
}

# background OUTPUT COMMAND...: a command that starts 4 ranks, in the background, until six cells are
# finished and each rank is at another; sets job.
background() {
  output=$1
  shift
  rm -f waits.*
  : >hold
  "$@" >out 2>err &
  job=$!
  tries=0
  until [ "$(n_finished)" -eq 6 ] && [ "$(find . -name 'waits.*' | wc -l)" -eq 4 ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 2400 ] || ! kill -0 "$job" 2>/dev/null; then
      fail "$output: nobody is at work"
    fi
    sleep 0.05
  done
}

# start OUTPUT OPTIONS RANK: the same of mpirun; sets pid as well, which is that rank.
start() {
  background "$1" mpirun $options $2 -n 4 "$moebal" run held.yaml -q -o "$1"
  pid=$(find_rank "$3")
  [ -n "$pid" ] || fail "$output: there is no rank $3"
}

# finish STATUS: the job ends with that exit status; "failure" is no matter which but zero.
finish() {
  status=0
  wait "$job" || status=$?
  case $1 in
  failure) [ "$status" -ne 0 ] || fail "$output: exit status 0" ;;
  *) [ "$status" -eq "$1" ] || fail "$output: exit status $status, not $1" ;;
  esac
}

# release STATUS: the cells that wait go on, and the job ends with that exit status.
release() {
  rm hold
  finish "$1"
}

# resume COMMAND...: what was finished is kept, and COMMAND adds the rest.
resume() {
  [ ! -e "$output" ] || fail "$output: is there too early"
  [ "$(n_finished)" -eq 6 ] || fail "$output: of 6 parts $(n_finished) are kept"
  cp -r "$output.parts" kept
  rm hold
  "$@"
  "$python" "$same_results" held.h5 "$output" || fail "$output: other results after --resume"
  "$python" - "$output" kept/*.h5 <<'END' || fail "$output: a finished cell was run again"
import sys, h5py

def times(file, run):
    # What was measured when a run was made: no other making of it has the same.
    return {s: file["timing"][run][s]["planner_seconds"][:].tobytes()
            for s in file["timing"][run]}

with h5py.File(sys.argv[1]) as whole:
    for name in sys.argv[2:]:
        with h5py.File(name) as part:
            (run,) = part["runs"]
            assert times(part, run) == times(whole, run), name
END
  rm -r kept
}

if [ ! -e /proc/self/task/$$/children ] && [ ! -e /proc/$$/task/$$/children ]; then
  echo "ranks were not killed: /proc does not tell whose children processes are here"
  exit 0
fi

# A cell whose process dies has failed, and its rank goes on.
start cell.h5 "" 2
kill -KILL "$(children "$(children "$pid")")"
release 1
moebal_says "1 of 12 cells failed"
[ -e cell.h5 ] || fail "a cell that dies takes the others with it"
run 0 held.yaml -q --resume -o cell.h5
"$python" "$same_results" held.h5 cell.h5 || fail "a cell that died, tried once more: other results"

# Whose work is killed, is left out: its cell is done by another.
start work.h5 "" 2
kill -KILL "$(children "$pid")"
release 0
moebal_says "its work was ended by signal 9"
"$python" "$same_results" held.h5 work.h5 || fail "a killed worker: other results"

# A rank that is killed costs the cell that it was at; without --enable-recovery the job.
start recovered.h5 --enable-recovery 2
kill -KILL "$pid"
release 0
"$python" "$same_results" held.h5 recovered.h5 || fail "a killed rank: other results"

start killed.h5 "" 2
kill -KILL "$pid"
finish failure
grep -qF "Killed" err || fail "nothing is said of the rank that was killed"
resume ranks 0 "-n 2" held.yaml -q --resume -o killed.h5

# Nobody can take rank 0's place, but what is finished stays. mpirun's exit status is 0 whatever
# becomes of the ranks: that is what --enable-recovery means.
start led.h5 --enable-recovery 0
kill -KILL "$pid"
finish 0
grep -qF "rank 0 does not answer any more" err || fail "nothing is said of the end of rank 0"
resume run 0 held.yaml -q --resume -o led.h5

# Stopped politely, as by Ctrl-C or a batch system.
start stopped.h5 "" 0
kill -TERM "$job"
finish failure
grep -qF "6 of 12 cells are done, --resume goes on" err || fail "nothing is said of the stop"
resume run 0 held.yaml -q --resume -o stopped.h5

# --- the batch script, with a Slurm that is one machine

mkdir bin
cat >bin/srun <<END
#!/bin/sh
[ "\$1 \$2" = "--mpi=pmix --kill-on-bad-exit=1" ] || exit 9
shift 2
exec mpirun $options -n 4 "\$@"
END
cat >bin/scontrol <<END
#!/bin/sh
echo "\$@" >>"$work/requeued"
END
chmod +x bin/srun bin/scontrol
PATH=$work/bin:$PATH
SLURM_JOB_ID=7
SLURM_CPUS_PER_TASK=1
export PATH SLURM_JOB_ID SLURM_CPUS_PER_TASK

# batch STATUS ARGUMENT...: runs the script.
batch() {
  expected=$1
  shift
  status=0
  sh "$sbatch" "$@" >out 2>err || status=$?
  [ "$status" -eq "$expected" ] || fail "slurm.sbatch $*: exit status $status, not $expected"
}

# Its time is over: it goes on later if there is hope.
background batch.h5 sh "$sbatch" held.yaml batch.h5 -q
kill -USR1 "$job"
finish failure
says "time is over with 6 finished cells: it goes on in the next start"
[ "$(cat requeued)" = "requeue 7" ] || fail "slurm.sbatch: not queued again"
background batch.h5 sh "$sbatch" held.yaml batch.h5 -q
kill -USR1 "$job"
finish failure
grep -qF "no cell came to its end" err || fail "slurm.sbatch: nothing is said of a short time"
[ "$(cat requeued)" = "requeue 7" ] || fail "slurm.sbatch: queued again for nothing"
# Cancelled, it is not to come again, but can be sent again.
background batch.h5 sh "$sbatch" held.yaml batch.h5 -q
kill -TERM "$job"
finish failure
grep -qF "submit it again to go on" err || fail "slurm.sbatch: nothing is said of the stop"
[ "$(cat requeued)" = "requeue 7" ] || fail "slurm.sbatch: queued again though it was cancelled"
resume batch 0 held.yaml batch.h5 -q
only_results "after a batch"

# Under --enable-recovery mpirun ends with 0; the script does not.
MOEBAL_LAUNCH="mpirun $options --enable-recovery -n 4"
export MOEBAL_LAUNCH
batch 1 sweep.yaml failed.h5 -q --set "sweep.schedule.interval=[10, 20, 390]" \
  --set summary.from=390 --set sweep.trace.generate.steps="[380, 400]"
grep -qF "cells failed" err || fail "slurm.sbatch: nothing is said of cells that failed"
background lost.h5 sh "$sbatch" held.yaml lost.h5 -q
job_of_script=$job
job=$(children "$job")
kill -KILL "$(find_rank 0)"
job=$job_of_script
release 0
"$python" "$same_results" held.h5 lost.h5 || fail "slurm.sbatch: other results without rank 0"
only_results "after all"
