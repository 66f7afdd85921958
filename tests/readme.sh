#!/bin/sh
# Does what the README tells its reader to do with a trace of their own: every code block that has
# a language, in order, as it is printed there.
set -eu
readme=${MOEBAL_SOURCE:?}/README.md
python=
for candidate in python3 /usr/bin/python3; do
  if "$candidate" -c 'import h5py, numpy' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "skipped: no Python with h5py (Debian: python3-h5py)"
  exit 77
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/bin"
ln -s "$(command -v "$python")" "$folder/bin/python3"
ln -s "${MOEBAL:?}" "$folder/bin/moebal"
PATH=$folder/bin:$PATH
export PATH
cd "$folder"

# Blocks become files: "python NAME" and "yaml NAME" under their name, every "sh" block numbered, and
# the order in which to run them.
awk '/^```/ {
       if (file != "") { close(file); file = ""; next }
       language = substr($1, 4)
       if (language == "") { plain = !plain; next }
       file = language == "sh" ? ++n ".sh" : $2
       if (language == "sh") print "sh -eu " file > "order"
       if (language == "python") print "python3 " file > "order"
       next
     }
     file != "" { print > file }' "$readme"

blocks=$(wc -l <order)
if [ "$blocks" -lt 5 ]; then
  echo "only $blocks blocks were found in the README"
  exit 1
fi
while IFS= read -r command; do
  echo "+ $command"
  $command </dev/null
done <order
for file in results.h5 wider.h5 results/imbalance_over_time.png; do
  if [ ! -s "$file" ]; then
    echo "$file was not written"
    exit 1
  fi
done
