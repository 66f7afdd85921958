#!/bin/sh
# Refuses an include that breaks the order of layers: a file may include only from its own folder and
# from those it builds on. Also: HDF5 is known to workloads/ and experiments/ alone, and only
# experiments/ prints or exits, but for the benchmarks (*_bench.c), programs of their own.
set -eu
cd "${MOEBAL_SOURCE:-$(dirname "$0")/..}"

allowed() { # the folders that a folder's files may include from
  case $1 in
  balancer) echo "balancer" ;;
  cuda) echo "balancer cuda" ;;
  workloads) echo "balancer workloads" ;;
  sim) echo "balancer cuda workloads sim" ;;
  experiments) echo "balancer cuda workloads sim experiments" ;;
  esac
}

# report FILE WHY: labels the grep -n lines on standard input.
report() {
  while IFS= read -r line; do
    printf '%s:%s: %s\n' "$1" "$line" "$2"
  done
}

# check_file FOLDER FILE: prints what is wrong in it.
check_file() {
  may=$(allowed "$1")
  grep -nE '^ *# *include *"[a-z]+/' "$2" | grep -vE "\"($(echo "$may" | tr ' ' '|'))/" |
    report "$2" "$1/ may include from $may only"
  case $2 in
  */naive/* | */experiments/bench_*.c) ;;
  *) grep -nE '# *include *"balancer/naive/' "$2" |
      report "$2" "the naive twins are for tests and benchmarks" ;;
  esac
  case $2 in
  */cuda/*) ;;
  *) grep -nE '# *include *"cuda/host/' "$2" | report "$2" "the emulator is for tests" ;;
  esac
  case $1 in
  balancer | cuda | sim) grep -nE '# *include *<(hdf5|H5)' "$2" |
      report "$2" "HDF5 belongs to workloads/ and experiments/" ;;
  esac
  case $2 in
  */experiments/* | *_bench.c) ;;
  *) grep -nE '(^|[^a-z_.>])(printf|puts|putchar|exit|abort|perror) *\(' "$2" |
      grep -vE '__attribute__|^[0-9]+: *(/?\*|//)' |
      report "$2" "only experiments/ prints or exits" ;;
  esac
}

check_folder() {
  find "$2/$1" -name '*.[ch]' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.def' | sort |
    while IFS= read -r file; do
      check_file "$1" "$file" || true
    done
}

check_all() {
  for folder in balancer cuda workloads sim experiments; do
    [ ! -d "$1/$folder" ] || check_folder "$folder" "$1"
  done
}

wrong=$(check_all .)
if [ -n "$wrong" ]; then
  printf '%s\n' "$wrong"
  exit 1
fi

# The test itself must see a wrong include: plant some.
planted=$(mktemp -d)
trap 'rm -rf "$planted"' EXIT
mkdir -p "$planted/balancer" "$planted/sim" "$planted/workloads" "$planted/experiments" \
  "$planted/cuda"
echo '#include "sim/replay.h"' >"$planted/balancer/a.c"
echo '#include <hdf5.h>' >"$planted/sim/b.c"
echo '#include "cuda/rebalance.h"' >"$planted/workloads/c.c"
echo 'void f(void) { printf("x"); }' >"$planted/workloads/d.c"
echo '#include "balancer/naive/naive.h"' >"$planted/sim/e.c"
echo '#include "balancer/naive/naive.h"' >"$planted/experiments/run.c"
echo '#include "balancer/naive/naive.h"' >"$planted/experiments/bench_allowed.c"
echo '#include "sim/replay.h"' >"$planted/cuda/f.cu"
echo '#include "sim/replay.h"' >"$planted/cuda/g.cuh"
echo 'void f() { printf("x"); }' >"$planted/cuda/h.cpp"
echo '#include "cuda/host/emulator_control.h"' >"$planted/sim/i.c"
found=$(check_all "$planted" | wc -l)
if [ "$found" -ne 10 ]; then
  echo "of 10 planted faults $found were found"
  exit 1
fi
