#!/bin/sh
# `moebal plot`: what it says where it cannot go on, and what it leaves behind.
set -eu
words=plot
. "$(dirname "$0")/cli.sh"

# failed WHAT TEXT STATUS: it ended with STATUS 1 and one line.
failed() {
  [ "$3" -eq 1 ] || fail "$1: exit status $3, not 1"
  one_line "$1" "$2"
}

cat >tiny.yaml <<END
name: tiny
trace: {generate: {use: domains, steps: 60, layers: 3, experts: 16, top_k: 2, groups: 4}}
cluster: {nodes: 2, gpus: 4, slots: 24}
schedule: {interval: 10, window: 15}
END
"$moebal" run tiny.yaml --quiet -o "results 1.h5"

# What is no results file.
mkdir folder
mkfifo pipe
refuses 1 "folder: is not a file" folder
refuses 1 "pipe: is not a file" pipe
refuses 1 "tiny.yaml: not an HDF5 file" tiny.yaml
refuses 1 "none.h5: No such file" none.h5
refuses 1 "there is no run 'other'; there is tiny" "results 1.h5" --run other
refuses 1 "tiny.yaml cannot be made: File exists" "results 1.h5" -o tiny.yaml
refuses 1 "nowhere/figures cannot be made: No such file" "results 1.h5" -o nowhere/figures
rmdir folder

# A figure that this file is none of.
refuses 1 "redundancy needs a sweep of cluster.slots: cluster.slots is not swept" "results 1.h5" -F redundancy

# A full disk leaves no temporary file, and no folder that was made for nothing.
status=0
(
  ulimit -f 1
  exec "$moebal" plot "results 1.h5" -o full -F imbalance_cdf
) >out 2>err || status=$?
failed "full disk" "File too large" "$status"
[ ! -e full ] || fail "full disk: something is left behind"

# From here on a gnuplot that takes its time, and tells what it was asked to write.
mkdir bin
cat >bin/gnuplot <<'END'
#!/bin/sh
: >"$5"
echo "$$" >started
exec sleep 60
END
chmod +x bin/gnuplot

# Stopped while gnuplot draws: gnuplot is stopped, and its half figure goes.
for signal in TERM HUP; do
  rm -rf started figures
  PATH=$work/bin:$PATH "$moebal" plot "results 1.h5" -o figures -F imbalance_cdf >out 2>err &
  process=$!
  tries=0
  while [ ! -s started ] && [ "$tries" -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  [ -s started ] || fail "gnuplot was not started"
  kill "-$signal" "$process"
  status=0
  wait "$process" || status=$?
  failed "stopped by $signal" "stopped on request" "$status"
  [ "$(echo figures/*)" = "figures/imbalance_cdf.tsv figures/imbalance_cdf.txt" ] || fail "stopped by $signal: left behind: $(ls figures)"
  if kill -0 "$(cat started)" 2>/dev/null; then fail "stopped by $signal: gnuplot goes on"; fi
done

# A figure that gnuplot leaves incomplete does not get its name.
cat >bin/gnuplot <<'END'
#!/bin/sh
echo half >"$5"
END
rm -rf figures
status=0
PATH=$work/bin:$PATH "$moebal" plot "results 1.h5" -o figures -F imbalance_cdf >out 2>err || status=$?
failed "an incomplete figure" "incomplete" "$status"
[ "$(echo figures/*)" = "figures/imbalance_cdf.tsv figures/imbalance_cdf.txt" ] || fail "an incomplete figure: left behind: $(ls figures)"
echo "ok"
