#!/bin/sh
# moebal-exact: its table, by its own definition, and the figure that is drawn from it.
# Usage: exact_gaps.sh MOEBAL_EXACT
set -eu
exact=$1
source=${MOEBAL_SOURCE:?the folder of the sources}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$exact" 4 >"$work/means.tsv"
"$exact" --instances 4 >"$work/instances.tsv"
# No strategy is below an optimum and no bound above it; the means are those of the instances.
awk -F '\t' '
  FNR == 1 { file++; next }
  file == 1 {
    for (i = 3; i <= 5; i++) { if ($i < -1e-6) { print "below the optimum: " $0; bad = 1 } }
    if ($6 > 1e-6) { print "a bound above the optimum: " $0; bad = 1 }
    for (i = 3; i <= 6; i++) { sum[$1, i] += $i / 4 }
    rows++
  }
  file == 2 {
    for (i = 3; i <= 6; i++) {
      mean = 3 + 3 * (i - 3)
      difference = $mean - sum[$1, i]
      if (difference > 1e-4 || difference < -1e-4 || $(mean + 1) > $mean || $(mean + 2) < $mean) {
        print "not the mean: " $0; bad = 1
      }
    }
    sizes++
  }
  END { if (rows != 16 || sizes != 4) { print rows " instances of " sizes " sizes"; bad = 1 }; exit bad }
' "$work/instances.tsv" "$work/means.tsv"

for wrong in 0 x "1 2"; do
  # shellcheck disable=SC2086 # two words are two arguments
  if "$exact" $wrong >/dev/null 2>"$work/message"; then
    echo "moebal-exact $wrong was not refused" >&2
    exit 1
  fi
  grep -q '^usage: moebal-exact' "$work/message"
done

command -v gnuplot >/dev/null || exit 0
gnuplot -c "$source/plots/gap_to_optimum.gp" "$work/means.tsv" "$work/figure.svg" 2>"$work/warnings" || {
  cat "$work/warnings" >&2
  exit 1
}
grep -q 'slots a GPU' "$work/figure.svg"
