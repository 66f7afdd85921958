#!/bin/sh
# `moebal report`: a page that stands alone and is well-formed, whatever the results' texts are; what it
# says where it cannot go on, and what it leaves behind.
set -eu
words=report
. "$(dirname "$0")/cli.sh"
. "$(dirname "$0")/python.sh"

# failed WHAT TEXT STATUS: it ended with STATUS 1 and one line.
failed() {
  [ "$3" -eq 1 ] || fail "$1: exit status $3, not 1"
  one_line "$1" "$2"
}

# no_page WHAT: neither a page nor a temporary file or folder is left.
no_page() {
  for left in page.html* tmp/*; do
    [ ! -e "$left" ] || fail "$1: $left is left behind"
  done
}

mkdir tmp
TMPDIR=$work/tmp
export TMPDIR
cat >tiny.yaml <<END
name: tiny
trace: {generate: {use: domains, steps: 60, layers: 3, experts: 16, top_k: 2, groups: 4}}
cluster: {nodes: 2, gpus: 4, slots: 24}
schedule: {interval: 10, window: 15}
END
"$moebal" run tiny.yaml --quiet -o "results 1.h5"
cat >sweep.yaml <<END
name: some-cells
trace: {generate: {use: domains, steps: 60, layers: 3, experts: 16, top_k: 2, groups: 4}}
cluster: {nodes: 2, gpus: 4, slots: 24}
schedule: {interval: 10, window: 15}
sweep: {schedule.interval: [5, 10], seed: 1..2}
END
"$moebal" run sweep.yaml --quiet -o sweep.h5

# What is no results file, or not in it.
refuses 1 "tiny.yaml: not an HDF5 file" tiny.yaml
refuses 1 "none.h5: No such file" none.h5
refuses 1 "there is no run 'other'" "results 1.h5" --run other -o page.html
refuses 1 "nobody" "results 1.h5" --baseline nobody -o page.html
refuses 2 "RESULTS.h5 is missing"
refuses 2 "is a second one" "results 1.h5" sweep.h5
refuses 1 "nowhere/page.html" "results 1.h5" -o nowhere/page.html

# Results are not written over.
cp sweep.h5 kept.h5
refuses 1 "an HDF5 file" "results 1.h5" -o kept.h5
cmp -s sweep.h5 kept.h5 || fail "results were written over"

# Without gnuplot there is no half page.
mkdir bin
status=0
PATH=$work/bin "$moebal" report "results 1.h5" -o page.html >out 2>err || status=$?
failed "without gnuplot" "apt-get install gnuplot-nox" "$status"
no_page "without gnuplot"

if ! command -v gnuplot >/dev/null; then
  echo "skipped: the page itself, as gnuplot is not installed"
  exit 77
fi

# A full disk: the page is larger than what a file may have, its figures are not.
status=0
(
  ulimit -f 128
  exec "$moebal" report "results 1.h5" -o page.html
) >out 2>err || status=$?
failed "full disk" "File too large" "$status"
no_page "full disk"

# Stopped while gnuplot draws.
cat >bin/gnuplot <<'END'
#!/bin/sh
echo "$$" >started
exec sleep 60
END
chmod +x bin/gnuplot
PATH=$work/bin:$PATH "$moebal" report "results 1.h5" -o page.html >out 2>err &
process=$!
tries=0
while [ ! -s started ] && [ "$tries" -lt 100 ]; do
  sleep 0.1
  tries=$((tries + 1))
done
kill -TERM "$process"
status=0
wait "$process" || status=$?
failed "stopped" "stopped on request" "$status"
no_page "stopped"

# The page's name: the results' own with another ending; the same results give the same bytes.
run 0 "results 1.h5"
says "results 1.html"
run 0 "results 1.h5" -o page.html
cmp -s page.html "results 1.html" || fail "two pages of the same results differ"
run 0 sweep.h5 --run "$("$moebal" plot sweep.h5 --run nothing 2>&1 | sed 's/.*there is \([^,]*\),.*/\1/')"
[ -z "$(ls tmp)" ] || fail "something is left in TMPDIR"

need_python h5py
# Three blocks of steps have no interval; two seeds have Student's, and the page says which.
"$python" "$MOEBAL_SOURCE/tests/report_page.py" "results 1.html" "tiny" "run imbalance" \
  "heaviest first, to the lightest GPU" "too few: fewer than 20 blocks" "3 blocks of 20 steps (window)" \
  2>err || fail "the page of a run"
"$python" "$MOEBAL_SOURCE/tests/report_page.py" sweep.html "some-cells" "schedule.interval" \
  "Student's t over units" "2 seeds" " of 0.interval-5.seed-1" "as it was given" 2>err ||
  fail "the page of a sweep"
"$python" - sweep.h5 sweep.html "results 1.html" <<'END' || fail "what a page says"
import html
import re
import sys

import h5py

with h5py.File(sys.argv[1]) as file:
    run = file["provenance/0.interval-5.seed-1"].attrs
    texts = run["load_xxh3"], run["start_time"], run["config"].split("\n")[0]
pages = [open(path, encoding="utf-8").read() for path in sys.argv[2:]]
for text in texts:
    assert html.escape(text) in pages[0], f"not in the page: {text}"
for page in pages:
    shown = re.sub("(?s)<(script|style).*?</\\1>", "", page)
    # Quotes of code are elements, and captions do not repeat what the page says of the run.
    assert "`" not in shown and "<p>Cluster:" not in shown and "What is said of" not in shown
# One list of figures where nothing was swept, the curve first.
assert pages[1].count('class="figures"') == 1
assert re.search('<figure id="([a-z_]*)"', pages[1]).group(1) == "imbalance_over_time"
END

# Texts that would be markup, or end the element that they stand in; and bytes that are no text.
"$python" - "results 1.h5" hostile.h5 <<'END'
import shutil
import sys

import h5py

shutil.copy(sys.argv[1], sys.argv[2])
with h5py.File(sys.argv[2], "r+") as file:
    bad = "</pre></script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;'\"<!--"
    for name in ("config", "trace_source", "version", "start_time"):
        file["provenance"].attrs[name] = "name: x" + bad if name == "config" else bad
    run = file["runs/tiny"]
    run.attrs["model"] = bad
    run.attrs["phase"] = "caf\u00e9"
    run.attrs["trace"] = "a/" + bad
END
run 0 hostile.h5 -o hostile.html
"$python" "$MOEBAL_SOURCE/tests/report_page.py" hostile.html 'onerror=alert(2)>&amp;'"'"'"<!--' \
  "caf$(printf '\303\251')" 2>err || fail "a page with hostile texts"
