#!/bin/sh
# `moebal trace slice|concat|sum|export`, on traces that h5py writes and reads back.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
words=trace
. "$source/tests/python.sh"
. "$source/tests/cli.sh"

for part in slice concat sum export; do
  run 0 "$part" --help
  says "Usage: moebal trace $part"
done

# A full disk is an error, and leaves nothing.
run 0 generate -o all.h5 -s steps=60 -s layers=8
mkdir empty
for arguments in "slice all.h5 -o empty/x" "concat all.h5 all.h5 -o empty/x" \
  "sum all.h5 -n 2 -o empty/x" "export all.h5 -f npy -o empty/x" "export all.h5 -f csv -o empty/x"; do
  status=0
  (
    ulimit -f 20
    exec "$moebal" trace $arguments
  ) >out 2>err || status=$?
  [ "$status" -eq 1 ] || fail "$arguments: full disk: exit status $status, not 1"
  [ "$(wc -l <err)" -eq 1 ] || fail "$arguments: full disk: not one line"
  grep -q "File too large" err || fail "$arguments: full disk: not the reason"
  [ -z "$(ls -A empty)" ] || fail "$arguments: full disk: left behind: $(ls -A empty)"
done

need_python numpy h5py
export MOEBAL="$moebal"
"$python" "$source/tests/trace_parts.py"
